//! The Kubernetes programs of the embedded target, from the first source that has them: a folder
//! given by the person, the cache, a build from Go modules.
//!
//! A download is not among the sources: it would have to be pinned to checksums that the
//! publishers of Kubernetes and etcd sign for, and none is carried here.

mod build;
mod cached;
mod error;
mod locate;
mod source;

pub(crate) use build::check_go;
pub(crate) use cached::digest_of;
pub use error::AssetError;
pub use locate::{AtHand, GIVEN_FOLDER, KubernetesAssets, Origin, kubernetes, peek};
pub(crate) use locate::{abandoned_builds, obtainable};
pub use source::{ETCD_VERSION, KUBERNETES_VERSION};

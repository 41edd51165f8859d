//! Secrets on GitHub and in the cluster (governance 2.3): where a value comes from, where it is kept meanwhile, and how
//! it reaches the cluster. What may be asked for is decided by `domain::secret_sync`.
mod cluster;
mod value;

pub use cluster::{ClusterError, write_key};
pub use value::{ValueError, keep, value_of};

//! Targets: everything that has to stand before a scenario can run, and the proof that nothing is
//! left of it afterwards.
//!
//! The embedded target is a Postgres of its own, a real Kubernetes control plane as local
//! processes, the process node, and lanes of the orchestrator under test. The orchestrator is
//! reached by protocol only: nothing here links it.

pub mod assets;
pub mod cache;
pub mod canary;
pub mod doctor;
pub mod embedded;
pub mod error;
pub mod lane;
pub mod orchestrator;
pub mod postgres;
pub mod probe;
pub mod process;
pub mod process_node;
pub mod progress;
pub mod proxy;
pub mod requirements;
pub mod runs;

pub use cache::CacheFolder;
pub use embedded::{EmbeddedTarget, UpOptions};
pub use error::{Error, Result};
pub use lane::{Lane, LaneSpec};
pub use progress::{Event, Progress};

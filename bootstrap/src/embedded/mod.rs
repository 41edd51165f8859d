//! The embedded target: a real Kubernetes control plane and a Postgres as local processes, on
//! loopback addresses of the run's own. Needs no root, no container runtime, no fixed port.

mod addresses;
mod certificates;
mod configuration;
mod control_plane;
mod down;
mod target;
mod volumes;

pub use addresses::{LaneAddresses, Network};
pub use certificates::{Authority, Identity};
pub(crate) use configuration::kubeconfig;
pub use down::DownReport;
pub use target::{EmbeddedTarget, PieceTiming, UpOptions};

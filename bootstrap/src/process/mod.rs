//! Child processes: started with the run's marker, watched, ended with everything they started,
//! and found again by the marker when the program that started them was killed.

mod connections;
mod marker;
mod supervised;

pub(crate) use connections::address_of;
pub use connections::{Connection, connections_of};
pub(crate) use marker::kill_carriers;
pub use marker::{FoundProcess, RUN_MARKER, end_processes, processes_of};
pub use supervised::{Launch, Owner, ProcessError, Supervised, last_lines};

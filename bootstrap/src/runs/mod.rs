//! State folders of runs: who owns one, what it made outside its folder, and removing what a
//! killed owner left behind.

mod cleanup;
mod state;

pub(crate) use cleanup::remove_folder;
pub use cleanup::{CleanedRun, KnownRun, clean_up_builds, clean_up_own, cleanup, list};
pub use state::{RunFolder, RunState, new_run_id};

//! State folders of runs: who owns one, what it made outside its folder, how a person reaches what
//! runs there, and removing what a killed owner left behind.

mod cleanup;
mod lock;
mod name;
mod state;

pub(crate) use cleanup::remove_folder;
pub use cleanup::{CleanedRun, KnownRun, clean_up_builds, clean_up_own, cleanup, list};
pub use name::{
    DEFAULT_NAME, NameError, NameHolder, NameLease, check_name, holder_of, holders, take_name,
    tell_to_end,
};
pub use state::{Access, RunFolder, RunState, new_run_id, state_of};

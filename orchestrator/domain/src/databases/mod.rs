//! `database.lifecycle` (governance 2.4): which databases a project may make, describe and delete.

mod arguments;
mod change;
mod judge;

pub use arguments::{DatabaseArguments, database_arguments};
pub use change::{DatabaseAction, DatabaseChange};
pub use judge::{
    DatabaseFacts, DatabaseVerdict, Registration, RegistrationState, is_protected, judge,
    still_holds,
};

//! The database server of a target: given by URL, or started from the server programs of this
//! machine in a folder of its own.

mod binaries;
mod error;
mod fetched;
mod launch;
mod programs;
mod server;

pub use binaries::{ServerPrograms, find as find_programs};
pub use error::PostgresError;
pub(crate) use fetched::{RELEASE as FETCHED_RELEASE, abandoned_downloads};
pub(crate) use launch::end_abandoned;
pub(crate) use programs::obtain;
pub use server::{Database, PostgresServer};

/// Whether what a server of our own has committed survives a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It does not: the data lives no longer than the run.
    Disposable,
    /// It does, by PostgreSQL's own defaults: what measurements need.
    Durable,
}

/// Names a database server to use instead of starting one.
pub const GIVEN_URL: &str = "GONOGO_POSTGRES_URL";
/// Whether a server is named that is used instead of starting one.
#[must_use]
pub fn is_given() -> bool {
    std::env::var(GIVEN_URL).is_ok_and(|url| !url.is_empty())
}

/// Forces a way of getting one: `fetched` takes the pinned release though this machine has a server; `container` is
/// known and not built.
pub const WAY: &str = "GONOGO_POSTGRES";

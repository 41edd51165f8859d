//! GitHub behind our own types: REST calls through octocrab into small structs of our own. Nothing here decides and
//! nothing here repeats a call; who wants a repetition writes it down first.
mod client;
mod error;
mod hooks;
mod objects;
mod repository;
mod secrets;
mod tokens;
mod write_name;

pub use client::{GithubClient, GithubClients, Page};
pub use error::{FaultClass, GithubError};
pub use repository::{PostedComment, RepositoryApi};
pub use secrets::SecretPlace;
pub use tokens::{AccessError, RepositoryAccess, access_to, managed};

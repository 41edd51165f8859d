//! `secret.sync.github_k8s` (governance 2.3): what a call asks for, and what is told of it. The value is never here.

mod arguments;
mod sync;

pub use arguments::{SyncArguments, SyncSurroundings, sync_arguments};
pub use sync::{GithubScope, SecretPolicy, SecretSync, SyncStep};

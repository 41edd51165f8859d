//! What may wake the system, in our own types, and how a webhook payload becomes one.

mod event;
mod webhook;

pub use event::{
    Account, Comment, Event, EventKind, Issue, PullRequest, Push, Repository, Review, Thread,
    ThreadKind,
};
pub use webhook::{issue_from, parse, pull_request_from, replace_nul};

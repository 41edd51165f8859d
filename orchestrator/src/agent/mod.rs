//! What runs inside a Job: prepares the working tree, runs an agent through an adapter, checks the
//! write scope, commits, pushes, opens or updates the pull request, and reports.
//!
//! It knows the control plane only by the agent API with its run token, and GitHub only by git and
//! REST with the bot's token. It decides nothing about the run: it ends with an exit code.

mod adapter;
mod branch;
mod checkout;
mod config;
mod context;
mod control_plane;
mod credentials;
mod discussion;
mod entry;
mod error;
mod git;
mod github;
mod issue_thread;
mod kubeconfig;
mod mcp_tools;
mod output;
mod publish;
mod pull_request;
mod report;
mod runner;
mod scope;
mod session;
mod source;
mod tool_gaps;

pub use entry::main;

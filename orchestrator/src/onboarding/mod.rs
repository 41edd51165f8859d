//! Making a GitHub repository ready for the platform: it exists and the token reaches it, the
//! webhook is there, the labels are there. All of it before anything is stored (DA-19).
mod client;
mod error;
mod labels;
mod repository;
mod webhook;

pub use client::management_client;
pub use error::OnboardingError;
pub use labels::{LabelChange, LabelSyncReport, plan_labels, sync_labels};
pub use repository::{GithubRepository, Onboarded, find_repository, onboard};
pub use webhook::ensure_webhook;

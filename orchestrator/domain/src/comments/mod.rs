//! Every sentence that people read on GitHub, in Russian and English.
//!
//! In one place so that wording is reviewed as wording, and no other code formats text for people.

mod marker;
mod refusal;
mod rejection;
mod status;
mod status_words;

pub use marker::{StatusMarker, best_status_comment, effect_marker};
pub use refusal::{Refusal, refusal};
pub use rejection::{LabelRejection, label_rejection, next_step_blocked};
pub use status::{
    NamespaceAction, ReportGroup, StatusComment, StatusReport, group_reports, status_comment,
};

//! Every sentence that people read on GitHub, in Russian and English.
//!
//! In one place so that wording is reviewed as wording, and no other code formats text for people.

mod marker;
mod refusal;
mod rejection;
mod result;
mod status;
mod status_words;

pub use marker::{AnswerMarker, StatusMarker, best_status_comment, effect_marker, result_marker};
pub use refusal::{Refusal, refusal};
pub use rejection::{LabelRejection, label_rejection, next_step_blocked};
pub use result::{audit_result, repair_result};
pub use status::{
    NamespaceAction, ReportGroup, StatusComment, StatusReport, group_reports, status_comment,
};

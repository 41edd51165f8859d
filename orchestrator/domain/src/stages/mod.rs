//! Stages, trigger kinds and roles: the contract of table L-6.
//!
//! Separate from labels because a stage exists without a label: review-started runs, history and
//! next steps speak of stages, and label names are configuration.

mod stage;
mod table;
mod trigger_kind;

pub use stage::{MAIN_PATH, Stage};
pub(crate) use table::spelled;
pub use table::{
    AccessProfile, ModeSource, NamespaceRule, Role, RuntimeMode, StageContract, TargetEnv,
    WriteScope, contract, runtime_mode,
};
pub use trigger_kind::TriggerKind;

//! Hidden lines by which the platform finds its own comments again.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::effects::CommentPhase;
use crate::ids::RunId;
use crate::runs::RunStatus;

const STATUS_PREFIX: &str = "<!-- codex-k8s:run-status ";
const EFFECT_PREFIX: &str = "<!-- codex-k8s:effect ";
const ANSWER_PREFIX: &str = "<!-- codex-k8s:discussion-answer ";
const RESULT_PREFIX: &str = "<!-- codex-k8s:run-result ";
const SUFFIX: &str = " -->";

/// State in the marker line of a status comment (L-104).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusMarker {
    /// The run; resume runs keep that of their source.
    pub run_id: RunId,
    /// Phase shown.
    pub phase: CommentPhase,
    /// Status of the run.
    pub status: RunStatus,
}

impl StatusMarker {
    /// The line.
    pub fn line(&self) -> String {
        let state = serde_json::to_string(self).expect("an id and two words always encode");
        format!("{STATUS_PREFIX}{state}{SUFFIX}")
    }

    /// Reads the marker of a comment, if it has one.
    pub fn find(body: &str) -> Option<Self> {
        let start = body.rfind(STATUS_PREFIX)? + STATUS_PREFIX.len();
        let end = start + body[start..].find(SUFFIX)?;
        serde_json::from_str(&body[start..end]).ok()
    }

    fn rank(&self) -> (u8, CommentPhase) {
        let status = match self.status {
            RunStatus::Succeeded => 4,
            RunStatus::Canceled => 3,
            RunStatus::Failed => 2,
            RunStatus::Running
            | RunStatus::WaitingMcp
            | RunStatus::WaitingOwnerReview
            | RunStatus::WaitingBackpressure => 1,
            RunStatus::Pending => 0,
        };
        (status, self.phase)
    }
}

/// Of several status comments of one run, the id of the one that stays (L-102).
pub fn best_status_comment(comments: &[(i64, StatusMarker)]) -> Option<i64> {
    comments
        .iter()
        .max_by_key(|(id, marker)| (marker.rank(), *id))
        .map(|(id, _)| *id)
}

/// State in the hidden line of an answer in a discussion: which comments it answers (L-108).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerMarker {
    /// The discussion run that answers.
    pub run_id: RunId,
    /// Ids of the comments, none in the opening words of a session.
    pub answers: Vec<i64>,
}

impl AnswerMarker {
    /// The line.
    pub fn line(&self) -> String {
        let state = serde_json::to_string(self).expect("an id and numbers always encode");
        format!("{ANSWER_PREFIX}{state}{SUFFIX}")
    }

    /// Reads the marker of a comment, if it has one.
    pub fn find(body: &str) -> Option<Self> {
        let start = body.rfind(ANSWER_PREFIX)? + ANSWER_PREFIX.len();
        let end = start + body[start..].find(SUFFIX)?;
        serde_json::from_str(&body[start..end]).ok()
    }
}

/// The line by which the comment with the result of a run is found again.
pub fn result_marker(run_id: &str) -> String {
    format!("{RESULT_PREFIX}{run_id}{SUFFIX}")
}

/// The line by which a comment of an effect is found again: the key itself may not stand in HTML.
pub fn effect_marker(idempotency_key: &str) -> String {
    let digest = hex::encode(Sha256::digest(idempotency_key.as_bytes()));
    format!("{EFFECT_PREFIX}{}{SUFFIX}", &digest[..32])
}

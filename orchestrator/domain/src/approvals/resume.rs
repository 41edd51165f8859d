//! What an agent is told when its request has ended (G-93).

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Answer, ApprovalState, RequestAction, RequestFacts};
use crate::stages::spelled;

spelled!(
    /// `request_status` of the payload.
    ResumeStatus {
        /// It is done.
        Applied = "applied",
        /// A question was answered.
        Answered = "answered",
        /// Somebody refused.
        Denied = "denied",
        /// Nobody decided in time.
        Expired = "expired",
        /// It could not be done.
        Failed = "failed",
    }
);

/// The end of a request in the agent's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResumePayload {
    /// `approval_request` or `owner_feedback`.
    pub kind: &'static str,
    /// Row of `mcp_action_requests`.
    pub request_id: i64,
    /// Canonical name of the tool.
    pub tool_name: String,
    /// How it ended.
    pub request_status: ResumeStatus,
    /// `option`, `free_text` or `none`.
    pub response_kind: &'static str,
    /// The option that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selected_option_id: Option<String>,
    /// The text that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_text: Option<String>,
    /// Why somebody refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it ended.
    pub resolved_at: DateTime<Utc>,
    /// What ended it.
    pub resolution_reason: String,
}

impl ResumePayload {
    /// Of a request that has ended; none while it is open.
    pub fn of(
        request: &RequestFacts,
        state: ApprovalState,
        answer: Option<&Answer>,
        reason: Option<&str>,
        resolved_at: DateTime<Utc>,
    ) -> Option<Self> {
        let asks = request.action == RequestAction::OwnerFeedback;
        let status = match state {
            ApprovalState::Applied if asks => ResumeStatus::Answered,
            ApprovalState::Applied => ResumeStatus::Applied,
            ApprovalState::Denied => ResumeStatus::Denied,
            ApprovalState::Expired => ResumeStatus::Expired,
            ApprovalState::Failed => ResumeStatus::Failed,
            ApprovalState::Requested | ApprovalState::Approved => return None,
        };
        let told = |wanted: ResumeStatus| (status == wanted).then_some(answer).flatten();
        let (response_kind, selected_option_id, free_text) = match told(ResumeStatus::Answered) {
            Some(Answer::Option(id)) => ("option", Some(id.clone()), None),
            Some(Answer::Custom(text)) => ("free_text", None, Some(text.clone())),
            None => ("none", None, None),
        };
        let resolution_reason = match (state, reason) {
            (ApprovalState::Expired | ApprovalState::Failed, Some(reason)) => reason.to_owned(),
            _ => status.to_string(),
        };
        Some(Self {
            kind: if asks {
                "owner_feedback"
            } else {
                "approval_request"
            },
            request_id: request.id,
            tool_name: request.tool_name.clone(),
            request_status: status,
            response_kind,
            selected_option_id,
            free_text,
            reason: (state == ApprovalState::Denied)
                .then(|| reason.map(str::to_owned))
                .flatten(),
            resolved_at,
            resolution_reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approvals::request::tests::feedback;

    fn payload(state: ApprovalState, answer: Option<Answer>, reason: Option<&str>) -> String {
        let payload = ResumePayload::of(
            &feedback(),
            state,
            answer.as_ref(),
            reason,
            DateTime::UNIX_EPOCH,
        );
        payload.map_or_else(
            || "none".to_owned(),
            |told| {
                format!(
                    "{} {} {:?} {:?} {:?} {}",
                    told.request_status,
                    told.response_kind,
                    told.selected_option_id,
                    told.free_text,
                    told.reason,
                    told.resolution_reason
                )
            },
        )
    }

    #[test]
    fn every_end_is_told_and_nothing_else() {
        let option = || Some(Answer::Option("opt-2".to_owned()));
        let text = || Some(Answer::Custom("blue".to_owned()));
        assert_eq!(
            payload(ApprovalState::Applied, option(), None),
            "answered option Some(\"opt-2\") None None answered"
        );
        assert_eq!(
            payload(ApprovalState::Applied, text(), None),
            "answered free_text None Some(\"blue\") None answered"
        );
        assert_eq!(
            payload(ApprovalState::Denied, None, Some("not now")),
            "denied none None None Some(\"not now\") denied"
        );
        assert_eq!(
            payload(ApprovalState::Expired, None, Some("ttl")),
            "expired none None None None ttl"
        );
        assert_eq!(
            payload(ApprovalState::Failed, option(), Some("facts_changed")),
            "failed none None None None facts_changed"
        );
        for open in [ApprovalState::Requested, ApprovalState::Approved] {
            assert_eq!(payload(open, option(), None), "none");
        }
    }
}

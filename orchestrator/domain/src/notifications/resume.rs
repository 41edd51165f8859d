//! What an agent is told when its question has ended (G-93).

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Given;
use crate::stages::spelled;

spelled!(
    /// How a question ended (`request_status`).
    InteractionEnd {
        /// The person answered.
        Answered = "answered",
        /// Nobody answered in time.
        Expired = "expired",
        /// The question could not be delivered.
        DeliveryExhausted = "delivery_exhausted",
        /// The run is over.
        Cancelled = "cancelled",
    }
);

/// The end of a question in the agent's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InteractionResume {
    /// `decision_request`.
    pub kind: &'static str,
    /// The interaction.
    pub request_id: String,
    /// Canonical name of the tool.
    pub tool_name: String,
    /// How it ended.
    pub request_status: InteractionEnd,
    /// `option`, `free_text` or `none`.
    pub response_kind: &'static str,
    /// The option that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selected_option_id: Option<String>,
    /// The text that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_text: Option<String>,
    /// When it ended.
    pub resolved_at: DateTime<Utc>,
    /// What ended it.
    pub resolution_reason: String,
}

impl InteractionResume {
    /// Of a question that has ended.
    pub fn of(
        interaction_id: &str,
        tool_name: &str,
        end: InteractionEnd,
        given: Option<&Given>,
        resolved_at: DateTime<Utc>,
    ) -> Self {
        let (response_kind, selected_option_id, free_text) = match given {
            Some(Given::Option(id)) => ("option", Some(id.clone()), None),
            Some(Given::Text(text)) => ("free_text", None, Some(text.clone())),
            None => ("none", None, None),
        };
        Self {
            kind: "decision_request",
            request_id: interaction_id.to_owned(),
            tool_name: tool_name.to_owned(),
            request_status: end,
            response_kind,
            selected_option_id,
            free_text,
            resolved_at,
            resolution_reason: end.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_and_so_is_its_absence() {
        let now = DateTime::UNIX_EPOCH;
        let cases = [
            (
                InteractionEnd::Answered,
                Some(Given::Option("a".to_owned())),
                "option a -",
            ),
            (
                InteractionEnd::Answered,
                Some(Given::Text("blue".to_owned())),
                "free_text - blue",
            ),
            (InteractionEnd::Expired, None, "none - -"),
            (InteractionEnd::DeliveryExhausted, None, "none - -"),
        ];
        for (end, given, expected) in cases {
            let told =
                InteractionResume::of("i", "user.decision.request", end, given.as_ref(), now);
            let seen = format!(
                "{} {} {}",
                told.response_kind,
                told.selected_option_id.as_deref().unwrap_or("-"),
                told.free_text.as_deref().unwrap_or("-")
            );
            assert_eq!(seen, expected, "{end}");
            assert_eq!(told.request_status, end);
        }
    }
}

//! How often a message is delivered, and what follows when it is not (G-134, G-140, G-141).

use chrono::{DateTime, Duration, Utc};
use serde::Deserialize;

use super::InteractionKind;
use crate::stages::spelled;

/// Most attempts at one message.
pub const MAX_ATTEMPTS: i64 = 3;
/// Pause before the second attempt, in seconds; it doubles.
const FIRST_BACKOFF_SECONDS: i64 = 30;
/// Longest pause, in seconds.
const LONGEST_BACKOFF_SECONDS: i64 = 900;

spelled!(
    /// What a delivery is for.
    DeliveryRole {
        /// The message itself.
        Primary = "primary_dispatch",
        /// The message is told to be answered, and its keyboard dropped.
        Edit = "message_edit",
        /// A further message, where the first cannot be edited.
        FollowUp = "follow_up_notify",
    }
);

spelled!(
    /// Why a delivery failed.
    DeliveryError {
        /// There is no adapter to deliver to.
        UnsupportedAdapter = "unsupported_adapter",
        /// Nobody answered.
        TransportUnavailable = "transport_unavailable",
        /// The adapter says no.
        AdapterRejected = "adapter_rejected",
        /// The adapter answered with a status of 400 to 499.
        AdapterHttp4xx = "adapter_http_4xx",
        /// The adapter answered with another status that is no success.
        AdapterHttp5xx = "adapter_http_5xx",
        /// The adapter's answer cannot be read.
        InvalidAdapterResponse = "invalid_adapter_response",
    }
);

spelled!(
    /// What an adapter can do with a message that it has sent.
    EditCapability {
        /// Text and keyboard.
        Editable = "editable",
        /// The keyboard.
        KeyboardOnly = "keyboard_only",
        /// Nothing; it sends another one.
        FollowUpOnly = "follow_up_only",
        /// It does not say.
        Unknown = "unknown",
    }
);

spelled!(
    /// What becomes of a message after its answer.
    Continuation {
        /// Nothing.
        None = "none",
        /// It is edited.
        EditMessage = "edit_message",
        /// Another one follows it.
        SendFollowUp = "send_follow_up",
        /// Somebody has to tell the person.
        ManualFallback = "manual_fallback",
    }
);

/// What an adapter says of a delivery that it was given; members that are not named here are its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Acknowledgement {
    /// Whether it took the message.
    pub accepted: bool,
    /// Its own name for the delivery.
    #[serde(default)]
    pub adapter_delivery_id: Option<String>,
    /// The message, as the provider names it.
    #[serde(default)]
    pub provider_message_ref: Option<String>,
    /// What can be done with the message later.
    #[serde(default)]
    pub edit_capability: Option<EditCapability>,
    /// Of a refusal: whether the same may succeed later.
    #[serde(default)]
    pub retryable: bool,
}

/// What comes after an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// The same again.
    RetryAt(DateTime<Utc>),
    /// No more of this; the interaction ends as not delivered.
    Exhausted,
    /// A further message in place of the edit.
    FollowUp,
    /// Somebody has to tell the person.
    ManualFallback,
}

/// Decides after the `attempts`th attempt of a role, which failed.
pub fn after_failure(
    role: DeliveryRole,
    attempts: i64,
    retryable: bool,
    now: DateTime<Utc>,
    deadline: Option<DateTime<Utc>>,
) -> AfterFailure {
    let doublings = u32::try_from(attempts - 1).unwrap_or_default().min(16);
    let pause = FIRST_BACKOFF_SECONDS
        .saturating_mul(2_i64.saturating_pow(doublings))
        .min(LONGEST_BACKOFF_SECONDS);
    let next = now + Duration::seconds(pause);
    let in_time = role != DeliveryRole::Primary || deadline.is_none_or(|end| next < end);
    if retryable && attempts < MAX_ATTEMPTS && in_time {
        return AfterFailure::RetryAt(next);
    }
    match role {
        DeliveryRole::Primary => AfterFailure::Exhausted,
        DeliveryRole::Edit => AfterFailure::FollowUp,
        DeliveryRole::FollowUp => AfterFailure::ManualFallback,
    }
}

/// What follows an answer (G-141): the message is edited where it can be, and nothing asks for an answer to a notice.
pub fn continuation(
    kind: InteractionKind,
    message: Option<&str>,
    capability: Option<EditCapability>,
) -> Continuation {
    match (kind, message, capability) {
        (InteractionKind::Notify, _, _) => Continuation::None,
        (_, None, _) | (_, _, Some(EditCapability::FollowUpOnly)) => Continuation::SendFollowUp,
        _ => Continuation::EditMessage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_attempts_with_doubling_pauses_and_none_past_the_deadline() {
        use AfterFailure::{Exhausted, FollowUp, ManualFallback, RetryAt};
        let now = DateTime::UNIX_EPOCH;
        let at = |seconds| now + Duration::seconds(seconds);
        let cases = [
            (DeliveryRole::Primary, 1, true, None, RetryAt(at(30))),
            (DeliveryRole::Primary, 2, true, None, RetryAt(at(60))),
            (DeliveryRole::Primary, 3, true, None, Exhausted),
            (DeliveryRole::Primary, 1, false, None, Exhausted),
            (DeliveryRole::Primary, 1, true, Some(30), Exhausted),
            (DeliveryRole::Primary, 1, true, Some(31), RetryAt(at(30))),
            (DeliveryRole::Edit, 1, true, Some(0), RetryAt(at(30))),
            (DeliveryRole::Edit, 3, true, None, FollowUp),
            (DeliveryRole::Edit, 1, false, None, FollowUp),
            (DeliveryRole::FollowUp, 3, true, None, ManualFallback),
        ];
        for (role, attempts, retryable, deadline, expected) in cases {
            let seen = after_failure(role, attempts, retryable, now, deadline.map(at));
            assert_eq!(seen, expected, "{role} {attempts} {retryable} {deadline:?}");
        }
    }

    #[test]
    fn a_message_is_edited_unless_it_cannot_be() {
        use Continuation::{EditMessage, None as Nothing, SendFollowUp};
        use InteractionKind::{DecisionRequest, Notify};
        let cases = [
            (Notify, Some("m"), Some(EditCapability::Editable), Nothing),
            (
                DecisionRequest,
                Some("m"),
                Some(EditCapability::Editable),
                EditMessage,
            ),
            (
                DecisionRequest,
                Some("m"),
                Some(EditCapability::KeyboardOnly),
                EditMessage,
            ),
            (
                DecisionRequest,
                Some("m"),
                Some(EditCapability::Unknown),
                EditMessage,
            ),
            (
                DecisionRequest,
                Some("m"),
                Some(EditCapability::FollowUpOnly),
                SendFollowUp,
            ),
            (
                DecisionRequest,
                None,
                Some(EditCapability::Editable),
                SendFollowUp,
            ),
        ];
        for (kind, message, capability, expected) in cases {
            let seen = continuation(kind, message, capability);
            assert_eq!(seen, expected, "{kind} {message:?} {capability:?}");
        }
    }
}

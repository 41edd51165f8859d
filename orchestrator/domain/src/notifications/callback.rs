//! What an adapter calls back, and what it comes to (G-135, G-137, G-138).

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::InteractionState;
use crate::approvals::Classification as Decided;
use crate::stages::spelled;

/// Longest text of an answer in bytes.
const TEXT_LIMIT_BYTES: usize = 8192;
/// Longest handle in bytes (G-137).
const HANDLE_LIMIT_BYTES: usize = 48;
/// Longest name of an event, a delivery, a person or a message in bytes.
const NAME_LIMIT_BYTES: usize = 200;
/// The only version of the envelope.
const SCHEMA_VERSION: &str = "v1";

spelled!(
    /// What happened at the provider.
    CallbackKind {
        /// The provider tells what became of the message.
        DeliveryReceipt = "delivery_receipt",
        /// A button was pressed.
        OptionSelected = "option_selected",
        /// A text was written.
        FreeTextReceived = "free_text_received",
        /// A voice message was written down.
        VoiceTranscriptReceived = "voice_transcript_received",
        /// The provider could not be reached.
        TransportFailure = "transport_failure",
    }
);

impl CallbackKind {
    /// Whether a person answered.
    pub fn is_answer(self) -> bool {
        !matches!(
            self,
            CallbackKind::DeliveryReceipt | CallbackKind::TransportFailure
        )
    }
}

spelled!(
    /// What became of the message at the provider.
    ReceiptStatus {
        /// The provider has it.
        Accepted = "accepted",
        /// The person has it.
        Delivered = "delivered",
        /// Nobody has it.
        Failed = "failed",
    }
);

spelled!(
    /// What a handle is good for.
    HandleKind {
        /// Choosing its option.
        Option = "option",
        /// Writing a text.
        FreeText = "free_text_session",
    }
);

spelled!(
    /// What came of a callback.
    Classified {
        /// It counts.
        Applied = "applied",
        /// It counted already.
        Duplicate = "duplicate",
        /// Another answer counts.
        Stale = "stale",
        /// It came too late.
        Expired = "expired",
        /// It is no answer to this question; the wait stays.
        Invalid = "invalid",
    }
);

impl From<Decided> for Classified {
    fn from(decided: Decided) -> Self {
        match decided {
            Decided::Applied => Classified::Applied,
            Decided::Duplicate => Classified::Duplicate,
            Decided::Stale => Classified::Stale,
            Decided::Expired => Classified::Expired,
        }
    }
}

/// Why the provider failed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterError {
    /// The adapter's name for it.
    pub code: String,
    /// For people.
    pub message: String,
    /// Whether the same may succeed later.
    pub retryable: bool,
}

/// The envelope of a callback as it arrives.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callback {
    /// `v1`.
    pub schema_version: String,
    /// Which interaction.
    pub interaction_id: String,
    /// Which delivery of it.
    #[serde(default)]
    pub delivery_id: Option<String>,
    /// The adapter's name for this event; the same event is taken once.
    pub adapter_event_id: String,
    /// What happened.
    pub callback_kind: CallbackKind,
    /// When, by the provider's clock.
    pub occurred_at: DateTime<Utc>,
    /// What the person pressed.
    #[serde(default)]
    pub callback_handle: Option<String>,
    /// What the person wrote.
    #[serde(default)]
    pub free_text: Option<String>,
    /// Who it was, as the adapter knows people.
    #[serde(default)]
    pub responder_ref: Option<String>,
    /// The message, as the provider names it.
    #[serde(default)]
    pub provider_message_ref: Option<String>,
    /// What became of the message.
    #[serde(default)]
    pub delivery_status: Option<ReceiptStatus>,
    /// Why it did not come through.
    #[serde(default)]
    pub error: Option<AdapterError>,
}

/// A callback that cannot be read as one: the member at fault and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read a callback: {field}: {message}")]
pub struct InvalidCallback {
    /// Member at fault.
    pub field: &'static str,
    /// For the adapter's author.
    pub message: &'static str,
}

impl Callback {
    /// Whether its members fit its kind (G-138).
    ///
    /// # Errors
    /// A receipt has a handle or a text, an answer a status or an error, a name is empty or too long, an answer has no
    /// handle, or a member is missing.
    pub fn check(&self) -> Result<(), InvalidCallback> {
        let refuse = |field, message| Err(InvalidCallback { field, message });
        if self.schema_version != SCHEMA_VERSION {
            return refuse("schema_version", "the only version is v1");
        }
        let is_name = |text: &str| {
            (1..=NAME_LIMIT_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
        };
        if !is_name(&self.adapter_event_id) {
            return refuse("adapter_event_id", "expected 1 to 200 bytes");
        }
        for (field, name) in [
            ("delivery_id", &self.delivery_id),
            ("responder_ref", &self.responder_ref),
            ("provider_message_ref", &self.provider_message_ref),
        ] {
            if name.as_deref().is_some_and(|name| !is_name(name)) {
                return refuse(field, "expected 1 to 200 bytes without control characters");
            }
        }
        if self.callback_kind.is_answer() {
            if self.delivery_status.is_some() {
                return refuse("delivery_status", "an answer has no delivery status");
            }
            if self.error.is_some() {
                return refuse("error", "an answer has no error");
            }
            if self.callback_handle.is_none() {
                return refuse("callback_handle", "an answer names its handle");
            }
            let is_text = self.callback_kind != CallbackKind::OptionSelected;
            return match (&self.free_text, is_text) {
                (None, true) => refuse("free_text", "the text is missing"),
                (Some(_), false) => refuse("free_text", "a chosen option has no text"),
                _ => Ok(()),
            };
        }
        if self.callback_handle.is_some() {
            return refuse("callback_handle", "a receipt has no handle");
        }
        if self.free_text.is_some() {
            return refuse("free_text", "a receipt has no text");
        }
        if self.callback_kind == CallbackKind::DeliveryReceipt && self.delivery_status.is_none() {
            return refuse("delivery_status", "a receipt names the delivery status");
        }
        if self.callback_kind == CallbackKind::TransportFailure && self.error.is_none() {
            return refuse("error", "a failure names its error");
        }
        Ok(())
    }

    /// Whether a handle may be one of ours at all (G-137).
    pub fn has_possible_handle(&self) -> bool {
        self.callback_handle.as_deref().is_some_and(|handle| {
            (1..=HANDLE_LIMIT_BYTES).contains(&handle.len()) && handle.is_ascii()
        })
    }
}

/// A handle as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handle {
    /// What it is good for.
    pub kind: HandleKind,
    /// Which option it stands for.
    pub option_id: Option<String>,
    /// It was used.
    pub is_used: bool,
}

/// What a person answered, if the answer counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// This option.
    Option(String),
    /// This text.
    Text(String),
}

/// What an answer comes to. The handle says what was chosen, never the adapter; none when it was forged.
pub fn classify_callback(
    state: InteractionState,
    deadline: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    handle: Option<&Handle>,
    callback: &Callback,
) -> Result<Given, Classified> {
    let Some(handle) = handle else {
        return Err(Classified::Invalid);
    };
    if handle.is_used {
        return Err(Classified::Duplicate);
    }
    match state {
        InteractionState::Expired => return Err(Classified::Expired),
        InteractionState::Resolved
        | InteractionState::Cancelled
        | InteractionState::DeliveryExhausted => return Err(Classified::Stale),
        InteractionState::PendingDispatch | InteractionState::Open => {}
    }
    if deadline.is_some_and(|end| now >= end) {
        return Err(Classified::Expired);
    }
    match (callback.callback_kind, handle.kind, &handle.option_id) {
        (CallbackKind::OptionSelected, HandleKind::Option, Some(id)) => {
            Ok(Given::Option(id.clone()))
        }
        (
            CallbackKind::FreeTextReceived | CallbackKind::VoiceTranscriptReceived,
            HandleKind::FreeText,
            _,
        ) => callback
            .free_text
            .as_deref()
            .filter(|text| !text.trim().is_empty() && text.len() <= TEXT_LIMIT_BYTES)
            .map(|text| Given::Text(text.to_owned()))
            .ok_or(Classified::Invalid),
        _ => Err(Classified::Invalid),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chrono::Duration;
    use serde_json::{Value, json};

    use super::*;

    fn envelope(kind: &str) -> Value {
        json!({
            "schema_version": "v1",
            "interaction_id": "0e8b5b5e-0000-4000-8000-000000000000",
            "adapter_event_id": "event-1",
            "callback_kind": kind,
            "occurred_at": "2026-01-01T00:00:00Z",
        })
    }

    fn with(mut base: Value, members: &[(&str, Value)]) -> Value {
        for (name, value) in members {
            base[*name] = value.clone();
        }
        base
    }

    fn text(kind: &str, text: &str) -> Callback {
        let members = [("callback_handle", json!("h")), ("free_text", json!(text))];
        serde_json::from_value(with(envelope(kind), &members)).unwrap()
    }

    #[test]
    fn members_fit_the_kind_or_are_named() {
        let error = json!({"code": "x", "message": "x", "retryable": true});
        let cases: [(&str, &[(&str, Value)], Option<&str>); 16] = [
            ("option_selected", &[("callback_handle", json!("h"))], None),
            ("option_selected", &[], Some("callback_handle")),
            (
                "option_selected",
                &[("callback_handle", json!("h")), ("free_text", json!("x"))],
                Some("free_text"),
            ),
            (
                "option_selected",
                &[
                    ("callback_handle", json!("h")),
                    ("delivery_status", json!("failed")),
                ],
                Some("delivery_status"),
            ),
            (
                "option_selected",
                &[("callback_handle", json!("h")), ("error", error.clone())],
                Some("error"),
            ),
            (
                "free_text_received",
                &[("callback_handle", json!("h"))],
                Some("free_text"),
            ),
            (
                "delivery_receipt",
                &[("delivery_status", json!("delivered"))],
                None,
            ),
            ("delivery_receipt", &[], Some("delivery_status")),
            (
                "delivery_receipt",
                &[
                    ("delivery_status", json!("failed")),
                    ("callback_handle", json!("h")),
                ],
                Some("callback_handle"),
            ),
            (
                "delivery_receipt",
                &[
                    ("delivery_status", json!("failed")),
                    ("free_text", json!("x")),
                ],
                Some("free_text"),
            ),
            ("transport_failure", &[("error", error)], None),
            ("transport_failure", &[], Some("error")),
            (
                "delivery_receipt",
                &[("schema_version", json!("v2"))],
                Some("schema_version"),
            ),
            (
                "delivery_receipt",
                &[("adapter_event_id", json!(""))],
                Some("adapter_event_id"),
            ),
            (
                "delivery_receipt",
                &[("adapter_event_id", json!("a\u{7}b"))],
                Some("adapter_event_id"),
            ),
            (
                "delivery_receipt",
                &[("responder_ref", json!("x".repeat(201)))],
                Some("responder_ref"),
            ),
        ];
        for (kind, members, expected) in cases {
            let callback: Callback = serde_json::from_value(with(envelope(kind), members)).unwrap();
            let field = callback.check().err().map(|invalid| invalid.field);
            assert_eq!(field, expected, "{kind} {members:?}");
        }
    }

    #[test]
    fn what_is_no_envelope_is_not_read() {
        let cases: [&[(&str, Value)]; 6] = [
            &[("option_id", json!("a"))],
            &[("interaction_id", json!(7))],
            &[("adapter_event_id", Value::Null)],
            &[("callback_kind", json!("shouted"))],
            &[("occurred_at", json!("yesterday"))],
            &[("callback_handle", json!(["h"]))],
        ];
        for members in cases {
            let value = with(envelope("option_selected"), members);
            assert!(
                serde_json::from_value::<Callback>(value).is_err(),
                "{members:?}"
            );
        }
    }

    #[test]
    fn handles_are_short_ascii() {
        for (handle, expected) in [
            (Some("a".repeat(48)), true),
            (Some("a".repeat(49)), false),
            (Some("ä".to_owned()), false),
            (Some(String::new()), false),
            (None, false),
        ] {
            let callback = Callback {
                callback_handle: handle.clone(),
                ..text("free_text_received", "x")
            };
            assert_eq!(callback.has_possible_handle(), expected, "{handle:?}");
        }
    }

    #[test]
    fn an_answer_counts_once_in_time_and_by_its_handle() {
        use Classified::{Duplicate, Expired, Invalid, Stale};
        use InteractionState::{Cancelled, DeliveryExhausted, Open, PendingDispatch, Resolved};
        let now = DateTime::UNIX_EPOCH;
        let deadline = Some(now + Duration::seconds(1));
        let handle = |kind, is_used| Handle {
            kind,
            option_id: (kind == HandleKind::Option).then(|| "a".to_owned()),
            is_used,
        };
        let option = handle(HandleKind::Option, false);
        let words = handle(HandleKind::FreeText, false);
        let used = handle(HandleKind::Option, true);
        let press: Callback = serde_json::from_value(with(
            envelope("option_selected"),
            &[("callback_handle", json!("h"))],
        ))
        .unwrap();
        let chosen = || Ok(Given::Option("a".to_owned()));
        let said = text("free_text_received", "blue");
        let spoken = text("voice_transcript_received", "blue");
        let limit = text("free_text_received", &"x".repeat(8192));
        let long = text("free_text_received", &"x".repeat(8193));
        let blank = text("free_text_received", " ");
        let blue = || Ok(Given::Text("blue".to_owned()));
        let cases = [
            (Open, deadline, Some(&option), &press, chosen()),
            (PendingDispatch, deadline, Some(&option), &press, chosen()),
            (Open, deadline, None, &press, Err(Invalid)),
            (Open, deadline, Some(&used), &press, Err(Duplicate)),
            (Resolved, deadline, Some(&used), &press, Err(Duplicate)),
            (Resolved, deadline, Some(&option), &press, Err(Stale)),
            (Cancelled, deadline, Some(&option), &press, Err(Stale)),
            (
                DeliveryExhausted,
                deadline,
                Some(&option),
                &press,
                Err(Stale),
            ),
            (
                InteractionState::Expired,
                deadline,
                Some(&option),
                &press,
                Err(Expired),
            ),
            (Open, Some(now), Some(&option), &press, Err(Expired)),
            (Open, deadline, Some(&words), &press, Err(Invalid)),
            (Open, deadline, Some(&option), &said, Err(Invalid)),
            (Open, deadline, Some(&words), &said, blue()),
            (Open, deadline, Some(&words), &spoken, blue()),
            (Open, deadline, Some(&words), &long, Err(Invalid)),
            (Open, deadline, Some(&words), &blank, Err(Invalid)),
        ];
        for (state, deadline, handle, callback, expected) in cases {
            let seen = classify_callback(state, deadline, now, handle, callback);
            assert_eq!(
                seen, expected,
                "{state} {handle:?} {:?}",
                callback.callback_kind
            );
        }
        assert!(classify_callback(Open, deadline, now, Some(&words), &limit).is_ok());
    }
}

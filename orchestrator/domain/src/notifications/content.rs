//! What an agent tells or asks the person it works for (G-61, G-62).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::stages::spelled;
use crate::tools::fields::{limited_text, optional_limited_text};
use crate::tools::{IdempotencyKey, ToolFailure, idempotency_key, only_arguments};

/// Longest summary in characters.
const SUMMARY_LIMIT_CHARACTERS: usize = 200;
/// Longest question in characters.
const QUESTION_LIMIT_CHARACTERS: usize = 500;
/// Longest details in characters: a message of a chat, not a document.
const DETAILS_LIMIT_CHARACTERS: usize = 8000;
/// Longest label of an option, a button or a placeholder in characters.
const LABEL_LIMIT_CHARACTERS: usize = 64;
/// Longest description of an option in characters.
const DESCRIPTION_LIMIT_CHARACTERS: usize = 500;
/// Longest address of a button in characters.
const URL_LIMIT_CHARACTERS: usize = 2000;
/// Fewest and most options.
const OPTIONS: std::ops::RangeInclusive<usize> = 2..=5;
/// Shortest and longest time for an answer, in seconds.
const TTL_SECONDS: std::ops::RangeInclusive<i64> = 60..=86_400;
/// Time for an answer when the agent names none, in seconds.
const DEFAULT_TTL_SECONDS: i64 = 86_400;

spelled!(
    /// What a notification is about.
    NotificationKind {
        /// Something is done.
        Completion = "completion",
        /// Something is to be done next.
        NextStep = "next_step",
        /// How it goes.
        StatusUpdate = "status_update",
        /// Something is wrong.
        Warning = "warning",
    }
);

/// A notification; nobody waits for an answer to it. Its JSON form is what the adapter is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What it is about.
    pub notification_kind: NotificationKind,
    /// In one sentence.
    pub summary: String,
    /// In many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details_markdown: Option<String>,
    /// A button.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_label: Option<String>,
    /// What it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_url: Option<String>,
    /// The caller's name for it.
    #[serde(skip)]
    pub key: Option<IdempotencyKey>,
}

/// One way to answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionOption {
    /// The agent's name for it.
    pub option_id: String,
    /// What the person reads on the button.
    pub label: String,
    /// What the person reads beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A question to the person whom the run works for; the run waits. Its JSON form is what the adapter is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionQuestion {
    /// The question.
    pub question: String,
    /// What is to know for an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details_markdown: Option<String>,
    /// Ways to answer.
    pub options: Vec<DecisionOption>,
    /// Whether a text is an answer, too.
    pub allow_free_text: bool,
    /// What stands in the empty field for a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_text_placeholder: Option<String>,
    /// For how long it may be answered.
    pub response_ttl_seconds: i64,
    /// The caller's name for it.
    #[serde(skip)]
    pub key: Option<IdempotencyKey>,
}

/// Reads the arguments of `user.notify` (G-61).
///
/// # Errors
/// A text is missing, blank or too long, the kind is unknown, the address is not https or has no label, or an argument is
/// unknown.
pub fn notice(arguments: &Map<String, Value>) -> Result<Notice, ToolFailure> {
    only_arguments(
        arguments,
        &[
            "notification_kind",
            "summary",
            "details_markdown",
            "action_label",
            "action_url",
            "idempotency_key",
        ],
    )?;
    let notification_kind = arguments
        .get("notification_kind")
        .and_then(Value::as_str)
        .and_then(NotificationKind::from_text)
        .ok_or_else(|| {
            let kinds: Vec<_> = NotificationKind::ALL
                .iter()
                .map(|kind| kind.as_str())
                .collect();
            ToolFailure::invalid(
                "notification_kind",
                format!("expected one of {}", kinds.join(", ")),
            )
        })?;
    let action_label = optional_limited_text(arguments, "action_label", LABEL_LIMIT_CHARACTERS)?;
    let action_url = optional_limited_text(arguments, "action_url", URL_LIMIT_CHARACTERS)?;
    if let Some(url) = &action_url {
        let host = url.strip_prefix("https://").unwrap_or_default();
        if host.is_empty() || host.starts_with('/') || url.chars().any(char::is_whitespace) {
            return Err(ToolFailure::invalid(
                "action_url",
                "expected an address that begins with https://",
            ));
        }
        if action_label.is_none() {
            return Err(ToolFailure::invalid(
                "action_label",
                "an address needs a label",
            ));
        }
    }
    Ok(Notice {
        notification_kind,
        summary: limited_text(arguments, "summary", SUMMARY_LIMIT_CHARACTERS)?,
        details_markdown: optional_limited_text(
            arguments,
            "details_markdown",
            DETAILS_LIMIT_CHARACTERS,
        )?,
        action_label,
        action_url,
        key: idempotency_key(arguments)?,
    })
}

/// Reads the arguments of `user.decision.request` (G-62).
///
/// # Errors
/// A text is missing, blank or too long, there are too few, too many or equal options, the time is out of bounds, or an
/// argument is unknown.
pub fn decision_question(arguments: &Map<String, Value>) -> Result<DecisionQuestion, ToolFailure> {
    only_arguments(
        arguments,
        &[
            "question",
            "details_markdown",
            "options",
            "allow_free_text",
            "free_text_placeholder",
            "response_ttl_seconds",
            "idempotency_key",
        ],
    )?;
    let allow_free_text = match arguments.get("allow_free_text") {
        None => false,
        Some(value) => value.as_bool().ok_or_else(|| {
            ToolFailure::invalid("allow_free_text", "allow_free_text is true or false")
        })?,
    };
    let free_text_placeholder =
        optional_limited_text(arguments, "free_text_placeholder", LABEL_LIMIT_CHARACTERS)?;
    if free_text_placeholder.is_some() && !allow_free_text {
        return Err(ToolFailure::invalid(
            "free_text_placeholder",
            "the question takes no text",
        ));
    }
    let response_ttl_seconds = match arguments.get("response_ttl_seconds") {
        None => DEFAULT_TTL_SECONDS,
        Some(value) => value
            .as_i64()
            .filter(|seconds| TTL_SECONDS.contains(seconds))
            .ok_or_else(|| {
                ToolFailure::invalid("response_ttl_seconds", "expected 60 to 86400 seconds")
            })?,
    };
    Ok(DecisionQuestion {
        question: limited_text(arguments, "question", QUESTION_LIMIT_CHARACTERS)?,
        details_markdown: optional_limited_text(
            arguments,
            "details_markdown",
            DETAILS_LIMIT_CHARACTERS,
        )?,
        options: options(arguments)?,
        allow_free_text,
        free_text_placeholder,
        response_ttl_seconds,
        key: idempotency_key(arguments)?,
    })
}

fn options(arguments: &Map<String, Value>) -> Result<Vec<DecisionOption>, ToolFailure> {
    let invalid = |message: &str| ToolFailure::invalid("options", message);
    let given = arguments
        .get("options")
        .and_then(Value::as_array)
        .filter(|options| OPTIONS.contains(&options.len()))
        .ok_or_else(|| invalid("expected 2 to 5 options"))?;
    let mut seen = BTreeSet::new();
    let mut options = Vec::with_capacity(given.len());
    for option in given {
        let option = option
            .as_object()
            .ok_or_else(|| invalid("an option has option_id and label"))?;
        only_arguments(option, &["option_id", "label", "description"])
            .map_err(|_| invalid("an option has option_id, label and description only"))?;
        let of_option = |failure: ToolFailure| invalid(&failure.message);
        let option_id =
            limited_text(option, "option_id", LABEL_LIMIT_CHARACTERS).map_err(of_option)?;
        if !seen.insert(option_id.clone()) {
            return Err(invalid("the ids of the options must differ"));
        }
        options.push(DecisionOption {
            option_id,
            label: limited_text(option, "label", LABEL_LIMIT_CHARACTERS).map_err(of_option)?,
            description: optional_limited_text(option, "description", DESCRIPTION_LIMIT_CHARACTERS)
                .map_err(of_option)?,
        });
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn with(mut base: Value, name: &str, value: Value) -> Value {
        base[name] = value;
        base
    }

    #[test]
    fn a_notice_is_read_and_its_faults_are_named() {
        let base = json!({"notification_kind": "warning", "summary": " disk is full "});
        let read = |arguments: &Value| notice(arguments.as_object().unwrap());
        assert_eq!(read(&base).unwrap().summary, "disk is full");
        let linked = with(
            with(base.clone(), "action_url", json!("https://a.example/x")),
            "action_label",
            json!("Look"),
        );
        assert!(read(&linked).is_ok());
        let cases = [
            ("notification_kind", json!("gossip"), "notification_kind"),
            ("summary", json!(""), "summary"),
            ("summary", json!("x".repeat(201)), "summary"),
            ("summary", json!(7), "summary"),
            ("action_url", json!("http://a.example"), "action_url"),
            ("action_url", json!("https://"), "action_url"),
            ("action_url", json!("https:///x"), "action_url"),
            ("action_url", json!("https://a b"), "action_url"),
            ("action_url", json!("https://a.example"), "action_label"),
            ("recipient", json!("octocat"), "recipient"),
        ];
        for (name, value, field) in cases {
            let failure = read(&with(base.clone(), name, value.clone())).unwrap_err();
            assert_eq!(failure.field.as_deref(), Some(field), "{name} {value}");
        }
    }

    #[test]
    fn a_question_is_read_and_its_faults_are_named() {
        let option = |id: &str| json!({"option_id": id, "label": id});
        let base = json!({"question": "Which?", "options": [option("a"), option("b")]});
        let read = |arguments: &Value| decision_question(arguments.as_object().unwrap());
        let question = read(&base).unwrap();
        assert_eq!(question.response_ttl_seconds, DEFAULT_TTL_SECONDS);
        assert!(!question.allow_free_text);
        let cases = [
            ("options", json!([option("a")]), "options"),
            ("options", json!([option("a"), option("a")]), "options"),
            ("options", json!(["a", "b"]), "options"),
            (
                "options",
                json!([option("a"), {"option_id": "b", "label": "b", "colour": "red"}]),
                "options",
            ),
            (
                "options",
                json!([
                    option("a"),
                    option("b"),
                    option("c"),
                    option("d"),
                    option("e"),
                    option("f")
                ]),
                "options",
            ),
            (
                "options",
                json!([option("a"), {"option_id": "b"}]),
                "options",
            ),
            ("question", json!("x".repeat(501)), "question"),
            ("response_ttl_seconds", json!(59), "response_ttl_seconds"),
            (
                "response_ttl_seconds",
                json!(86_401),
                "response_ttl_seconds",
            ),
            ("allow_free_text", json!("yes"), "allow_free_text"),
            ("free_text_placeholder", json!("…"), "free_text_placeholder"),
            ("recipient_ref", json!("x"), "recipient_ref"),
        ];
        for (name, value, field) in cases {
            let failure = read(&with(base.clone(), name, value.clone())).unwrap_err();
            assert_eq!(failure.field.as_deref(), Some(field), "{name} {value}");
        }
    }
}

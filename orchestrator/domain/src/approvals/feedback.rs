//! A question to the owner and its answer (2.5).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::stages::spelled;
use crate::tools::{
    IdempotencyKey, ToolFailure, dry_run, idempotency_key, justification, only_arguments,
};

/// Longest question in characters.
const QUESTION_LIMIT_CHARACTERS: usize = 500;
/// Longest option in characters.
const OPTION_LIMIT_CHARACTERS: usize = 64;
/// Fewest and most options.
const OPTIONS: std::ops::RangeInclusive<usize> = 2..=5;
/// Shortest and longest time for an answer, in seconds.
const TTL_SECONDS: std::ops::RangeInclusive<i64> = 60..=604_800;
/// Time for an answer when the agent names none, in seconds.
const DEFAULT_TTL_SECONDS: i64 = 86_400;
/// Longest text of an answer in bytes (G-58).
const CUSTOM_LIMIT_BYTES: usize = 8192;

/// One way to answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackOption {
    /// `opt-1` to `opt-5`.
    pub option_id: String,
    /// What the person reads.
    pub label: String,
}

/// What the agent asks. Its JSON form is what a key is held against: neither key nor `dry_run` is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackQuestion {
    /// The question.
    pub question: String,
    /// Ways to answer.
    pub options: Vec<FeedbackOption>,
    /// Whether a text is an answer, too.
    pub allow_custom: bool,
    /// For how long it may be answered.
    pub response_ttl_seconds: i64,
    /// Why the agent asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
    /// The caller's name for it.
    #[serde(skip)]
    pub key: Option<IdempotencyKey>,
    /// Only to be checked (G-31).
    #[serde(skip)]
    pub dry_run: bool,
}

/// Reads the arguments of `owner.feedback.request` (G-57).
///
/// # Errors
/// The question is blank or too long, there are too few, too many, equal, blank or too long options, the time is out of
/// bounds, or an argument is unknown.
pub fn feedback_question(arguments: &Map<String, Value>) -> Result<FeedbackQuestion, ToolFailure> {
    only_arguments(
        arguments,
        &[
            "question",
            "options",
            "allow_custom",
            "response_ttl_seconds",
            "justification",
            "idempotency_key",
            "dry_run",
        ],
    )?;
    let question = arguments
        .get("question")
        .and_then(Value::as_str)
        .map(str::trim)
        .filter(|text| (1..=QUESTION_LIMIT_CHARACTERS).contains(&text.chars().count()))
        .ok_or_else(|| {
            ToolFailure::invalid(
                "question",
                format!("the question must have 1 to {QUESTION_LIMIT_CHARACTERS} characters"),
            )
        })?;
    let allow_custom = match arguments.get("allow_custom") {
        None => false,
        Some(value) => value
            .as_bool()
            .ok_or_else(|| ToolFailure::invalid("allow_custom", "allow_custom is true or false"))?,
    };
    let response_ttl_seconds = match arguments.get("response_ttl_seconds") {
        None => DEFAULT_TTL_SECONDS,
        Some(value) => value
            .as_i64()
            .filter(|seconds| TTL_SECONDS.contains(seconds))
            .ok_or_else(|| {
                ToolFailure::invalid("response_ttl_seconds", "expected 60 to 604800 seconds")
            })?,
    };
    Ok(FeedbackQuestion {
        question: question.to_owned(),
        options: options(arguments)?,
        allow_custom,
        response_ttl_seconds,
        justification: justification(arguments)?,
        key: idempotency_key(arguments)?,
        dry_run: dry_run(arguments)?,
    })
}

fn options(arguments: &Map<String, Value>) -> Result<Vec<FeedbackOption>, ToolFailure> {
    let invalid = |message: &str| ToolFailure::invalid("options", message);
    let given = arguments
        .get("options")
        .and_then(Value::as_array)
        .filter(|options| OPTIONS.contains(&options.len()))
        .ok_or_else(|| invalid("expected 2 to 5 options"))?;
    let mut seen = BTreeSet::new();
    let mut options = Vec::with_capacity(given.len());
    for (index, option) in given.iter().enumerate() {
        let label = option.as_str().map(str::trim).unwrap_or_default();
        if !(1..=OPTION_LIMIT_CHARACTERS).contains(&label.chars().count()) {
            return Err(invalid("an option has 1 to 64 characters"));
        }
        if !seen.insert(label.to_lowercase()) {
            return Err(invalid("the options must differ"));
        }
        options.push(FeedbackOption {
            option_id: format!("opt-{}", index + 1),
            label: label.to_owned(),
        });
    }
    Ok(options)
}

/// An answer as a person gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenAnswer {
    /// One of the options.
    pub option_id: Option<String>,
    /// A text of the person's own.
    pub custom_text: Option<String>,
}

/// An answer that fits its question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This option.
    Option(String),
    /// This text.
    Custom(String),
}

impl Answer {
    /// `answer_kind` of `feedback.answered`.
    pub fn kind(&self) -> &'static str {
        match self {
            Answer::Option(_) => "option",
            Answer::Custom(_) => "free_text",
        }
    }
}

spelled!(
    /// Why an answer is none (G-58).
    InvalidAnswer {
        /// Neither option nor text, or both.
        NotOne = "give either option_id or custom_text",
        /// No such option.
        UnknownOption = "the question has no such option",
        /// The question wants an option.
        CustomNotAllowed = "the question takes no text of your own",
        /// Too short or too long.
        CustomLength = "the text must have 1 to 8192 bytes",
    }
);

impl FeedbackQuestion {
    /// The answer, if it is one.
    ///
    /// # Errors
    /// Why it is none; the question then stays open.
    pub fn answer(&self, given: Option<&GivenAnswer>) -> Result<Answer, InvalidAnswer> {
        let given = given.ok_or(InvalidAnswer::NotOne)?;
        match (&given.option_id, &given.custom_text) {
            (Some(id), None) => self
                .options
                .iter()
                .find(|option| option.option_id == *id)
                .map(|option| Answer::Option(option.option_id.clone()))
                .ok_or(InvalidAnswer::UnknownOption),
            (None, Some(_)) if !self.allow_custom => Err(InvalidAnswer::CustomNotAllowed),
            (None, Some(text)) if text.trim().is_empty() || text.len() > CUSTOM_LIMIT_BYTES => {
                Err(InvalidAnswer::CustomLength)
            }
            (None, Some(text)) => Ok(Answer::Custom(text.clone())),
            _ => Err(InvalidAnswer::NotOne),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn read(arguments: Value) -> Result<FeedbackQuestion, ToolFailure> {
        feedback_question(arguments.as_object().unwrap())
    }

    #[test]
    fn options_are_numbered_and_defaults_filled_in() {
        let question = read(json!({"question": " Which? ", "options": ["red", " blue "]})).unwrap();
        assert_eq!(question.question, "Which?");
        let options: Vec<_> = question
            .options
            .iter()
            .map(|option| (option.option_id.as_str(), option.label.as_str()))
            .collect();
        assert_eq!(options, [("opt-1", "red"), ("opt-2", "blue")]);
        assert!(!question.allow_custom && !question.dry_run);
        assert_eq!(question.response_ttl_seconds, DEFAULT_TTL_SECONDS);
    }

    #[test]
    fn what_is_no_question_is_refused_by_its_field() {
        let two = json!(["a", "b"]);
        let cases = [
            (json!({"options": two}), "question"),
            (json!({"question": "  ", "options": two}), "question"),
            (
                json!({"question": "x".repeat(501), "options": two}),
                "question",
            ),
            (json!({"question": "q"}), "options"),
            (json!({"question": "q", "options": ["a"]}), "options"),
            (
                json!({"question": "q", "options": ["a", "b", "c", "d", "e", "f"]}),
                "options",
            ),
            (json!({"question": "q", "options": ["a", "A "]}), "options"),
            (json!({"question": "q", "options": ["a", " "]}), "options"),
            (
                json!({"question": "q", "options": ["a", "b".repeat(65)]}),
                "options",
            ),
            (
                json!({"question": "q", "options": two, "response_ttl_seconds": 59}),
                "response_ttl_seconds",
            ),
            (
                json!({"question": "q", "options": two, "response_ttl_seconds": 604_801}),
                "response_ttl_seconds",
            ),
            (
                json!({"question": "q", "options": two, "allow_custom": "yes"}),
                "allow_custom",
            ),
            (
                json!({"question": "q", "options": two, "justification": "short"}),
                "justification",
            ),
            (json!({"question": "q", "options": two, "x": 1}), "x"),
        ];
        for (arguments, field) in cases {
            let failure = read(arguments.clone()).unwrap_err();
            assert_eq!(failure.field.as_deref(), Some(field), "{arguments}");
        }
    }

    #[test]
    fn an_answer_is_one_of_the_options_or_a_text_where_it_is_allowed() {
        let closed = read(json!({"question": "q", "options": ["a", "b"]})).unwrap();
        let open = FeedbackQuestion {
            allow_custom: true,
            ..closed.clone()
        };
        let option = |id: &str| GivenAnswer {
            option_id: Some(id.to_owned()),
            custom_text: None,
        };
        let text = |text: &str| GivenAnswer {
            option_id: None,
            custom_text: Some(text.to_owned()),
        };
        let both = GivenAnswer {
            option_id: Some("opt-1".to_owned()),
            custom_text: Some("x".to_owned()),
        };
        assert_eq!(
            closed.answer(Some(&option("opt-2"))),
            Ok(Answer::Option("opt-2".to_owned()))
        );
        assert_eq!(
            open.answer(Some(&text("green"))),
            Ok(Answer::Custom("green".to_owned()))
        );
        let longest = "x".repeat(CUSTOM_LIMIT_BYTES);
        assert!(open.answer(Some(&text(&longest))).is_ok());
        let cases = [
            (&closed, None, InvalidAnswer::NotOne),
            (&closed, Some(GivenAnswer::default()), InvalidAnswer::NotOne),
            (&open, Some(both), InvalidAnswer::NotOne),
            (&closed, Some(option("opt-3")), InvalidAnswer::UnknownOption),
            (&closed, Some(text("x")), InvalidAnswer::CustomNotAllowed),
            (&open, Some(text(" ")), InvalidAnswer::CustomLength),
            (
                &open,
                Some(text(&format!("{longest}x"))),
                InvalidAnswer::CustomLength,
            ),
        ];
        for (question, given, expected) in cases {
            assert_eq!(question.answer(given.as_ref()), Err(expected), "{given:?}");
        }
    }
}

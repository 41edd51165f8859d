//! Arguments of a call, read strictly: the schemas are closed (G-5), texts are trimmed and counted in characters.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

use super::ToolFailure;

/// Longest status text in Unicode characters (G-39).
pub const STATUS_LIMIT_CHARACTERS: usize = 100;
/// Most labels in one list (2.1).
const LABELS_LIMIT: usize = 20;
/// Longest label name in characters; GitHub's own limit (2.1).
const LABEL_LIMIT_CHARACTERS: usize = 50;
/// Longest idempotency key in characters (G-26).
const KEY_LIMIT_CHARACTERS: usize = 128;
/// Shortest and longest justification in characters (G-31).
const JUSTIFICATION_CHARACTERS: std::ops::RangeInclusive<usize> = 10..=500;

/// A caller's name for one mutation, lower-cased (G-26).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which of the changing label tools is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelOperation {
    /// `github_labels_add`.
    Add,
    /// `github_labels_remove`.
    Remove,
    /// `github_labels_transition`.
    Transition,
}

/// What a changing label call asks for. Its JSON form is what a key is held against: neither key nor `dry_run` is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelArguments {
    /// Issue or pull request; the run's own when absent.
    pub issue_number: Option<i64>,
    /// To set, in the order of the call, each once.
    pub add: Vec<String>,
    /// To take off, in the order of the call, each once.
    pub remove: Vec<String>,
    /// The caller's name for it.
    #[serde(skip)]
    pub key: Option<IdempotencyKey>,
    /// Only to be checked (G-31).
    #[serde(skip)]
    pub dry_run: bool,
}

/// The text of `run_status_report`, trimmed (G-39).
///
/// # Errors
/// The text is missing, blank or too long, or there are other arguments.
pub fn status_text(arguments: &Map<String, Value>) -> Result<String, ToolFailure> {
    only_arguments(arguments, &["status"])?;
    let text = arguments
        .get("status")
        .ok_or_else(|| ToolFailure::invalid("status", "the status is missing"))?
        .as_str()
        .ok_or_else(|| ToolFailure::invalid("status", "the status is not a text"))?
        .trim();
    if (1..=STATUS_LIMIT_CHARACTERS).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err(ToolFailure::invalid(
            "status",
            format!("the status must have 1 to {STATUS_LIMIT_CHARACTERS} characters"),
        ))
    }
}

/// The thread that `github_labels_list` asks for.
///
/// # Errors
/// The number is none, or there are other arguments.
pub fn label_query(arguments: &Map<String, Value>) -> Result<Option<i64>, ToolFailure> {
    only_arguments(arguments, &["issue_number"])?;
    issue_number(arguments)
}

/// The arguments of a changing label tool (G-32).
///
/// # Errors
/// A list is missing or too long, a label blank or too long, a label is in both lists, or an argument is unknown.
pub fn label_arguments(
    operation: LabelOperation,
    arguments: &Map<String, Value>,
) -> Result<LabelArguments, ToolFailure> {
    let lists: &[&str] = match operation {
        LabelOperation::Add | LabelOperation::Remove => &["labels"],
        LabelOperation::Transition => &["add_labels", "remove_labels"],
    };
    let common = ["issue_number", "idempotency_key", "dry_run"];
    only_arguments(arguments, &[lists, &common].concat())?;
    let read = |name| label_list(arguments, name);
    let (add, remove) = match operation {
        LabelOperation::Add => (read("labels")?, Vec::new()),
        LabelOperation::Remove => (Vec::new(), read("labels")?),
        LabelOperation::Transition => (read("add_labels")?, read("remove_labels")?),
    };
    if add.is_empty() && remove.is_empty() {
        return Err(ToolFailure::invalid(
            lists[0],
            "at least one label is needed",
        ));
    }
    if let Some(label) = add.iter().find(|label| contains(&remove, label)) {
        return Err(ToolFailure::invalid(
            "add_labels",
            format!("{label:?} is in both lists"),
        ));
    }
    Ok(LabelArguments {
        issue_number: issue_number(arguments)?,
        add,
        remove,
        key: idempotency_key(arguments)?,
        dry_run: dry_run(arguments)?,
    })
}

/// `dry_run`, false when absent (G-31).
///
/// # Errors
/// It is no boolean.
pub fn dry_run(arguments: &Map<String, Value>) -> Result<bool, ToolFailure> {
    match arguments.get("dry_run") {
        None => Ok(false),
        Some(value) => value
            .as_bool()
            .ok_or_else(|| ToolFailure::invalid("dry_run", "dry_run is true or false")),
    }
}

/// `justification` of a privileged tool (G-31).
///
/// # Errors
/// It is too short or too long.
pub fn justification(arguments: &Map<String, Value>) -> Result<Option<String>, ToolFailure> {
    let Some(value) = arguments.get("justification") else {
        return Ok(None);
    };
    value
        .as_str()
        .map(str::trim)
        .filter(|text| JUSTIFICATION_CHARACTERS.contains(&text.chars().count()))
        .map(|text| Some(text.to_owned()))
        .ok_or_else(|| {
            ToolFailure::invalid(
                "justification",
                "the justification must have 10 to 500 characters",
            )
        })
}

/// Refuses arguments that a tool does not know: the schemas are closed (G-5).
///
/// # Errors
/// There is one.
pub fn only_arguments(arguments: &Map<String, Value>, known: &[&str]) -> Result<(), ToolFailure> {
    match arguments
        .keys()
        .find(|name| !known.contains(&name.as_str()))
    {
        Some(unknown) => Err(ToolFailure::invalid(
            unknown
                .chars()
                .take(KEY_LIMIT_CHARACTERS)
                .collect::<String>(),
            "the tool has no such argument",
        )),
        None => Ok(()),
    }
}

fn issue_number(arguments: &Map<String, Value>) -> Result<Option<i64>, ToolFailure> {
    match arguments.get("issue_number") {
        None => Ok(None),
        Some(value) => value
            .as_i64()
            .filter(|number| *number > 0)
            .map(Some)
            .ok_or_else(|| ToolFailure::invalid("issue_number", "expected a number above 0")),
    }
}

fn contains(labels: &[String], wanted: &str) -> bool {
    let wanted = wanted.to_lowercase();
    labels.iter().any(|label| label.to_lowercase() == wanted)
}

fn label_list(arguments: &Map<String, Value>, name: &str) -> Result<Vec<String>, ToolFailure> {
    let Some(value) = arguments.get(name) else {
        return Ok(Vec::new());
    };
    let values = value
        .as_array()
        .filter(|values| values.len() <= LABELS_LIMIT)
        .ok_or_else(|| {
            ToolFailure::invalid(
                name,
                format!("expected a list of at most {LABELS_LIMIT} labels"),
            )
        })?;
    let mut labels = Vec::with_capacity(values.len());
    let mut seen = BTreeSet::new();
    for value in values {
        let label = value.as_str().map(str::trim).unwrap_or_default();
        if !(1..=LABEL_LIMIT_CHARACTERS).contains(&label.chars().count()) {
            return Err(ToolFailure::invalid(
                name,
                format!("a label has 1 to {LABEL_LIMIT_CHARACTERS} characters"),
            ));
        }
        if seen.insert(label.to_lowercase()) {
            labels.push(label.to_owned());
        }
    }
    Ok(labels)
}

/// `idempotency_key`, lower-cased (G-26).
///
/// # Errors
/// It is too long or has other characters.
pub fn idempotency_key(
    arguments: &Map<String, Value>,
) -> Result<Option<IdempotencyKey>, ToolFailure> {
    let Some(value) = arguments.get("idempotency_key") else {
        return Ok(None);
    };
    let allowed =
        |character: char| character.is_ascii_alphanumeric() || "._-:/".contains(character);
    value
        .as_str()
        .filter(|key| (1..=KEY_LIMIT_CHARACTERS).contains(&key.len()) && key.chars().all(allowed))
        .map(|key| Some(IdempotencyKey(key.to_lowercase())))
        .ok_or_else(|| {
            ToolFailure::invalid(
                "idempotency_key",
                format!("expected 1 to {KEY_LIMIT_CHARACTERS} of A-Z a-z 0-9 . _ - : /"),
            )
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn field<T>(result: Result<T, ToolFailure>) -> Option<String> {
        result.err().and_then(|failure| failure.field)
    }

    #[test]
    fn a_status_is_trimmed_and_counted_in_characters() {
        let longest = "ж".repeat(100);
        let read = status_text(&object(json!({"status": format!("  {longest}\n")})));
        assert_eq!(read.unwrap(), longest);
        for refused in [
            json!({"status": "ж".repeat(101)}),
            json!({"status": " \n "}),
            json!({"status": 7}),
            json!({}),
        ] {
            let read = status_text(&object(refused.clone()));
            assert_eq!(field(read).as_deref(), Some("status"), "{refused}");
        }
        let read = status_text(&object(json!({"status": "ok", "run_id": "x"})));
        assert_eq!(field(read).as_deref(), Some("run_id"));
    }

    #[test]
    fn labels_are_trimmed_and_named_once_whatever_their_case() {
        let read = label_arguments(
            LabelOperation::Add,
            &object(json!({"labels": [" need:qa ", "NEED:QA", "x"], "idempotency_key": "A/b"})),
        )
        .unwrap();
        assert_eq!(read.add, ["need:qa", "x"]);
        assert_eq!(read.key.unwrap().as_str(), "a/b");
    }

    #[test]
    fn lists_that_are_empty_overlap_or_are_too_long_are_refused() {
        let many: Vec<String> = (0..21).map(|number| format!("l{number}")).collect();
        let cases = [
            (LabelOperation::Add, json!({}), "labels"),
            (LabelOperation::Remove, json!({"labels": []}), "labels"),
            (LabelOperation::Add, json!({"labels": many}), "labels"),
            (LabelOperation::Add, json!({"labels": [" "]}), "labels"),
            (
                LabelOperation::Add,
                json!({"labels": ["x".repeat(51)]}),
                "labels",
            ),
            (LabelOperation::Add, json!({"labels": "x"}), "labels"),
            (
                LabelOperation::Add,
                json!({"add_labels": ["x"]}),
                "add_labels",
            ),
            (LabelOperation::Transition, json!({}), "add_labels"),
            (
                LabelOperation::Transition,
                json!({"add_labels": ["X"], "remove_labels": ["x"]}),
                "add_labels",
            ),
            (
                LabelOperation::Add,
                json!({"labels": ["x"], "issue_number": 0}),
                "issue_number",
            ),
            (
                LabelOperation::Add,
                json!({"labels": ["x"], "idempotency_key": "a b"}),
                "idempotency_key",
            ),
            (
                LabelOperation::Add,
                json!({"labels": ["x"], "idempotency_key": ""}),
                "idempotency_key",
            ),
            (
                LabelOperation::Add,
                json!({"labels": ["x"], "dry_run": "yes"}),
                "dry_run",
            ),
        ];
        for (operation, arguments, expected) in cases {
            let read = label_arguments(operation, &object(arguments.clone()));
            assert_eq!(field(read).as_deref(), Some(expected), "{arguments}");
        }
    }

    #[test]
    fn what_a_key_is_held_against_leaves_key_and_dry_run_out() {
        let read = |arguments| label_arguments(LabelOperation::Add, &object(arguments)).unwrap();
        let plain = read(json!({"labels": ["x"]}));
        let named = read(json!({"labels": ["x"], "idempotency_key": "k", "dry_run": true}));
        assert_eq!(
            serde_json::to_string(&plain).unwrap(),
            serde_json::to_string(&named).unwrap()
        );
    }
}

//! Arguments of a call, read strictly.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{DatabaseAction, DatabaseChange};
use crate::tools::fields::{environment, require_environment, required_text};
use crate::tools::{
    IdempotencyKey, ToolFailure, dry_run, idempotency_key, justification, only_arguments,
};

/// Longest name of a database in bytes; PostgreSQL cuts what is longer.
const NAME_LIMIT: usize = 63;

/// A call as it was made. Its JSON form is what a key is held against: neither key nor `dry_run` is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatabaseArguments {
    /// What is asked for.
    pub change: DatabaseChange,
    /// The deletion is meant (G-53).
    pub confirm_delete: bool,
    /// Shown to the approver.
    pub justification: Option<String>,
    /// The caller's name for it.
    #[serde(skip)]
    pub key: Option<IdempotencyKey>,
    /// Only to be checked (G-31).
    #[serde(skip)]
    pub dry_run: bool,
}

/// Reads the arguments.
///
/// # Errors
/// An argument is missing, unknown or of another form, or the environment is not governed (G-49).
pub fn database_arguments(
    arguments: &Map<String, Value>,
    allowed_environments: &[String],
) -> Result<DatabaseArguments, ToolFailure> {
    only_arguments(
        arguments,
        &[
            "environment",
            "action",
            "database_name",
            "confirm_delete",
            "justification",
            "idempotency_key",
            "dry_run",
        ],
    )?;
    let action = required_text(arguments, "action")?;
    let read = DatabaseArguments {
        change: DatabaseChange {
            environment: environment(arguments)?,
            action: DatabaseAction::from_text(action).ok_or_else(|| {
                ToolFailure::invalid("action", "expected one of create, delete, describe")
            })?,
            database_name: database_name(arguments)?,
        },
        confirm_delete: match arguments.get("confirm_delete") {
            None => false,
            Some(value) => value.as_bool().ok_or_else(|| {
                ToolFailure::invalid("confirm_delete", "confirm_delete is true or false")
            })?,
        },
        justification: justification(arguments)?,
        key: idempotency_key(arguments)?,
        dry_run: dry_run(arguments)?,
    };
    require_environment(&read.change.environment, allowed_environments)?;
    Ok(read)
}

fn database_name(arguments: &Map<String, Value>) -> Result<String, ToolFailure> {
    let name = required_text(arguments, "database_name")?;
    let fits = name.len() <= NAME_LIMIT
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '-'));
    if fits {
        Ok(name.to_owned())
    } else {
        let message = "expected 1 to 63 of A-Z a-z 0-9 _ -, a letter or _ first";
        Err(ToolFailure::invalid("database_name", message))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::tools::{FailureCode, FailureReason};

    fn read(changes: Value) -> Result<DatabaseArguments, ToolFailure> {
        let mut arguments =
            json!({"environment": "dev", "action": "create", "database_name": "shop"});
        for (name, value) in changes.as_object().unwrap() {
            arguments[name] = value.clone();
        }
        let mut arguments = arguments.as_object().unwrap().clone();
        arguments.retain(|_, value| !value.is_null());
        let allowed = ["dev", "prod"].map(str::to_owned);
        database_arguments(&arguments, &allowed)
    }

    #[test]
    fn bad_input_is_refused_under_the_name_of_its_field() {
        let cases = [
            (json!({"surprise": 1}), "surprise"),
            (json!({"environment": null}), "environment"),
            (json!({"environment": {}}), "environment"),
            (json!({"action": null}), "action"),
            (json!({"action": "drop"}), "action"),
            (json!({"action": 1}), "action"),
            (json!({"database_name": null}), "database_name"),
            (json!({"database_name": ""}), "database_name"),
            (json!({"database_name": "1shop"}), "database_name"),
            (json!({"database_name": "a b"}), "database_name"),
            (
                json!({"database_name": "a\"; DROP DATABASE x; --"}),
                "database_name",
            ),
            (json!({"database_name": "a\u{0}"}), "database_name"),
            (json!({"database_name": "магазин"}), "database_name"),
            (json!({"database_name": "a".repeat(64)}), "database_name"),
            (
                json!({"database_name": "a".repeat(1 << 20)}),
                "database_name",
            ),
            (json!({"database_name": ["shop"]}), "database_name"),
            (json!({"confirm_delete": "yes"}), "confirm_delete"),
            (json!({"justification": 1}), "justification"),
            (json!({"idempotency_key": ""}), "idempotency_key"),
            (json!({"dry_run": 1}), "dry_run"),
        ];
        for (changes, field) in cases {
            let failure = read(changes).unwrap_err();
            assert_eq!(failure.code, FailureCode::InvalidArgument, "{field}");
            assert_eq!(failure.field.as_deref(), Some(field));
        }
        let failure = read(json!({"environment": "sandbox"})).unwrap_err();
        assert_eq!(failure.reason, Some(FailureReason::EnvironmentNotAllowed));
        for name in ["_", "Shop-1", &"a".repeat(63)] {
            assert!(read(json!({"database_name": name})).is_ok(), "{name}");
        }
        assert_eq!(
            read(json!({"environment": "PRODUCTION"}))
                .unwrap()
                .change
                .environment,
            "prod"
        );
    }
}

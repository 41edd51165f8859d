//! Single arguments of tools, each refused under its own name.

use serde_json::{Map, Value};

use super::{FailureCode, FailureReason, ToolFailure};
use crate::ids::ProjectId;

/// The other name of production (2.4).
const PRODUCTION: (&str, &str) = ("production", "prod");

/// A text argument; none when it is absent.
///
/// # Errors
/// It is something else than a text.
pub fn text<'a>(
    arguments: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a str>, ToolFailure> {
    arguments
        .get(name)
        .map(|value| {
            value
                .as_str()
                .ok_or_else(|| ToolFailure::invalid(name, format!("{name} is a text")))
        })
        .transpose()
}

/// A text argument that must be there.
///
/// # Errors
/// It is missing, or something else than a text.
pub fn required_text<'a>(
    arguments: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a str, ToolFailure> {
    text(arguments, name)?.ok_or_else(|| ToolFailure::invalid(name, format!("{name} is missing")))
}

/// A trimmed text argument of 1 to `limit` characters; none when it is absent.
///
/// # Errors
/// It is something else than a text, or empty or too long.
pub fn optional_limited_text(
    arguments: &Map<String, Value>,
    name: &str,
    limit: usize,
) -> Result<Option<String>, ToolFailure> {
    let Some(value) = arguments.get(name) else {
        return Ok(None);
    };
    value
        .as_str()
        .map(str::trim)
        .filter(|text| (1..=limit).contains(&text.chars().count()))
        .map(|text| Some(text.to_owned()))
        .ok_or_else(|| ToolFailure::invalid(name, format!("{name} has 1 to {limit} characters")))
}

/// The same for one that must be there.
///
/// # Errors
/// As [`optional_limited_text`], or it is missing.
pub fn limited_text(
    arguments: &Map<String, Value>,
    name: &str,
    limit: usize,
) -> Result<String, ToolFailure> {
    optional_limited_text(arguments, name, limit)?
        .ok_or_else(|| ToolFailure::invalid(name, format!("{name} is missing")))
}

/// `environment`, lower-cased, `production` being `prod`. Whether it is allowed is asked later.
///
/// # Errors
/// It is missing, or something else than a text.
pub fn environment(arguments: &Map<String, Value>) -> Result<String, ToolFailure> {
    let given = required_text(arguments, "environment")?
        .trim()
        .to_lowercase();
    Ok(canonical_environment(&given).to_owned())
}

/// One name for each environment: no two others are equal.
pub fn canonical_environment(name: &str) -> &str {
    if name == PRODUCTION.0 {
        PRODUCTION.1
    } else {
        name
    }
}

/// Refuses an environment that the platform does not govern (G-41, G-49).
///
/// # Errors
/// It is not in the list.
pub fn require_environment(environment: &str, allowed: &[String]) -> Result<(), ToolFailure> {
    if allowed
        .iter()
        .any(|known| canonical_environment(known) == environment)
    {
        return Ok(());
    }
    let failure = ToolFailure::new(
        FailureCode::FailedPrecondition,
        format!("the environment must be one of {}", allowed.join(", ")),
    )
    .because(FailureReason::EnvironmentNotAllowed);
    Err(ToolFailure {
        field: Some("environment".to_owned()),
        ..failure
    })
}

/// Refuses another project or repository than the run's (G-13).
///
/// # Errors
/// One of them differs, or is something else than a text.
pub fn require_identity(
    arguments: &Map<String, Value>,
    project_id: Option<ProjectId>,
    repository_full_name: &str,
) -> Result<(), ToolFailure> {
    let project_id = project_id.map(|id| id.to_string()).unwrap_or_default();
    for (name, own) in [
        ("project_id", project_id.as_str()),
        ("repository", repository_full_name),
    ] {
        if text(arguments, name)?.is_some_and(|given| !given.eq_ignore_ascii_case(own)) {
            let failure = ToolFailure::new(
                FailureCode::Forbidden,
                format!("{name} is not the run's own"),
            )
            .because(FailureReason::IdentityMismatch);
            return Err(ToolFailure {
                field: Some(name.to_owned()),
                ..failure
            });
        }
    }
    Ok(())
}

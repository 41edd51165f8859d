//! What a self-improvement asks about runs (G-65, G-66): arguments, and which sessions are its to read.

use serde_json::{Map, Value};

use super::fields::{required_text, text};
use super::{FailureCode, FailureReason, ToolFailure, only_arguments};
use crate::ids::{ProjectId, RunId};

/// Most runs on one page, and how many there are when nobody says (G-65).
const PAGE_LIMIT: i64 = 50;
/// Longest session in bytes that an answer holds (G-66).
pub const SESSION_LIMIT_BYTES: usize = 8 * 1024 * 1024;
/// What both questions may say beside the numbers.
const COMMON: [&str; 3] = ["repository_full_name", "page", "limit"];
/// Of which a look-up names at least one.
const NUMBERS: [&str; 2] = ["issue_number", "pull_request_number"];

/// Which runs of the project are asked for, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunsQuery {
    /// `owner/name`; every repository of the project when absent.
    pub repository_full_name: Option<String>,
    /// Only those of this Issue.
    pub issue_number: Option<i64>,
    /// Only those of this pull request.
    pub pull_request_number: Option<i64>,
    /// From 1.
    pub page: i64,
    /// Runs on a page, 1 to 50.
    pub limit: i64,
}

impl RunsQuery {
    /// How many runs come before the page.
    pub fn offset(&self) -> i64 {
        (self.page - 1).saturating_mul(self.limit)
    }
}

/// The arguments of `self_improve_runs_list`.
///
/// # Errors
/// One of them is none, or there are others.
pub fn runs_query(arguments: &Map<String, Value>) -> Result<RunsQuery, ToolFailure> {
    only_arguments(arguments, &COMMON)?;
    query(arguments)
}

/// The arguments of `self_improve_run_lookup`.
///
/// # Errors
/// As [`runs_query`], or neither Issue nor pull request is named.
pub fn run_lookup(arguments: &Map<String, Value>) -> Result<RunsQuery, ToolFailure> {
    only_arguments(arguments, &[&COMMON[..], &NUMBERS[..]].concat())?;
    let query = query(arguments)?;
    if query.issue_number.is_none() && query.pull_request_number.is_none() {
        return Err(ToolFailure::invalid(
            NUMBERS[0],
            "issue_number or pull_request_number is needed",
        ));
    }
    Ok(query)
}

/// The arguments of `self_improve_session_get`.
///
/// # Errors
/// The run is missing or no id, or there are other arguments.
pub fn session_query(arguments: &Map<String, Value>) -> Result<RunId, ToolFailure> {
    only_arguments(arguments, &["run_id"])?;
    required_text(arguments, "run_id")?
        .parse()
        .map(RunId)
        .map_err(|_| ToolFailure::invalid("run_id", "run_id is the id of a run"))
}

/// Whether a run of `caller` may read the session of a run of `owner` (G-66).
///
/// # Errors
/// They are of different projects, or one is of none.
pub fn may_read_session(
    caller: Option<ProjectId>,
    owner: Option<ProjectId>,
) -> Result<(), ToolFailure> {
    match (caller, owner) {
        (Some(caller), Some(owner)) if caller == owner => Ok(()),
        _ => Err(ToolFailure::new(
            FailureCode::Forbidden,
            "the session is of a run of another project",
        )
        .because(FailureReason::ForeignSession)),
    }
}

fn query(arguments: &Map<String, Value>) -> Result<RunsQuery, ToolFailure> {
    Ok(RunsQuery {
        repository_full_name: text(arguments, "repository_full_name")?.map(str::to_owned),
        issue_number: positive(arguments, NUMBERS[0])?,
        pull_request_number: positive(arguments, NUMBERS[1])?,
        page: positive(arguments, "page")?.unwrap_or(1),
        limit: positive(arguments, "limit")?
            .unwrap_or(PAGE_LIMIT)
            .min(PAGE_LIMIT),
    })
}

fn positive(arguments: &Map<String, Value>, name: &str) -> Result<Option<i64>, ToolFailure> {
    arguments
        .get(name)
        .map(|value| {
            value
                .as_i64()
                .filter(|number| (1..=i64::from(i32::MAX)).contains(number))
                .ok_or_else(|| ToolFailure::invalid(name, format!("{name} is a positive number")))
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn arguments(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn a_page_has_fifty_runs_at_most() {
        for (given, page, limit, offset) in [
            (json!({}), 1, 50, 0),
            (json!({"limit": 500}), 1, 50, 0),
            (json!({"limit": 7, "page": 3}), 3, 7, 14),
            (
                json!({"page": i32::MAX}),
                i64::from(i32::MAX),
                50,
                107_374_182_300,
            ),
        ] {
            let query = runs_query(&arguments(given)).expect("a query");
            assert_eq!(
                (query.page, query.limit, query.offset()),
                (page, limit, offset)
            );
        }
    }

    #[test]
    fn a_bad_argument_is_refused_under_its_name() {
        let refused = |failure: ToolFailure| (failure.code, failure.field.unwrap_or_default());
        let invalid = |field: &str| (FailureCode::InvalidArgument, field.to_owned());
        for (given, field) in [
            (json!({"limit": 0}), "limit"),
            (json!({"limit": "ten"}), "limit"),
            (json!({"page": -1}), "page"),
            (json!({"page": 3_000_000_000_i64}), "page"),
            (json!({"repository_full_name": 5}), "repository_full_name"),
            (json!({"issue_number": 5}), "issue_number"),
        ] {
            let failure = runs_query(&arguments(given)).expect_err("a refusal");
            assert_eq!(refused(failure), invalid(field));
        }
        for given in [json!({}), json!({"limit": 5})] {
            let failure = run_lookup(&arguments(given)).expect_err("a refusal");
            assert_eq!(refused(failure), invalid("issue_number"));
        }
        for given in [json!({}), json!({"run_id": "5"}), json!({"run_id": 5})] {
            let failure = session_query(&arguments(given)).expect_err("a refusal");
            assert_eq!(refused(failure), invalid("run_id"));
        }
    }

    #[test]
    fn a_session_is_read_within_its_project() {
        let own = Some(ProjectId(Uuid::new_v4()));
        let other = Some(ProjectId(Uuid::new_v4()));
        for (caller, owner, may) in [
            (own, own, true),
            (own, other, false),
            (own, None, false),
            (None, own, false),
            (None, None, false),
        ] {
            assert_eq!(
                may_read_session(caller, owner).is_ok(),
                may,
                "{caller:?} {owner:?}"
            );
        }
    }
}

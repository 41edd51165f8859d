//! What a call comes to on the facts (G-49 to G-56).

use super::{DatabaseAction, DatabaseArguments, DatabaseChange};
use crate::ids::ProjectId;
use crate::stages::spelled;
use crate::tools::{FailureCode, FailureReason, ToolFailure};

spelled!(
    /// `project_databases.state`.
    RegistrationState {
        /// The name is taken, the database is being made.
        Provisioning = "provisioning",
        /// It is there.
        Ready = "ready",
        /// It is being removed.
        Deleting = "deleting",
    }
);

/// Who has registered a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Owner.
    pub project_id: ProjectId,
    /// Where.
    pub environment: String,
    /// How far it is.
    pub state: RegistrationState,
}

/// What a call is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// The run's project.
    pub project_id: Option<ProjectId>,
    /// Who has the name.
    pub registered: Option<Registration>,
    /// Whether the server has such a database.
    pub exists: bool,
    /// Names of the platform's own databases.
    pub platform_databases: Vec<String>,
}

/// What a call comes to that is not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseVerdict {
    /// It is told at once.
    Described,
    /// There is nothing to do, and nobody is asked (G-50).
    AlreadyThere,
    /// Somebody is asked.
    Ask,
}

/// Whether no project may ever have this name (G-49): the platform's own and those of the server, in any case.
pub fn is_protected(name: &str, platform_databases: &[String]) -> bool {
    ["postgres", "template0", "template1"]
        .into_iter()
        .chain(platform_databases.iter().map(String::as_str))
        .any(|protected| protected.eq_ignore_ascii_case(name))
}

/// Judges a call.
///
/// # Errors
/// The name is protected or another's, in another environment, taken outside of the registry, or not registered; a
/// deletion is not confirmed.
pub fn judge(
    arguments: &DatabaseArguments,
    facts: &DatabaseFacts,
) -> Result<DatabaseVerdict, ToolFailure> {
    use DatabaseAction::{Create, Delete, Describe};
    let change = &arguments.change;
    let refuse = |code, reason, message: &str| {
        let failure = ToolFailure::new(code, message).because(reason);
        Err(ToolFailure {
            field: Some("database_name".to_owned()),
            ..failure
        })
    };
    if is_protected(&change.database_name, &facts.platform_databases) {
        let message = "no project may have this database";
        return refuse(
            FailureCode::Forbidden,
            FailureReason::ProtectedDatabase,
            message,
        );
    }
    let Some(registered) = &facts.registered else {
        return match change.action {
            Create if facts.exists => refuse(
                FailureCode::Conflict,
                FailureReason::UnregisteredDatabaseExists,
                "there is a database of this name that no project has registered",
            ),
            Create => Ok(DatabaseVerdict::Ask),
            Delete | Describe => refuse(
                FailureCode::NotFound,
                FailureReason::DatabaseNotRegistered,
                "the project has no such database",
            ),
        };
    };
    if Some(registered.project_id) != facts.project_id {
        let message = "the name is taken";
        return refuse(
            FailureCode::Forbidden,
            FailureReason::ForeignDatabase,
            message,
        );
    }
    if registered.environment != change.environment {
        let failure = ToolFailure::new(
            FailureCode::FailedPrecondition,
            "the database is in another environment",
        )
        .because(FailureReason::EnvironmentMismatch);
        return Err(ToolFailure {
            field: Some("environment".to_owned()),
            ..failure
        });
    }
    match change.action {
        Describe => Ok(DatabaseVerdict::Described),
        Create if registered.state == RegistrationState::Ready && facts.exists => {
            Ok(DatabaseVerdict::AlreadyThere)
        }
        Create => Ok(DatabaseVerdict::Ask),
        Delete if !arguments.confirm_delete => Err(ToolFailure::invalid(
            "confirm_delete",
            "a deletion must be confirmed with confirm_delete: true",
        )
        .because(FailureReason::DeleteConfirmationRequired)),
        Delete => Ok(DatabaseVerdict::Ask),
    }
}

/// Whether what was approved may still be done (G-56, G-86).
pub fn still_holds(change: &DatabaseChange, facts: &DatabaseFacts) -> bool {
    let arguments = DatabaseArguments {
        change: change.clone(),
        confirm_delete: true,
        justification: None,
        key: None,
        dry_run: false,
    };
    judge(&arguments, facts).is_ok()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn project(number: u128) -> ProjectId {
        ProjectId(Uuid::from_u128(number))
    }

    fn facts(registered: Option<(u128, &str, RegistrationState)>, exists: bool) -> DatabaseFacts {
        DatabaseFacts {
            project_id: Some(project(1)),
            registered: registered.map(|(owner, environment, state)| Registration {
                project_id: project(owner),
                environment: environment.to_owned(),
                state,
            }),
            exists,
            platform_databases: vec!["codex_k8s".to_owned()],
        }
    }

    fn call(action: DatabaseAction, name: &str, confirmed: bool) -> DatabaseArguments {
        DatabaseArguments {
            change: DatabaseChange {
                environment: "dev".to_owned(),
                action,
                database_name: name.to_owned(),
            },
            confirm_delete: confirmed,
            justification: None,
            key: None,
            dry_run: false,
        }
    }

    #[test]
    fn each_situation_has_its_outcome() {
        use DatabaseAction::{Create, Delete, Describe};
        use DatabaseVerdict::{AlreadyThere, Ask, Described};
        use FailureReason as Reason;
        use RegistrationState::{Deleting, Provisioning, Ready};
        let free = || facts(None, false);
        let ours = |state, exists| facts(Some((1, "dev", state)), exists);
        let foreign = || facts(Some((2, "dev", Ready)), true);
        let elsewhere = || facts(Some((1, "prod", Ready)), true);
        let shop = "shop";
        let cases = [
            (call(Create, shop, false), free(), Ok(Ask)),
            (
                call(Create, shop, false),
                facts(None, true),
                Err(Reason::UnregisteredDatabaseExists),
            ),
            (
                call(Create, shop, false),
                ours(Ready, true),
                Ok(AlreadyThere),
            ),
            (call(Create, shop, false), ours(Ready, false), Ok(Ask)),
            (
                call(Create, shop, false),
                ours(Provisioning, false),
                Ok(Ask),
            ),
            (call(Create, shop, false), ours(Deleting, true), Ok(Ask)),
            (
                call(Create, shop, false),
                foreign(),
                Err(Reason::ForeignDatabase),
            ),
            (
                call(Create, shop, false),
                elsewhere(),
                Err(Reason::EnvironmentMismatch),
            ),
            (call(Delete, shop, true), ours(Ready, true), Ok(Ask)),
            (call(Delete, shop, true), ours(Ready, false), Ok(Ask)),
            (
                call(Delete, shop, false),
                ours(Ready, true),
                Err(Reason::DeleteConfirmationRequired),
            ),
            (
                call(Delete, shop, true),
                free(),
                Err(Reason::DatabaseNotRegistered),
            ),
            (
                call(Delete, shop, true),
                facts(None, true),
                Err(Reason::DatabaseNotRegistered),
            ),
            (
                call(Delete, shop, false),
                foreign(),
                Err(Reason::ForeignDatabase),
            ),
            (
                call(Delete, shop, true),
                elsewhere(),
                Err(Reason::EnvironmentMismatch),
            ),
            (
                call(Describe, shop, false),
                ours(Ready, true),
                Ok(Described),
            ),
            (
                call(Describe, shop, false),
                free(),
                Err(Reason::DatabaseNotRegistered),
            ),
            (
                call(Describe, shop, false),
                foreign(),
                Err(Reason::ForeignDatabase),
            ),
            (
                call(Describe, shop, false),
                elsewhere(),
                Err(Reason::EnvironmentMismatch),
            ),
            (
                call(Describe, "Postgres", false),
                free(),
                Err(Reason::ProtectedDatabase),
            ),
            (
                call(Create, "TEMPLATE1", false),
                free(),
                Err(Reason::ProtectedDatabase),
            ),
            (
                call(Delete, "Codex_K8s", true),
                ours(Ready, true),
                Err(Reason::ProtectedDatabase),
            ),
        ];
        for (arguments, facts, expected) in cases {
            let judged = judge(&arguments, &facts);
            let judged = judged.map_err(|failure| {
                assert!(failure.field.is_some(), "{arguments:?}");
                failure.reason.expect("a reason of 1.5")
            });
            assert_eq!(judged, expected, "{arguments:?} {facts:?}");
        }
    }

    #[test]
    fn what_changed_since_the_call_is_not_done() {
        use DatabaseAction::{Create, Delete};
        let create = call(Create, "shop", false).change;
        let delete = call(Delete, "shop", true).change;
        assert!(still_holds(&create, &facts(None, false)));
        assert!(!still_holds(
            &create,
            &facts(Some((2, "dev", RegistrationState::Provisioning)), false)
        ));
        assert!(!still_holds(&create, &facts(None, true)));
        assert!(!still_holds(&delete, &facts(None, true)));
        assert!(still_holds(
            &delete,
            &facts(Some((1, "dev", RegistrationState::Ready)), false)
        ));
    }
}

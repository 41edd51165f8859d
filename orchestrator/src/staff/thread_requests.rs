//! What requests about a thread of a bound repository have in common: the binding, the person's rights, and errors.
use domain::decide::InvalidField;
use domain::ids::UserId;
use domain::snapshot::UserFacts;

use super::access::Need;
use super::audit::{Change, guard};
use super::principal::Principal;
use super::state::Services;
use crate::control_plane::{Asking, StepError};
use crate::http_api::ApiError;
use crate::store::{projects, repositories, snapshots};

/// The repository and the person, once the person may ask for this (L-97: any permitted actor).
pub(super) async fn asking<'a>(
    services: &'a Services,
    principal: &Principal,
    change: Change,
    full_name: &'a mut String,
) -> Result<Asking<'a>, ApiError> {
    let unbound = || ApiError::invalid("repository_full_name", "this repository is not bound");
    let repository = repositories::find_by_full_name(services.pool(), full_name)
        .await?
        .ok_or_else(unbound)?;
    let change = change.project(repository.project_id);
    let permitted = principal
        .require_project(services, repository.project_id, Need::Write)
        .await;
    guard(services, principal, &change, permitted).await?;
    let binding = snapshots::binding(services.pool(), repository.external_id)
        .await?
        .ok_or_else(unbound)?;
    let role = projects::role_in(services.pool(), repository.project_id, principal.user.id).await?;
    *full_name = repository.full_name();
    Ok(Asking {
        app: &services.app,
        binding,
        repository_full_name: full_name,
        person: UserFacts {
            id: UserId(principal.user.id),
            login: principal.user.github_login.clone().unwrap_or_default(),
            is_platform_owner: principal.user.is_platform_owner,
            is_platform_admin: principal.user.is_platform_admin,
            project_role: role.flatten(),
        },
        correlation_id: Change::correlation_id(),
        recorded: change.recorded(principal),
    })
}

pub(super) fn invalid(field: InvalidField) -> ApiError {
    ApiError::invalid(field.field, field.message)
}

pub(super) fn undecided(error: &StepError) -> ApiError {
    match error {
        StepError::Load(_) | StepError::Commit(_) | StepError::NoProgress => {
            ApiError::internal(error)
        }
        StepError::Undecided(_) | StepError::Overtaken => {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "failed to decide what a person asked for"
            );
            ApiError::unavailable("GitHub cannot be read, or the thread is busy; try again")
        }
    }
}

//! Who may do what (governance 4.1), asked of the database at every request (G-107).
use uuid::Uuid;

use super::principal::Principal;
use super::state::Services;
use crate::http_api::ApiError;
use crate::store::projects;

/// What a project route asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// R: any member.
    Read,
    /// W: `read_write` or `admin`.
    Write,
}

impl Principal {
    /// A or O.
    pub fn require_admin(&self) -> Result<(), ApiError> {
        if self.user.is_platform_admin {
            Ok(())
        } else {
            Err(ApiError::forbidden("only a platform admin may do this"))
        }
    }

    /// O.
    pub fn require_owner(&self) -> Result<(), ApiError> {
        if self.user.is_platform_owner {
            Ok(())
        } else {
            Err(ApiError::forbidden("only the platform owner may do this"))
        }
    }

    /// Whether the project is there and the person has the role: 404 and 403 otherwise (DA-3).
    pub async fn require_project(
        &self,
        services: &Services,
        project_id: Uuid,
        need: Need,
    ) -> Result<(), ApiError> {
        let role = projects::role_in(services.pool(), project_id, self.user.id)
            .await?
            .ok_or_else(|| ApiError::not_found("there is no such project"))?;
        if self.user.is_platform_admin || grants(role.as_deref(), need) {
            Ok(())
        } else {
            Err(ApiError::forbidden(
                "your role in this project does not allow this",
            ))
        }
    }

    /// The same for something that may belong to no project: then it is the admins' (DU-14). A
    /// deleted project still guards its history.
    pub async fn require_scope(
        &self,
        services: &Services,
        project_id: Option<Uuid>,
        need: Need,
    ) -> Result<(), ApiError> {
        if self.user.is_platform_admin {
            return Ok(());
        }
        match project_id {
            Some(project_id) => match self.require_project(services, project_id, need).await {
                Err(error) if error.code == crate::http_api::ErrorCode::NotFound => {
                    self.require_admin()
                }
                other => other,
            },
            None => self.require_admin(),
        }
    }
}

fn grants(role: Option<&str>, need: Need) -> bool {
    match role {
        Some("admin" | "read_write") => true,
        Some("read") => need == Need::Read,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_may_not_write_and_strangers_may_nothing() {
        assert!(grants(Some("read"), Need::Read) && !grants(Some("read"), Need::Write));
        assert!(grants(Some("read_write"), Need::Write) && grants(Some("admin"), Need::Write));
        assert!(!grants(None, Need::Read));
    }
}

//! Who calls an internal route: another process of ours (DU-12), or the runner of one run (G-6..G-13).
use axum::extract::{FromRequestParts, RawPathParams};
use domain::audit::{Actor, AuditEvent, AuditRecord, McpAccessPayload, SystemActor};
use domain::ids::{CorrelationId, ProjectId, RunId};
use domain::runs::RunStatus;
use http::header;
use http::request::Parts;
use uuid::Uuid;

use crate::credentials::{RunTokenClaims, RunTokenError, Service};
use crate::http_api::ApiError;
use crate::staff::{Services, bearer_value};
use crate::store::tokens::RunTokenStanding;
use crate::store::{events, tokens};

fn bearer(parts: &Parts) -> Result<&str, ApiError> {
    parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(bearer_value)
        .ok_or_else(refused)
}

fn refused() -> ApiError {
    ApiError::unauthorized("this route needs a valid token of its own kind")
}

/// A process of the platform.
#[derive(Debug, Clone, Copy)]
pub struct ServiceCaller(pub Service);

impl ServiceCaller {
    /// Refuses any other process than those named.
    pub fn require(self, allowed: &[Service]) -> Result<(), ApiError> {
        if allowed.contains(&self.0) {
            Ok(())
        } else {
            Err(ApiError::forbidden("this process may not call this route"))
        }
    }
}

impl FromRequestParts<Services> for ServiceCaller {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Services,
    ) -> Result<Self, Self::Rejection> {
        let token = bearer(parts)?;
        services
            .app
            .service_token
            .verify(token, Service::ControlPlane)
            .map(Self)
            .map_err(|_| refused())
    }
}

/// The runner of a living run, on a route of that run.
#[derive(Debug, Clone)]
pub struct RunCaller {
    pub run_id: Uuid,
    pub correlation_id: String,
    pub project_id: Option<Uuid>,
    pub namespace: String,
    pub runtime_mode: String,
}

impl RunCaller {
    /// The living run that a token belongs to (G-8).
    ///
    /// # Errors
    /// 401, also when nothing but the purpose of the token is wrong (G-10).
    pub async fn authenticate(services: &Services, parts: &Parts) -> Result<Self, ApiError> {
        living_claims(services, parts).await.map(Self::from)
    }
}

impl From<RunTokenClaims> for RunCaller {
    fn from(claims: RunTokenClaims) -> Self {
        Self {
            run_id: claims.run_id,
            correlation_id: claims.correlation_id,
            project_id: claims.project_id,
            namespace: claims.namespace,
            runtime_mode: claims.runtime_mode,
        }
    }
}

/// What the token of a living run says; one that is wrong in anything is told of, if its signature holds.
async fn living_claims(services: &Services, parts: &Parts) -> Result<RunTokenClaims, ApiError> {
    let claims = match services.run_tokens().decode(bearer(parts)?) {
        Ok(claims) => claims,
        Err(RunTokenError::WrongScope(claims)) => {
            return Err(reject(services, &claims, "wrong_scope").await);
        }
        Err(_) => {
            metrics::counter!("codexk8s_run_token_refused_total").increment(1);
            return Err(refused());
        }
    };
    let standing = tokens::run_token_standing(services.pool(), claims.run_id).await?;
    if let Err(reason) = judge(&claims, standing.as_ref()) {
        return Err(reject(services, &claims, reason).await);
    }
    Ok(claims)
}

impl FromRequestParts<Services> for RunCaller {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Services,
    ) -> Result<Self, Self::Rejection> {
        let claims = living_claims(services, parts).await?;
        // G-13: the token says which run this is; another one in the path is refused.
        let path = RawPathParams::from_request_parts(parts, services)
            .await
            .map_err(|_| ApiError::not_found("no such route"))?;
        let named = path
            .iter()
            .find(|(name, _)| *name == "run_id")
            .map(|(_, value)| value);
        if named.and_then(|value| value.parse().ok()) != Some(claims.run_id) {
            let reason = "identity_mismatch";
            record_rejection(services, &claims, reason).await?;
            return Err(
                ApiError::forbidden("this token belongs to another run").with("reason", reason)
            );
        }
        Ok(Self::from(claims))
    }
}

/// G-8: why a token whose signature holds is refused nevertheless.
fn judge(claims: &RunTokenClaims, standing: Option<&RunTokenStanding>) -> Result<(), &'static str> {
    let Some(standing) = standing else {
        return Err("mismatch");
    };
    if claims.correlation_id != standing.correlation_id || claims.project_id != standing.project_id
    {
        return Err("mismatch");
    }
    let status = RunStatus::from_text(&standing.status);
    if status.is_none_or(RunStatus::is_terminal) {
        return Err("run_not_active");
    }
    if standing.generation != Some(claims.generation)
        || standing.token_id != Some(claims.jti)
        || standing.revoked_at.is_some()
    {
        return Err("revoked");
    }
    let stored_life = standing.expires_at.is_some_and(|end| standing.now < end);
    if !stored_life || !claims.lives_at(standing.now) {
        return Err("expired");
    }
    Ok(())
}

async fn reject(services: &Services, claims: &RunTokenClaims, reason: &str) -> ApiError {
    match record_rejection(services, claims, reason).await {
        Ok(()) => refused(),
        Err(error) => error,
    }
}

/// `mcp.auth.rejected`.
async fn record_rejection(
    services: &Services,
    claims: &RunTokenClaims,
    reason: &str,
) -> Result<(), ApiError> {
    let payload = McpAccessPayload {
        reason: Some(reason.to_owned()),
        token_id: Some(claims.jti.to_string()),
        ..McpAccessPayload::default()
    };
    let record = AuditRecord::new(
        AuditEvent::McpAuthRejected(payload),
        Actor::System(SystemActor::ControlPlaneMcp),
        CorrelationId::new(claims.correlation_id.clone()),
    )
    .run(RunId(claims.run_id))
    .project(claims.project_id.map(ProjectId));
    let mut connection = services.pool().acquire().await?;
    events::insert(&mut connection, &record).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chrono::{DateTime, Duration, Utc};

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(2_000_000, 0).unwrap()
    }

    fn claims() -> RunTokenClaims {
        RunTokenClaims {
            iss: "codex-k8s".to_owned(),
            sub: "run".to_owned(),
            aud: "control-plane".to_owned(),
            scope: "run_mcp".to_owned(),
            jti: Uuid::from_u128(1),
            generation: 2,
            run_id: Uuid::from_u128(2),
            correlation_id: "delivery".to_owned(),
            project_id: Some(Uuid::from_u128(3)),
            namespace: String::new(),
            runtime_mode: "code-only".to_owned(),
            iat: now().timestamp() - 10,
            nbf: now().timestamp() - 10,
            exp: now().timestamp() + 1000,
        }
    }

    fn standing() -> RunTokenStanding {
        RunTokenStanding {
            now: now(),
            status: "running".to_owned(),
            correlation_id: "delivery".to_owned(),
            project_id: Some(Uuid::from_u128(3)),
            generation: Some(2),
            token_id: Some(Uuid::from_u128(1)),
            expires_at: Some(now() + Duration::seconds(1)),
            revoked_at: None,
        }
    }

    fn judged(change: impl FnOnce(&mut RunTokenStanding)) -> Result<(), &'static str> {
        let mut standing = standing();
        change(&mut standing);
        judge(&claims(), Some(&standing))
    }

    #[test]
    fn a_current_token_of_a_living_run_is_accepted() {
        for status in ["pending", "running", "waiting_mcp", "waiting_owner_review"] {
            assert_eq!(
                judged(|standing| standing.status = status.to_owned()),
                Ok(())
            );
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        assert_eq!(judge(&claims(), None), Err("mismatch"));
        assert_eq!(judged(|s| s.project_id = None), Err("mismatch"));
        assert_eq!(
            judged(|s| s.correlation_id = "x".to_owned()),
            Err("mismatch")
        );
        assert_eq!(
            judged(|s| s.status = "failed".to_owned()),
            Err("run_not_active")
        );
        assert_eq!(judged(|s| s.generation = Some(3)), Err("revoked"));
        assert_eq!(judged(|s| s.generation = None), Err("revoked"));
        assert_eq!(judged(|s| s.revoked_at = Some(now())), Err("revoked"));
        assert_eq!(judged(|s| s.expires_at = Some(now())), Err("expired"));
        assert_eq!(
            judged(|s| s.now = now() + Duration::hours(1)),
            Err("expired")
        );
    }
}

//! Sign-in with the local owner token, who am I, sign-out (DU-1, DU-5..DU-10).
use std::net::IpAddr;
use std::time::Instant;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsonBody;
use super::audit::{Change, record_change};
use super::principal::{AuthMethod, Principal, client_address, too_many};
use super::state::Services;
use crate::http_api::ApiError;
use crate::secrets::{hash_token, random_token};
use crate::store::{projects, staff_sign_in, users};

/// Where a request came from.
pub(super) struct ClientAddress(IpAddr);

impl FromRequestParts<Services> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _services: &Services,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self(client_address(parts)))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignInRequest {
    token: SecretString,
}

/// Exchanges the local owner token for a session.
pub(super) async fn sign_in(
    State(services): State<Services>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    JsonBody(request): JsonBody<SignInRequest>,
) -> Result<Response, ApiError> {
    let now = Instant::now();
    let wait = services
        .failed_sign_ins
        .wait(&address, now)
        .or_else(|| services.sign_ins.wait(&address, now));
    if let Some(wait) = wait {
        return Err(too_many(wait));
    }
    services.sign_ins.count(address, now);
    let hash = hash_token(request.token.expose_secret());
    if services.local_token_hash.as_ref() != Some(&hash) {
        services.failed_sign_ins.count(address, now);
        // Without a known person there is nobody to name as the actor; the log keeps the address.
        tracing::warn!(%address, "a sign-in with a wrong token");
        return Err(ApiError::unauthorized("this token is not valid"));
    }
    let user = users::owner(services.pool()).await?.ok_or_else(|| {
        ApiError::forbidden("there is no platform owner yet; configure the bootstrap owner")
    })?;
    let (session, csrf) = (random_token(""), random_token(""));
    let life = services.session_life();
    let user_agent = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    let mut transaction = services.pool().begin().await?;
    let session_id = staff_sign_in::open_session(
        &mut transaction,
        user.id,
        &session.hash,
        &csrf.hash,
        life,
        user_agent,
    )
    .await?;
    let principal = Principal {
        user,
        method: AuthMethod::LocalToken,
    };
    let change = Change::new("session", session_id, "sign_in");
    record_change(&mut transaction, &principal, &change).await?;
    transaction.commit().await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(cookie) = services.cookies.set(&session.value, life.num_seconds()) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Who the caller is; for a session with a fresh CSRF token, since only its hash is stored.
pub(super) async fn me(
    State(services): State<Services>,
    principal: Principal,
) -> Result<Json<Value>, ApiError> {
    let projects = projects::memberships(services.pool(), principal.user.id).await?;
    let csrf_token = match &principal.method {
        AuthMethod::Session { session_id, .. } => {
            let csrf = random_token("");
            staff_sign_in::renew_csrf(services.pool(), *session_id, &csrf.hash).await?;
            Some(csrf.value.expose_secret().to_owned())
        }
        _ => None,
    };
    let user = &principal.user;
    Ok(Json(json!({
        "user": {
            "id": user.id,
            "email": user.email,
            "github_login": user.github_login,
            "is_platform_admin": user.is_platform_admin,
            "is_platform_owner": user.is_platform_owner,
        },
        "auth_method": principal.method.as_str(),
        "csrf_token": csrf_token,
        "projects": projects,
    })))
}

/// Ends the session of the cookie; repeating it is no error (DU-8).
pub(super) async fn sign_out(
    State(services): State<Services>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if let Some(cookie) = services.cookies.read(&headers) {
        staff_sign_in::revoke_session(services.pool(), &hash_token(&cookie)).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    for cookie in services.cookies.clear(&headers) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

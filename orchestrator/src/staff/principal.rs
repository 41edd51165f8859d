//! Who calls: Bearer first, then the session cookie, then a trusted header; a credential that is present
//! but wrong is never skipped (DU-9).
use std::net::IpAddr;
use std::time::Instant;

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, header};
use uuid::Uuid;

use super::state::Services;
use crate::http_api::{ApiError, ErrorCode};
use crate::secrets::hash_token;
use crate::store::users::User;
use crate::store::{staff_sign_in, users};

/// Carries the CSRF value of a session (DU-7).
const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
/// DU-4: who the person is, as a sign-in proxy says it.
const TRUSTED_EMAIL_HEADERS: [HeaderName; 2] = [
    HeaderName::from_static("x-auth-request-email"),
    HeaderName::from_static("x-forwarded-email"),
];
/// Set by the gateway when it passes a request on; the internal listener is not reachable otherwise.
pub const FORWARDED_ADDRESS_HEADER: HeaderName =
    HeaderName::from_static("x-codexk8s-client-address");

/// By what a person proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthMethod {
    LocalToken,
    PersonalToken,
    /// What a sign-in proxy in front says (DU-2, DU-4).
    TrustedHeader,
    Session {
        session_id: Uuid,
        auth_method: String,
    },
}

impl AuthMethod {
    /// The name `/auth/me` shows.
    pub fn as_str(&self) -> &str {
        match self {
            Self::LocalToken => "local_token",
            Self::PersonalToken => "personal_token",
            Self::TrustedHeader => "trusted_header",
            Self::Session { auth_method, .. } => auth_method,
        }
    }
}

/// A known, enabled person behind the request.
#[derive(Debug, Clone)]
pub struct Principal {
    pub user: User,
    pub method: AuthMethod,
}

impl FromRequestParts<Services> for Principal {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Services,
    ) -> Result<Self, Self::Rejection> {
        let principal = authenticate(parts, services).await?;
        let now = Instant::now();
        if let Some(wait) = services.requests.wait(&principal.user.id, now) {
            return Err(too_many(wait));
        }
        services.requests.count(principal.user.id, now);
        Ok(principal)
    }
}

/// 429 with the seconds to wait; [`super::router`] turns the member into the header.
pub(super) fn too_many(wait: std::time::Duration) -> ApiError {
    ApiError::new(
        ErrorCode::ResourceExhausted,
        "too many requests; wait and try again",
    )
    .with("retry_after", wait.as_secs().max(1))
}

fn unauthorized() -> ApiError {
    ApiError::unauthorized("sign in, or send a valid token")
}

async fn authenticate(parts: &Parts, services: &Services) -> Result<Principal, ApiError> {
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        let token = value
            .to_str()
            .ok()
            .and_then(bearer_value)
            .ok_or_else(unauthorized)?;
        return by_bearer(services, token).await;
    }
    if let Some(cookie) = services.cookies.read(&parts.headers) {
        return by_session(parts, services, &cookie).await;
    }
    by_trusted_header(parts, services).await
}

/// DU-3, DU-4: the e-mail that a trusted proxy names; the same header from anybody else is ignored.
async fn by_trusted_header(parts: &Parts, services: &Services) -> Result<Principal, ApiError> {
    let address = client_address(parts);
    let trusted = services
        .config()
        .staff
        .trusted_proxies
        .iter()
        .any(|network| network.contains(&address));
    let email = TRUSTED_EMAIL_HEADERS
        .iter()
        .filter(|_| trusted)
        .find_map(|name| parts.headers.get(name)?.to_str().ok())
        .map(str::trim)
        .filter(|email| !email.is_empty())
        .ok_or_else(unauthorized)?;
    let user = users::find_by_email(services.pool(), email)
        .await?
        .filter(|user| user.disabled_at.is_none())
        .ok_or_else(|| ApiError::forbidden("email is not allowed"))?;
    // The proxy's own cookie comes with every request of the browser, so that this needs what a session needs (DU-7);
    // without a session there is no token to compare, and the origin must do.
    if !reads_only(&parts.method) && !is_same_origin(&parts.headers, services) {
        return Err(ApiError::forbidden(
            "this request does not come from the console: its origin is missing or wrong",
        ));
    }
    Ok(Principal {
        user,
        method: AuthMethod::TrustedHeader,
    })
}

fn reads_only(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The value of `Bearer …`, whatever the case of the scheme.
pub fn bearer_value(header: &str) -> Option<&str> {
    let (scheme, value) = header.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !value.trim().is_empty()).then(|| value.trim())
}

async fn by_bearer(services: &Services, token: &str) -> Result<Principal, ApiError> {
    let hash = hash_token(token);
    if services.local_token_hash.as_ref() == Some(&hash) {
        let user = users::owner(services.pool()).await?.ok_or_else(|| {
            ApiError::forbidden("there is no platform owner yet; configure the bootstrap owner")
        })?;
        return Ok(Principal {
            user,
            method: AuthMethod::LocalToken,
        });
    }
    let user = staff_sign_in::user_of_personal_token(services.pool(), &hash)
        .await?
        .ok_or_else(unauthorized)?;
    staff_sign_in::touch_personal_token(services.pool(), &hash).await?;
    Ok(Principal {
        user,
        method: AuthMethod::PersonalToken,
    })
}

async fn by_session(
    parts: &Parts,
    services: &Services,
    cookie: &str,
) -> Result<Principal, ApiError> {
    let session = staff_sign_in::use_session(
        services.pool(),
        &hash_token(cookie),
        services.session_idle(),
    )
    .await?
    .ok_or_else(unauthorized)?;
    if !reads_only(&parts.method) && !is_own_request(&parts.headers, services, &session.csrf_hash) {
        return Err(ApiError::forbidden(
            "this request does not come from the console: its origin or CSRF token is missing or wrong",
        ));
    }
    Ok(Principal {
        user: session.user,
        method: AuthMethod::Session {
            session_id: session.session_id,
            auth_method: session.auth_method,
        },
    })
}

/// DU-7: same origin and the session's own token.
fn is_own_request(headers: &HeaderMap, services: &Services, csrf_hash: &[u8]) -> bool {
    is_same_origin(headers, services)
        && text(headers, &CSRF_HEADER).is_some_and(|token| hash_token(token) == csrf_hash)
}

fn is_same_origin(headers: &HeaderMap, services: &Services) -> bool {
    text(headers, &header::ORIGIN).is_some_and(|origin| {
        origin.trim_end_matches('/') == origin_of(&services.config().public_base_url)
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Scheme, host and port of an address, without its path.
fn origin_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |position| position + 3);
    url[after_scheme..]
        .find('/')
        .map_or(url, |slash| &url[..after_scheme + slash])
}

/// The address a request came from: the peer, or what the gateway says about its own peer.
pub fn client_address(parts: &Parts) -> IpAddr {
    let forwarded = parts
        .headers
        .get(&FORWARDED_ADDRESS_HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    let peer = parts
        .extensions
        .get::<ConnectInfo<std::net::SocketAddr>>()
        .map(|info| info.0.ip());
    forwarded
        .or(peer)
        .unwrap_or(IpAddr::from(std::net::Ipv4Addr::UNSPECIFIED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_no_path() {
        assert_eq!(
            origin_of("https://a.example:8443/x/y"),
            "https://a.example:8443"
        );
        assert_eq!(origin_of("http://localhost:8080"), "http://localhost:8080");
    }

    #[test]
    fn a_bearer_scheme_is_read_in_any_case() {
        assert_eq!(bearer_value("bearer  abc"), Some("abc"));
        assert_eq!(bearer_value("Basic abc"), None);
        assert_eq!(bearer_value("Bearer "), None);
    }
}

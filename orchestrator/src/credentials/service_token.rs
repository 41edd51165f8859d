//! Tokens by which our own processes know each other (DU-12).
//!
//! They live five minutes by the host clock, not by platform time: the gateway has no database to
//! ask, and a gate that moves platform time must not make live processes strangers.
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

const ISSUER: &str = "codex-k8s";
/// Short, because it is minted per request and cannot be revoked.
const LIFE_SECONDS: u64 = 300;
/// Two hosts of one cluster may disagree by this much.
const CLOCK_SKEW_SECONDS: u64 = 30;

/// Why a service token was not accepted or not made.
#[derive(Debug, thiserror::Error)]
pub enum ServiceTokenError {
    #[error("failed to sign a service token")]
    Sign(#[source] jsonwebtoken::errors::Error),
    #[error("failed to verify a service token")]
    Verify(#[source] jsonwebtoken::errors::Error),
    #[error("failed to verify a service token: its subject names no known caller")]
    UnknownCaller,
}

/// A process of the platform, or the gate that judges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    Gateway,
    ControlPlane,
    Worker,
    Gate,
}

impl Service {
    /// The name in `sub` and `aud`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::ControlPlane => "control-plane",
            Self::Worker => "worker",
            Self::Gate => "gate",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Gateway, Self::ControlPlane, Self::Worker, Self::Gate]
            .into_iter()
            .find(|service| service.as_str() == name)
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    iat: u64,
    exp: u64,
}

/// Signs and verifies service tokens.
#[derive(Clone)]
pub struct ServiceTokenKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl std::fmt::Debug for ServiceTokenKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ServiceTokenKey")
    }
}

impl ServiceTokenKey {
    /// The key is used as its text, whatever its form.
    pub fn new(key: &SecretString) -> Self {
        let bytes = key.expose_secret().as_bytes();
        Self {
            encoding: EncodingKey::from_secret(bytes),
            decoding: DecodingKey::from_secret(bytes),
        }
    }

    /// A token with which `caller` may call `callee` for the next five minutes.
    pub fn mint(
        &self,
        caller: Service,
        callee: Service,
    ) -> Result<SecretString, ServiceTokenError> {
        let issued_at = jsonwebtoken::get_current_timestamp();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: caller.as_str().to_owned(),
            aud: callee.as_str().to_owned(),
            iat: issued_at,
            exp: issued_at + LIFE_SECONDS,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map(SecretString::from)
            .map_err(ServiceTokenError::Sign)
    }

    /// Who called, when the token is meant for `callee`.
    pub fn verify(&self, token: &str, callee: Service) -> Result<Service, ServiceTokenError> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = CLOCK_SKEW_SECONDS;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[callee.as_str()]);
        validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
        let data = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation)
            .map_err(ServiceTokenError::Verify)?;
        Service::parse(&data.claims.sub).ok_or(ServiceTokenError::UnknownCaller)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key() -> ServiceTokenKey {
        ServiceTokenKey::new(&SecretString::from("service key of this test"))
    }

    #[test]
    fn names_the_caller_to_the_right_callee_only() {
        let token = key().mint(Service::Worker, Service::ControlPlane).unwrap();
        let token = token.expose_secret();
        assert_eq!(
            key().verify(token, Service::ControlPlane).unwrap(),
            Service::Worker
        );
        assert!(key().verify(token, Service::Gateway).is_err());
    }

    #[test]
    fn refuses_another_key_and_an_unknown_caller() {
        let token = key().mint(Service::Worker, Service::ControlPlane).unwrap();
        let other = ServiceTokenKey::new(&SecretString::from("another key"));
        assert!(
            other
                .verify(token.expose_secret(), Service::ControlPlane)
                .is_err()
        );
        let now = jsonwebtoken::get_current_timestamp();
        let stranger = jsonwebtoken::encode(
            &Header::new(Algorithm::HS256),
            &Claims {
                iss: ISSUER.to_owned(),
                sub: "stranger".to_owned(),
                aud: "control-plane".to_owned(),
                iat: now,
                exp: now + LIFE_SECONDS,
            },
            &key().encoding,
        )
        .unwrap();
        assert!(matches!(
            key().verify(&stranger, Service::ControlPlane),
            Err(ServiceTokenError::UnknownCaller)
        ));
    }

    #[test]
    fn refuses_an_expired_token() {
        let now = jsonwebtoken::get_current_timestamp();
        let old = jsonwebtoken::encode(
            &Header::new(Algorithm::HS256),
            &Claims {
                iss: ISSUER.to_owned(),
                sub: "worker".to_owned(),
                aud: "control-plane".to_owned(),
                iat: now - 2 * LIFE_SECONDS,
                exp: now - LIFE_SECONDS,
            },
            &key().encoding,
        )
        .unwrap();
        assert!(key().verify(&old, Service::ControlPlane).is_err());
    }
}

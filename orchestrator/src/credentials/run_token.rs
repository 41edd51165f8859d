//! The bearer token of one run (G-6..G-13): HS256, bound to run, project, namespace and mode.
//!
//! Signature and claims are checked here against a given time; whether the run still lives and
//! which generation is current is asked of the database by the caller (`store::tokens`).
use chrono::{DateTime, Duration, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

const ISSUER: &str = "codex-k8s";
const AUDIENCE: &str = "control-plane";
const SCOPE: &str = "run_mcp";
/// Scope of a token that an adapter calls back with (G-136).
const CALLBACK_SCOPE: &str = "interaction_callback";
/// Before the id of the interaction in the subject of such a token.
const CALLBACK_SUBJECT: &str = "mcp-interaction-callback:";
/// The shortest stored expiry after issue (G-7).
pub const MIN_RUN_TOKEN_TTL: Duration = Duration::hours(24);
/// The signed `exp`, which no wait can move (G-7).
pub const MAX_RUN_TOKEN_TTL: Duration = Duration::hours(168);

/// Why a run token was refused. The message never says more than the kind.
#[derive(Debug, thiserror::Error)]
pub enum RunTokenError {
    #[error("failed to sign a run token")]
    Sign(#[source] jsonwebtoken::errors::Error),
    #[error("failed to verify a run token: malformed, or not signed by this platform")]
    Signature,
    #[error("failed to verify a run token: it is meant for another purpose")]
    WrongScope(Box<RunTokenClaims>),
}

/// What a run token says (G-7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunTokenClaims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    pub scope: String,
    pub jti: Uuid,
    #[serde(rename = "gen")]
    pub generation: i32,
    pub run_id: Uuid,
    pub correlation_id: String,
    pub project_id: Option<Uuid>,
    pub namespace: String,
    pub runtime_mode: String,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
}

impl RunTokenClaims {
    /// Whether the signed life covers `now`; `exp` itself is already too late (G-7).
    pub fn lives_at(&self, now: DateTime<Utc>) -> bool {
        // `nbf` holds whole seconds while platform time does not.
        (self.nbf..self.exp).contains(&now.timestamp())
    }
}

/// The run a token is made for.
#[derive(Debug, Clone)]
pub struct RunTokenSubject {
    pub run_id: Uuid,
    pub correlation_id: String,
    pub project_id: Option<Uuid>,
    pub namespace: String,
    pub runtime_mode: String,
}

/// One issue of a run's token, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunTokenIssue {
    pub token_id: Uuid,
    pub generation: i32,
    pub issued_at: DateTime<Utc>,
}

/// The stored time to live: configured, but within 24–168 hours (G-7).
pub fn clamp_run_token_ttl(ttl: Duration) -> Duration {
    ttl.clamp(MIN_RUN_TOKEN_TTL, MAX_RUN_TOKEN_TTL)
}

struct SigningKey {
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl SigningKey {
    fn new(key: &SecretString) -> Self {
        let bytes = key.expose_secret().as_bytes();
        let mut digest = Sha256::new();
        digest.update(b"codex-k8s run token key id");
        digest.update(bytes);
        Self {
            id: hex::encode(&digest.finalize()[..4]),
            encoding: EncodingKey::from_secret(bytes),
            decoding: DecodingKey::from_secret(bytes),
        }
    }
}

/// Signs with the current key, verifies with the current or the previous one (G-11).
pub struct RunTokenKeys {
    current: SigningKey,
    previous: Option<SigningKey>,
}

impl std::fmt::Debug for RunTokenKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RunTokenKeys")
            .field("current", &self.current.id)
            .field("previous", &self.previous.as_ref().map(|key| &key.id))
            .finish()
    }
}

impl RunTokenKeys {
    /// The previous key is only given while its tokens may still live.
    pub fn new(current: &SecretString, previous: Option<&SecretString>) -> Self {
        Self {
            current: SigningKey::new(current),
            previous: previous.map(SigningKey::new),
        }
    }

    /// Signs the token of one issue.
    pub fn mint(
        &self,
        subject: &RunTokenSubject,
        issue: RunTokenIssue,
    ) -> Result<SecretString, RunTokenError> {
        let issued_at = issue.issued_at;
        let claims = RunTokenClaims {
            iss: ISSUER.to_owned(),
            sub: format!("run:{}", subject.run_id),
            aud: AUDIENCE.to_owned(),
            scope: SCOPE.to_owned(),
            jti: issue.token_id,
            generation: issue.generation,
            run_id: subject.run_id,
            correlation_id: subject.correlation_id.clone(),
            project_id: subject.project_id,
            namespace: subject.namespace.clone(),
            runtime_mode: subject.runtime_mode.clone(),
            iat: issued_at.timestamp(),
            nbf: issued_at.timestamp(),
            exp: (issued_at + MAX_RUN_TOKEN_TTL).timestamp(),
        };
        self.sign(&claims)
    }

    /// Signs the token that an adapter calls back with about one interaction of a run (G-136). It opens no run route:
    /// its scope is another one (G-10).
    pub fn mint_callback(
        &self,
        interaction_id: Uuid,
        subject: &RunTokenSubject,
        issued_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<SecretString, RunTokenError> {
        self.sign(&RunTokenClaims {
            iss: ISSUER.to_owned(),
            sub: format!("{CALLBACK_SUBJECT}{interaction_id}"),
            aud: AUDIENCE.to_owned(),
            scope: CALLBACK_SCOPE.to_owned(),
            jti: interaction_id,
            generation: 0,
            run_id: subject.run_id,
            correlation_id: subject.correlation_id.clone(),
            project_id: subject.project_id,
            namespace: subject.namespace.clone(),
            runtime_mode: subject.runtime_mode.clone(),
            iat: issued_at.timestamp(),
            nbf: issued_at.timestamp(),
            exp: expires_at.timestamp(),
        })
    }

    fn sign(&self, claims: &RunTokenClaims) -> Result<SecretString, RunTokenError> {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(self.current.id.clone());
        jsonwebtoken::encode(&header, claims, &self.current.encoding)
            .map(SecretString::from)
            .map_err(RunTokenError::Sign)
    }

    /// The interaction that a callback token is for, with its claims; the times are compared as those of a run token.
    pub fn decode_callback(&self, token: &str) -> Result<(Uuid, RunTokenClaims), RunTokenError> {
        let claims = self.verified(token)?;
        let interaction = claims
            .sub
            .strip_prefix(CALLBACK_SUBJECT)
            .and_then(|id| Uuid::parse_str(id).ok());
        match interaction {
            Some(id)
                if claims.iss == ISSUER
                    && claims.aud == AUDIENCE
                    && claims.scope == CALLBACK_SCOPE =>
            {
                Ok((id, claims))
            }
            _ => Err(RunTokenError::WrongScope(Box::new(claims))),
        }
    }

    /// Checks signature and purpose; the times are compared by [`RunTokenClaims::lives_at`], once
    /// platform time is known.
    pub fn decode(&self, token: &str) -> Result<RunTokenClaims, RunTokenError> {
        let claims = self.verified(token)?;
        let for_this_purpose = claims.iss == ISSUER
            && claims.aud == AUDIENCE
            && claims.scope == SCOPE
            && claims.sub == format!("run:{}", claims.run_id);
        if for_this_purpose {
            Ok(claims)
        } else {
            Err(RunTokenError::WrongScope(Box::new(claims)))
        }
    }

    fn verified(&self, token: &str) -> Result<RunTokenClaims, RunTokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| RunTokenError::Signature)?;
        let key = std::iter::once(&self.current)
            .chain(&self.previous)
            .find(|key| header.kid.as_deref() == Some(key.id.as_str()))
            .ok_or(RunTokenError::Signature)?;
        let mut validation = Validation::new(Algorithm::HS256);
        // Times belong to platform time; audience and issuer are told apart as a scope error.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["iss", "sub", "aud", "exp", "nbf"]);
        jsonwebtoken::decode::<RunTokenClaims>(token, &key.decoding, &validation)
            .map(|decoded| decoded.claims)
            .map_err(|_| RunTokenError::Signature)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn keys() -> RunTokenKeys {
        RunTokenKeys::new(&SecretString::from("current signing key"), None)
    }

    fn subject() -> RunTokenSubject {
        RunTokenSubject {
            run_id: Uuid::new_v4(),
            correlation_id: "delivery-1".to_owned(),
            project_id: Some(Uuid::new_v4()),
            namespace: "codex-issue-1".to_owned(),
            runtime_mode: "full-env".to_owned(),
        }
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn issue(generation: i32) -> RunTokenIssue {
        RunTokenIssue {
            token_id: Uuid::from_u128(7),
            generation,
            issued_at: at(1_000_000),
        }
    }

    fn signed(change: impl FnOnce(&mut RunTokenClaims)) -> String {
        let token = keys().mint(&subject(), issue(1)).unwrap();
        let mut claims = keys().decode(token.expose_secret()).unwrap();
        change(&mut claims);
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(keys().current.id.clone());
        jsonwebtoken::encode(&header, &claims, &keys().current.encoding).unwrap()
    }

    #[test]
    fn says_what_it_was_made_for() {
        let subject = subject();
        let token = keys().mint(&subject, issue(3)).unwrap();
        let claims = keys().decode(token.expose_secret()).unwrap();
        assert_eq!(claims.run_id, subject.run_id);
        assert_eq!(claims.generation, 3);
        assert_eq!(claims.jti, issue(3).token_id);
        assert_eq!(claims.sub, format!("run:{}", subject.run_id));
        assert_eq!(claims.aud, "control-plane");
        assert_eq!(claims.scope, "run_mcp");
    }

    #[test]
    fn a_time_to_live_is_clamped() {
        assert_eq!(clamp_run_token_ttl(Duration::hours(1)), MIN_RUN_TOKEN_TTL);
        assert_eq!(
            clamp_run_token_ttl(Duration::hours(48)),
            Duration::hours(48)
        );
        assert_eq!(clamp_run_token_ttl(Duration::days(90)), MAX_RUN_TOKEN_TTL);
    }

    #[test]
    fn expires_at_the_signed_second() {
        let token = keys().mint(&subject(), issue(1)).unwrap();
        let claims = keys().decode(token.expose_secret()).unwrap();
        let end = at(1_000_000) + MAX_RUN_TOKEN_TTL;
        assert!(claims.lives_at(at(1_000_000)));
        assert!(claims.lives_at(end - Duration::seconds(1)));
        assert!(!claims.lives_at(end));
        assert!(!claims.lives_at(at(999_999)));
    }

    #[test]
    fn refuses_algorithm_none_and_another_algorithm() {
        let token = signed(|_| {});
        let body = token.split('.').nth(1).unwrap();
        let signature = token.split('.').nth(2).unwrap();
        let kid = keys().current.id;
        for algorithm in ["none", "RS256", "HS512"] {
            let header = URL_SAFE_NO_PAD.encode(format!(
                r#"{{"alg":"{algorithm}","typ":"JWT","kid":"{kid}"}}"#
            ));
            for forged in [
                format!("{header}.{body}."),
                format!("{header}.{body}.{signature}"),
            ] {
                assert!(
                    matches!(keys().decode(&forged), Err(RunTokenError::Signature)),
                    "{algorithm}"
                );
            }
        }
    }

    #[test]
    fn refuses_another_audience_scope_issuer_or_subject() {
        let changes: [fn(&mut RunTokenClaims); 4] = [
            |claims| claims.aud = "gateway".to_owned(),
            |claims| claims.scope = "callback".to_owned(),
            |claims| claims.iss = "elsewhere".to_owned(),
            |claims| claims.run_id = Uuid::new_v4(),
        ];
        for change in changes {
            assert!(matches!(
                keys().decode(&signed(change)),
                Err(RunTokenError::WrongScope(_))
            ));
        }
        assert!(keys().decode(&signed(|_| {})).is_ok());
    }

    #[test]
    fn a_callback_token_is_for_one_interaction_and_nothing_else() {
        let id = Uuid::from_u128(9);
        let token = keys()
            .mint_callback(id, &subject(), at(1_000_000), at(1_000_100))
            .unwrap();
        let (interaction, claims) = keys().decode_callback(token.expose_secret()).unwrap();
        assert_eq!(interaction, id);
        assert!(claims.lives_at(at(1_000_099)) && !claims.lives_at(at(1_000_100)));
        assert!(matches!(
            keys().decode(token.expose_secret()),
            Err(RunTokenError::WrongScope(_))
        ));
        let run_token = keys().mint(&subject(), issue(1)).unwrap();
        assert!(matches!(
            keys().decode_callback(run_token.expose_secret()),
            Err(RunTokenError::WrongScope(_))
        ));
        assert!(matches!(
            keys().decode_callback("x.y.z"),
            Err(RunTokenError::Signature)
        ));
    }

    #[test]
    fn accepts_the_previous_key_and_refuses_an_older_one() {
        let token = keys().mint(&subject(), issue(1)).unwrap();
        let token = token.expose_secret();
        let next = SecretString::from("next signing key");
        let rotated = RunTokenKeys::new(&next, Some(&SecretString::from("current signing key")));
        assert!(rotated.decode(token).is_ok());
        let later = RunTokenKeys::new(&SecretString::from("third signing key"), Some(&next));
        assert!(matches!(later.decode(token), Err(RunTokenError::Signature)));
    }
}

//! Secrets of workflows: sealed here for GitHub's key, so that nothing on the way can read them.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto_box::aead::OsRng;
use crypto_box::{KEY_SIZE, PublicKey};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::repository::path_segment;
use super::{GithubError, RepositoryApi};

/// Whose secrets.
#[derive(Debug, Clone, Copy)]
pub enum SecretPlace<'a> {
    Repository,
    Environment(&'a str),
}

/// `key` is base64 of a Curve25519 public key.
#[derive(Deserialize)]
struct KeyObject {
    key_id: String,
    key: String,
}

impl SecretPlace<'_> {
    fn route(self, rest: &str) -> String {
        match self {
            Self::Repository => format!("actions/secrets/{rest}"),
            Self::Environment(name) => {
                format!("environments/{}/secrets/{rest}", path_segment(name))
            }
        }
    }
}

impl RepositoryApi {
    /// Writes a secret, whatever its value was.
    pub async fn put_secret(
        &self,
        place: SecretPlace<'_>,
        name: &str,
        value: &SecretString,
    ) -> Result<(), GithubError> {
        let key: KeyObject = self
            .client
            .get(&self.route(place.route("public-key")))
            .await?;
        let sealed = sealed(&key.key, value).ok_or(GithubError::UnusableKey)?;
        let body = json!({"encrypted_value": sealed, "key_id": key.key_id});
        let route = self.route(place.route(&path_segment(name)));
        self.client.put(&route, &body).await
    }
}

/// libsodium's sealed box, as base64; none when the key is no key.
fn sealed(key: &str, value: &SecretString) -> Option<String> {
    let key: [u8; KEY_SIZE] = STANDARD.decode(key).ok()?.try_into().ok()?;
    let sealed = PublicKey::from(key).seal(&mut OsRng, value.expose_secret().as_bytes());
    Some(STANDARD.encode(sealed.ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crypto_box::SecretKey;

    use super::*;

    #[test]
    fn only_the_holder_of_the_key_opens_a_sealed_value() {
        let ours = SecretKey::generate(&mut OsRng);
        let key = STANDARD.encode(ours.public_key().as_bytes());
        let value = SecretString::from("value");
        let first = sealed(&key, &value).unwrap();
        assert_ne!(first, sealed(&key, &value).unwrap());
        let opened = ours.unseal(&STANDARD.decode(first).unwrap()).unwrap();
        assert_eq!(opened, b"value");
        for bad in ["", "no base64!", "AAAA"] {
            assert!(sealed(bad, &value).is_none(), "{bad}");
        }
    }
}

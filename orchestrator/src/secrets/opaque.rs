//! Random bearer values whose hash alone is stored (sessions, personal tokens, CSRF tokens).
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// 256 bits cannot be guessed, so that a plain SHA-256 without salt is enough for storage.
const OPAQUE_BYTES: usize = 32;

/// A value shown once to its owner, and what is stored of it.
pub struct OpaqueToken {
    pub value: SecretString,
    pub hash: Vec<u8>,
}

/// Makes a new random value; the prefix lets scanners and people recognise what it is.
pub fn random_token(prefix: &str) -> OpaqueToken {
    let bytes: [u8; OPAQUE_BYTES] = rand::random();
    let value = SecretString::from(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)));
    let hash = hash_token(value.expose_secret());
    OpaqueToken { value, hash }
}

/// SHA-256 of a presented value, for look-up and comparison by hash.
pub fn hash_token(presented: &str) -> Vec<u8> {
    Sha256::digest(presented.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_differ_and_hash_to_what_is_stored() {
        let (first, second) = (random_token("ck8s_"), random_token("ck8s_"));
        assert_ne!(first.value.expose_secret(), second.value.expose_secret());
        assert!(first.value.expose_secret().starts_with("ck8s_"));
        assert_eq!(hash_token(first.value.expose_secret()), first.hash);
    }
}

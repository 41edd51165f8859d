//! Values of synchronised secrets: derived or made at random (G-43, G-44).
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// 256 bits (G-44).
const RANDOM_BYTES: usize = 32;
/// Between the parts that a value is derived from; no name contains it.
const SEPARATOR: [u8; 1] = [0];

/// base64url of HMAC-SHA256 over the parts, a NUL between each two; the key is taken as it is configured.
pub fn derived_value(key: &SecretString, parts: &[&str]) -> SecretString {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes())
        .expect("HMAC takes a key of any length");
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            mac.update(&SEPARATOR);
        }
        mac.update(part.as_bytes());
    }
    SecretString::from(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// base64url of fresh random bytes.
pub fn random_value() -> SecretString {
    let bytes: [u8; RANDOM_BYTES] = rand::random();
    SecretString::from(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_follows_from_key_and_parts_alone() {
        let key = SecretString::from("4d".repeat(32));
        let value = |parts: &[&str]| derived_value(&key, parts).expose_secret().to_owned();
        let first = value(&["v1", "p", "o/r", "dev", "A", "app", "value"]);
        assert_eq!(
            first,
            value(&["v1", "p", "o/r", "dev", "A", "app", "value"])
        );
        assert_eq!(first.len(), 43);
        assert_ne!(
            first,
            value(&["v1", "p", "o/r", "prod", "A", "app", "value"])
        );
        assert_ne!(value(&["ab", "c"]), value(&["a", "bc"]));
        let other = SecretString::from("5e".repeat(32));
        assert_ne!(first, derived_value(&other, &["v1"]).expose_secret());
    }

    #[test]
    fn random_values_differ() {
        let (first, second) = (random_value(), random_value());
        assert_ne!(first.expose_secret(), second.expose_secret());
        assert_eq!(first.expose_secret().len(), 43);
    }
}

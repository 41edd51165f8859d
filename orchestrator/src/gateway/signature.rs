//! GitHub's signature over the raw body (L-21).
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

const PREFIX: &str = "sha256=";

/// Whether the header is `sha256=<hex>` of the body; the comparison takes the same time wherever it fails.
pub fn is_valid(secret: &SecretString, body: &[u8], header: &str) -> bool {
    let Some(signature) = header
        .strip_prefix(PREFIX)
        .and_then(|digits| hex::decode(digits).ok())
    else {
        return false;
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else {
        return false;
    };
    mac.update(body);
    mac.verify_slice(&signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GitHub's documented example.
    const SECRET: &str = "It's a Secret to Everybody";
    const SIGNATURE: &str =
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn the_documented_example_passes_and_nothing_else_does() {
        let secret = SecretString::from(SECRET);
        assert!(is_valid(&secret, b"Hello, World!", SIGNATURE));
        for (body, header) in [
            (&b"Hello, World?"[..], SIGNATURE),
            (
                b"Hello, World!",
                "sha1=757107ea0eb2509fc211221cce984b8a37570b6d",
            ),
            (b"Hello, World!", "sha256=zz"),
            (b"Hello, World!", "sha256="),
            (b"Hello, World!", ""),
        ] {
            assert!(!is_valid(&secret, body, header), "{header}");
        }
    }
}

//! AES-256-GCM encryption of one table cell (G-122).
//!
//! A stored value is key-id byte, 12-byte random nonce, ciphertext; table, column and row are
//! authenticated, so that a ciphertext copied into another row does not open there.
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
/// Key id and nonce stand before the ciphertext.
const HEADER_BYTES: usize = 1 + NONCE_BYTES;

/// Why a value could not be sealed or opened. Never carries any part of the value or the key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ColumnCipherError {
    #[error("failed to read an encryption key: expected 64 hexadecimal digits")]
    MalformedKey,
    #[error("failed to use two encryption keys: they are equal or share key id {0}")]
    RepeatedKey(u8),
    #[error("failed to encrypt a column value")]
    Seal,
    #[error("failed to decrypt {table}.{column}: the stored value is cut short")]
    Truncated {
        table: &'static str,
        column: &'static str,
    },
    #[error("failed to decrypt {table}.{column}: no active key has id {key_id}")]
    UnknownKey {
        table: &'static str,
        column: &'static str,
        key_id: u8,
    },
    #[error("failed to decrypt {table}.{column}: wrong key, or the value belongs to another row")]
    Open {
        table: &'static str,
        column: &'static str,
    },
}

/// The place a ciphertext belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    pub table: &'static str,
    pub column: &'static str,
    /// Primary key of the row as text.
    pub row: &'a str,
}

impl Column<'_> {
    /// Length-prefixed, so that no two places share one encoding.
    fn associated_data(&self) -> Vec<u8> {
        let mut data = Vec::new();
        for part in [self.table, self.column, self.row] {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part.as_bytes());
        }
        data
    }
}

struct Key {
    id: u8,
    cipher: Aes256Gcm,
}

impl Key {
    fn parse(hex_digits: &SecretString) -> Result<Self, ColumnCipherError> {
        let bytes = hex::decode(hex_digits.expose_secret().trim())
            .map_err(|_| ColumnCipherError::MalformedKey)?;
        if bytes.len() != KEY_BYTES {
            return Err(ColumnCipherError::MalformedKey);
        }
        let cipher =
            Aes256Gcm::new_from_slice(&bytes).map_err(|_| ColumnCipherError::MalformedKey)?;
        // The id follows from the key, so that no second setting can disagree with it.
        let mut digest = Sha256::new();
        digest.update(b"codex-k8s column key id");
        digest.update(&bytes);
        Ok(Self {
            id: digest.finalize()[0],
            cipher,
        })
    }
}

/// Encrypts with the active key, decrypts with the active or the previous one.
pub struct ColumnCipher {
    active: Key,
    previous: Option<Key>,
}

impl std::fmt::Debug for ColumnCipher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ColumnCipher")
            .field("active_key_id", &self.active.id)
            .field("previous_key_id", &self.previous.as_ref().map(|key| key.id))
            .finish()
    }
}

impl ColumnCipher {
    /// Keys are 64 hexadecimal digits each; the previous one only during a rotation.
    pub fn new(
        active: &SecretString,
        previous: Option<&SecretString>,
    ) -> Result<Self, ColumnCipherError> {
        let active = Key::parse(active)?;
        let previous = previous.map(Key::parse).transpose()?;
        if let Some(previous) = &previous
            && previous.id == active.id
        {
            return Err(ColumnCipherError::RepeatedKey(active.id));
        }
        Ok(Self { active, previous })
    }

    /// Encrypts a value for its place. Equal values give different bytes.
    pub fn seal(
        &self,
        place: Column<'_>,
        value: &SecretString,
    ) -> Result<Vec<u8>, ColumnCipherError> {
        let nonce_bytes: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload {
            msg: value.expose_secret().as_bytes(),
            aad: &place.associated_data(),
        };
        let ciphertext = self
            .active
            .cipher
            .encrypt(&Nonce::from(nonce_bytes), payload)
            .map_err(|_| ColumnCipherError::Seal)?;
        let mut stored = Vec::with_capacity(HEADER_BYTES + ciphertext.len());
        stored.push(self.active.id);
        stored.extend_from_slice(&nonce_bytes);
        stored.extend_from_slice(&ciphertext);
        Ok(stored)
    }

    /// Id of the key that new values are sealed with: the first byte of each.
    pub fn active_key_id(&self) -> u8 {
        self.active.id
    }

    /// The value of this place under the active key, whichever of the two it was sealed with.
    pub fn reseal(&self, place: Column<'_>, stored: &[u8]) -> Result<Vec<u8>, ColumnCipherError> {
        self.seal(place, &self.open(place, stored)?)
    }

    /// Decrypts a stored value of this place.
    pub fn open(
        &self,
        place: Column<'_>,
        stored: &[u8],
    ) -> Result<SecretString, ColumnCipherError> {
        let (table, column) = (place.table, place.column);
        let Some((header, ciphertext)) = stored.split_at_checked(HEADER_BYTES) else {
            return Err(ColumnCipherError::Truncated { table, column });
        };
        let key_id = header[0];
        let key = std::iter::once(&self.active)
            .chain(&self.previous)
            .find(|key| key.id == key_id)
            .ok_or(ColumnCipherError::UnknownKey {
                table,
                column,
                key_id,
            })?;
        let mut nonce_bytes = [0_u8; NONCE_BYTES];
        nonce_bytes.copy_from_slice(&header[1..]);
        let payload = Payload {
            msg: ciphertext,
            aad: &place.associated_data(),
        };
        let plaintext = key
            .cipher
            .decrypt(&Nonce::from(nonce_bytes), payload)
            .map_err(|_| ColumnCipherError::Open { table, column })?;
        String::from_utf8(plaintext)
            .map(SecretString::from)
            .map_err(|_| ColumnCipherError::Open { table, column })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key(digit: char) -> SecretString {
        SecretString::from(digit.to_string().repeat(64))
    }

    fn place(row: &str) -> Column<'_> {
        Column {
            table: "repositories",
            column: "token_encrypted",
            row,
        }
    }

    #[test]
    fn opens_what_it_sealed_and_never_repeats_a_ciphertext() {
        let cipher = ColumnCipher::new(&key('a'), None).unwrap();
        let value = SecretString::from("ghp_example");
        let first = cipher.seal(place("1"), &value).unwrap();
        let second = cipher.seal(place("1"), &value).unwrap();
        assert_ne!(first, second);
        assert_eq!(
            cipher.open(place("1"), &first).unwrap().expose_secret(),
            "ghp_example"
        );
    }

    #[test]
    fn refuses_a_ciphertext_moved_to_another_row_or_column() {
        let cipher = ColumnCipher::new(&key('a'), None).unwrap();
        let stored = cipher
            .seal(place("1"), &SecretString::from("value"))
            .unwrap();
        assert!(cipher.open(place("2"), &stored).is_err());
        let other = Column {
            column: "bot_token_encrypted",
            ..place("1")
        };
        assert!(cipher.open(other, &stored).is_err());
    }

    #[test]
    fn refuses_a_changed_or_cut_value() {
        let cipher = ColumnCipher::new(&key('a'), None).unwrap();
        let mut stored = cipher
            .seal(place("1"), &SecretString::from("value"))
            .unwrap();
        let last = stored.len() - 1;
        stored[last] ^= 1;
        assert!(matches!(
            cipher.open(place("1"), &stored),
            Err(ColumnCipherError::Open { .. })
        ));
        assert!(matches!(
            cipher.open(place("1"), &stored[..HEADER_BYTES - 1]),
            Err(ColumnCipherError::Truncated { .. })
        ));
    }

    #[test]
    fn a_rotation_opens_old_values_and_writes_new_ones() {
        let old = ColumnCipher::new(&key('a'), None).unwrap();
        let stored = old.seal(place("1"), &SecretString::from("value")).unwrap();
        let rotating = ColumnCipher::new(&key('b'), Some(&key('a'))).unwrap();
        let value = rotating.open(place("1"), &stored).unwrap();
        let renewed = rotating.seal(place("1"), &value).unwrap();
        assert_ne!(renewed[0], stored[0]);
        let done = ColumnCipher::new(&key('b'), None).unwrap();
        assert!(done.open(place("1"), &renewed).is_ok());
        assert!(matches!(
            done.open(place("1"), &stored),
            Err(ColumnCipherError::UnknownKey { .. })
        ));
    }

    #[test]
    fn refuses_malformed_and_repeated_keys() {
        assert_eq!(
            ColumnCipher::new(&SecretString::from("abc"), None).unwrap_err(),
            ColumnCipherError::MalformedKey
        );
        assert!(matches!(
            ColumnCipher::new(&key('a'), Some(&key('a'))).unwrap_err(),
            ColumnCipherError::RepeatedKey(_)
        ));
    }

    #[test]
    fn says_nothing_about_keys_when_formatted() {
        let shown = format!("{:?}", ColumnCipher::new(&key('a'), None).unwrap());
        assert!(!shown.contains("aaaa"), "{shown}");
    }
}

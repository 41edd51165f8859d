//! What must never be readable: encrypted columns, opaque tokens.
//!
//! Separate from the code that uses secrets, so that there is one place where a plaintext turns
//! into bytes for the database and back (D-22, G-122). Values travel as `SecretString`, which has
//! neither `Display` nor `Serialize`.
mod column;
mod opaque;
mod rotation;
mod startup;
mod values;

pub use column::{Column, ColumnCipher, ColumnCipherError};
pub use opaque::{OpaqueToken, hash_token, random_token};
pub use rotation::{RotationError, reseal_stored};
pub use startup::{StartupCheckError, check_stored_ciphertexts};
pub use values::{derived_value, random_value};

//! Secrets for the system under test, each one unique, so that a leak names what leaked.

use std::sync::Mutex;

use serde::Serialize;

/// Random bytes of a secret; 32 is what the platform asks for its keys (runtime 6.2).
const BYTES: usize = 32;

/// A secret that was handed to the system, and that must be found nowhere else (E-24).
#[derive(Clone, Serialize)]
pub struct Canary {
    pub name: String,
    pub value: String,
}

impl std::fmt::Debug for Canary {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Canary")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

static MADE: Mutex<Vec<Canary>> = Mutex::new(Vec::new());

/// Makes a secret of 64 hexadecimal digits and remembers it.
#[must_use]
pub fn canary(name: &str) -> String {
    let mut bytes = [0_u8; BYTES];
    rand::fill(&mut bytes);
    let value = hex::encode(bytes);
    remember(name, &value);
    value
}

/// Adds a secret made elsewhere to those that are searched for.
pub fn remember(name: &str, value: &str) {
    MADE.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .push(Canary {
            name: name.to_owned(),
            value: value.to_owned(),
        });
}

/// Every secret made by this process so far.
#[must_use]
pub fn all() -> Vec<Canary> {
    MADE.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .clone()
}

//! The raw `CODEXK8S_*` variables, with `_FILE` variants and a memory of what was asked for.
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

use super::ConfigError;

/// Every key of the platform starts with it (runtime 6.2).
pub const PREFIX: &str = "CODEXK8S_";
const FILE_SUFFIX: &str = "_FILE";

/// Variables by their name without the prefix.
pub struct Environment {
    values: BTreeMap<String, String>,
    asked: RefCell<BTreeSet<String>>,
}

impl Environment {
    /// Reads the process environment; a value given as `<NAME>_FILE` is read from that file.
    pub fn from_process() -> Result<Self, ConfigError> {
        Self::from_pairs(
            std::env::vars_os().filter_map(|(key, value)| {
                Some((key.into_string().ok()?, value.into_string().ok()?))
            }),
        )
    }

    /// The same from given pairs.
    pub fn from_pairs(
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut values = BTreeMap::new();
        let mut files = Vec::new();
        for (key, value) in pairs {
            let Some(name) = key.strip_prefix(PREFIX) else {
                continue;
            };
            match name.strip_suffix(FILE_SUFFIX) {
                Some(target) => files.push((target.to_owned(), value)),
                None => {
                    values.insert(name.to_owned(), value);
                }
            }
        }
        for (name, path) in files.into_iter().filter(|(_, path)| !path.is_empty()) {
            let text =
                std::fs::read_to_string(&path).map_err(|source| ConfigError::SecretFile {
                    name: name.clone(),
                    source,
                })?;
            values
                .entry(name)
                .or_insert_with(|| text.trim_end_matches(['\r', '\n']).to_owned());
        }
        Ok(Self {
            values,
            asked: RefCell::default(),
        })
    }

    fn raw(&self, name: &str) -> Option<&str> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A text value; empty counts as absent.
    pub fn text(&self, name: &str) -> Option<String> {
        self.raw(name).map(str::to_owned)
    }

    /// A text value or its default.
    pub fn text_or(&self, name: &str, default: &str) -> String {
        self.raw(name).unwrap_or(default).to_owned()
    }

    /// A secret; it can no longer be formatted once read.
    pub fn secret(&self, name: &str) -> Option<SecretString> {
        self.raw(name).map(SecretString::from)
    }

    /// A value of any type that parses from text.
    pub fn parsed<T>(&self, name: &str, default: T) -> Result<T, ConfigError>
    where
        T: FromStr,
        T::Err: Display,
    {
        match self.raw(name) {
            None => Ok(default),
            Some(value) => value.parse().map_err(|error: T::Err| ConfigError::Invalid {
                name: name.to_owned(),
                reason: error.to_string(),
            }),
        }
    }

    /// A duration such as `5s`, `1h`, `250ms` or bare seconds.
    pub fn duration(&self, name: &str, default: Duration) -> Result<Duration, ConfigError> {
        match self.raw(name) {
            None => Ok(default),
            Some(value) => parse_duration(value).ok_or_else(|| ConfigError::Invalid {
                name: name.to_owned(),
                reason: "expected a duration such as 5s, 10m, 24h or 250ms".to_owned(),
            }),
        }
    }

    /// Durations by name, such as `dev=24h,qa=48h`.
    pub fn durations_by_name(&self, name: &str) -> Result<BTreeMap<String, Duration>, ConfigError> {
        let Some(text) = self.raw(name) else {
            return Ok(BTreeMap::new());
        };
        let pair = |item: &str| {
            let (key, value) = item.split_once('=')?;
            let duration = parse_duration(value).filter(|duration| !duration.is_zero())?;
            Some((key.trim().to_owned(), duration))
        };
        text.split(',')
            .map(|item| {
                pair(item).ok_or_else(|| ConfigError::Invalid {
                    name: name.to_owned(),
                    reason: "expected names with positive durations, such as dev=24h,qa=48h"
                        .to_owned(),
                })
            })
            .collect()
    }

    /// Every key with this suffix, e.g. the label names a deployment renames.
    pub fn with_suffix(&self, suffix: &str) -> BTreeMap<String, String> {
        let found: BTreeMap<_, _> = self
            .values
            .iter()
            .filter(|(name, value)| name.ends_with(suffix) && !value.is_empty())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        self.asked.borrow_mut().extend(found.keys().cloned());
        found
    }

    /// Keys that are set and that nothing asked for: reported as a warning and ignored.
    pub fn unknown_keys(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        self.values
            .keys()
            .filter(|name| !asked.contains(*name) && !super::documented::is_documented(name))
            .map(|name| format!("{PREFIX}{name}"))
            .collect()
    }
}

/// A duration such as `5s`, `1h`, `250ms` or bare seconds.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let split = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(86_400),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::from_pairs(
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        )
        .expect("pairs without files load")
    }

    #[test]
    fn durations_have_units() {
        let environment = environment(&[
            ("CODEXK8S_A", "90"),
            ("CODEXK8S_B", "5m"),
            ("CODEXK8S_C", "soon"),
        ]);
        assert_eq!(
            environment.duration("A", Duration::ZERO).ok(),
            Some(Duration::from_secs(90))
        );
        assert_eq!(
            environment.duration("B", Duration::ZERO).ok(),
            Some(Duration::from_secs(300))
        );
        assert!(environment.duration("C", Duration::ZERO).is_err());
    }

    #[test]
    fn durations_by_name_are_positive() {
        let environment = environment(&[
            ("CODEXK8S_A", "dev=2h, qa=90m"),
            ("CODEXK8S_B", "dev=0h"),
            ("CODEXK8S_C", "dev"),
        ]);
        let read = environment.durations_by_name("A").expect("two durations");
        assert_eq!(read["dev"], Duration::from_secs(2 * 60 * 60));
        assert_eq!(read["qa"], Duration::from_secs(90 * 60));
        assert!(environment.durations_by_name("B").is_err());
        assert!(environment.durations_by_name("C").is_err());
        assert!(
            environment
                .durations_by_name("ABSENT")
                .is_ok_and(|read| read.is_empty())
        );
    }

    #[test]
    fn unknown_keys_are_those_nothing_asked_for() {
        let environment = environment(&[
            ("CODEXK8S_KNOWN", "1"),
            ("CODEXK8S_TYPPO", "1"),
            ("HOME", "/"),
        ]);
        environment.text("KNOWN");
        assert_eq!(environment.unknown_keys(), ["CODEXK8S_TYPPO"]);
    }
}

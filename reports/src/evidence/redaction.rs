//! Removes secret values before anything reaches the disk (gate.md 6: journals are redacted before they are written).
//! Only values that are known are removed; the canary search afterwards shows that none slipped through.
use std::borrow::Cow;
use std::fmt;

use aho_corasick::{AhoCorasick, MatchKind};

/// A secret handed to the system in this run. Never formatted.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue {
    /// Name that may be shown.
    pub name: String,
    value: String,
}

/// Shorter values would redact ordinary words.
const SHORTEST_SECRET_BYTES: usize = 8;

impl SecretValue {
    /// Names a secret value.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }

    /// The value, for comparing only.
    pub fn expose(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecretValue({})", self.name)
    }
}

/// Replaces known secrets by `[redacted:<name>]`.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    secrets: Vec<SecretValue>,
    forms: Option<Forms>,
}

/// Every form of every secret, found in one pass, and what stands in its place.
#[derive(Debug, Clone)]
struct Forms {
    automaton: AhoCorasick,
    replacements: Vec<String>,
}

impl Redactor {
    /// A redactor that knows these secrets.
    pub fn new(secrets: Vec<SecretValue>) -> Self {
        let mut redactor = Self::default();
        for secret in secrets {
            redactor.keep(secret);
        }
        redactor.forms = redactor.prepared();
        redactor
    }

    /// Makes a further secret known. Values too short to be told from ordinary text are left out.
    pub fn add(&mut self, secret: SecretValue) {
        if self.keep(secret) {
            self.forms = self.prepared();
        }
    }

    fn keep(&mut self, secret: SecretValue) -> bool {
        let new = secret.value.len() >= SHORTEST_SECRET_BYTES && !self.secrets.contains(&secret);
        if new {
            self.secrets.push(secret);
        }
        new
    }

    fn prepared(&self) -> Option<Forms> {
        let forms = self.secrets.iter().flat_map(|secret| {
            [secret.value.clone(), json_escaped(&secret.value)]
                .map(|form| (form, format!("[redacted:{}]", secret.name)))
        });
        let (patterns, replacements): (Vec<_>, Vec<_>) = forms.unzip();
        let automaton = AhoCorasick::builder()
            // A secret may contain another one: the longer is meant.
            .match_kind(MatchKind::LeftmostLongest)
            .build(patterns)
            .expect("the secrets of a run fit an automaton");
        (!replacements.is_empty()).then_some(Forms {
            automaton,
            replacements,
        })
    }

    /// All secrets that it knows.
    pub fn secrets(&self) -> &[SecretValue] {
        &self.secrets
    }

    /// The text without secrets, also where a value stands JSON-escaped.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.forms {
            Some(forms) if forms.automaton.is_match(text) => {
                Cow::Owned(forms.automaton.replace_all(text, &forms.replacements))
            }
            _ => Cow::Borrowed(text),
        }
    }
}

fn json_escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced_by_their_name_in_plain_and_json_form() {
        let redactor = Redactor::new(vec![SecretValue::new("pat", "line\"one-secret")]);
        assert_eq!(
            redactor.redact("a line\"one-secret b"),
            "a [redacted:pat] b"
        );
        assert_eq!(
            redactor.redact(r#"{"v":"line\"one-secret"}"#),
            r#"{"v":"[redacted:pat]"}"#
        );
    }

    #[test]
    fn a_secret_that_contains_another_is_replaced_as_a_whole() {
        let redactor = Redactor::new(vec![
            SecretValue::new("short", "abcdefgh"),
            SecretValue::new("long", "abcdefgh-and-more"),
        ]);
        assert_eq!(redactor.redact("x abcdefgh-and-more"), "x [redacted:long]");
    }

    #[test]
    fn a_secret_is_not_formatted() {
        assert_eq!(
            format!("{:?}", SecretValue::new("pat", "hidden-value")),
            "SecretValue(pat)"
        );
    }
}

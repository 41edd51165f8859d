//! Identifiers as types, so that a run id is never passed where a project id is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Characters of an identifier that a namespace or branch name keeps.
pub const SHORT_ID_LENGTH: usize = 12;

/// Longest DNS label Kubernetes accepts as a namespace name (RFC 1123).
pub const NAMESPACE_NAME_LIMIT: usize = 63;

/// Shortens an identifier as R-32 says: lower case, `-_.` removed, cut to twelve characters.
pub fn shorten(identifier: &str) -> String {
    identifier
        .to_lowercase()
        .chars()
        .filter(|character| !matches!(character, '-' | '_' | '.'))
        .take(SHORT_ID_LENGTH)
        .collect()
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The identifier as a UUID.
            pub fn as_uuid(self) -> Uuid {
                self.0
            }

            /// The form used in names: twelve lower-case hexadecimal digits.
            pub fn short(self) -> String {
                shorten(&self.0.to_string())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl From<Uuid> for $name {
            fn from(value: Uuid) -> Self {
                Self(value)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// One row of `agent_runs`.
    RunId
);
uuid_id!(
    /// One row of `projects`.
    ProjectId
);
uuid_id!(
    /// One row of `repositories`: the binding of a GitHub repository to a project.
    RepositoryId
);
uuid_id!(
    /// One row of `agents`.
    AgentId
);
uuid_id!(
    /// One row of `users`.
    UserId
);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text_id!(
    /// `X-GitHub-Delivery` of a webhook; idempotency key of its decision (L-24).
    DeliveryId
);
text_id!(
    /// What ties a run, its effects and its events together; unique per run (L-25).
    CorrelationId
);

/// A Kubernetes namespace name, valid by construction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamespaceName(String);

/// The text is no RFC 1123 label of at most 63 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read a namespace name: {0:?} is no DNS label of 1 to 63 characters")]
pub struct InvalidNamespaceName(pub String);

impl NamespaceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NamespaceName {
    type Error = InvalidNamespaceName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let valid = !text.is_empty()
            && text.len() <= NAMESPACE_NAME_LIMIT
            && text.bytes().all(inner)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if valid {
            Ok(Self(text))
        } else {
            Err(InvalidNamespaceName(text))
        }
    }
}

impl FromStr for NamespaceName {
    type Err = InvalidNamespaceName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl From<NamespaceName> for String {
    fn from(name: NamespaceName) -> Self {
        name.0
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_id_has_twelve_characters_without_separators() {
        assert_eq!(shorten("0198-AB_CD.ef0123456789"), "0198abcdef01");
        let run = RunId(Uuid::from_u128(0x0198_aaaa_bbbb_cccc_dddd_eeee_ffff_0000));
        assert_eq!(run.short(), "0198aaaabbbb");
    }

    #[test]
    fn a_namespace_name_is_a_dns_label() {
        for good in ["a", "codex-issue-1", &"a".repeat(63)] {
            assert!(good.parse::<NamespaceName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", &"a".repeat(64)] {
            assert!(bad.parse::<NamespaceName>().is_err(), "{bad}");
        }
    }
}

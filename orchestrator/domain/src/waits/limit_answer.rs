//! What an answer of GitHub tells of its rate limits.

use serde::{Deserialize, Serialize};

/// GitHub's own words for its limits; the last three are those of older answers and of git over HTTP.
const LIMIT_WORDS: [&str; 5] = [
    "rate limit",
    "ratelimit",
    "abuse detection",
    "too many requests",
    "returned error: 429",
];
/// What only GitHub says: other services have limits too.
const OF_GITHUB: [&str; 4] = [
    "api rate limit exceeded",
    "secondary rate limit",
    "api rate limit already exceeded",
    "abuse detection mechanism",
];
/// What GitHub says when the token is the trouble; waiting would change nothing.
const CREDENTIAL_WORDS: [&str; 7] = [
    "bad credentials",
    "requires authentication",
    "not accessible by",
    "admin rights",
    "permission",
    "saml",
    "token has expired",
];

/// An answer of GitHub, as far as it tells of limits. Times are spans by GitHub's own clock, so that nobody else's
/// clock is compared with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitAnswer {
    /// Status of the answer; none where only a program's words are known.
    #[serde(default)]
    pub status: Option<u16>,
    /// What it says.
    #[serde(default)]
    pub message: String,
    /// `Retry-After`, in seconds.
    #[serde(default)]
    pub retry_after_seconds: Option<i64>,
    /// `X-RateLimit-Remaining`.
    #[serde(default)]
    pub remaining: Option<i64>,
    /// `X-RateLimit-Reset` less `Date`, in seconds.
    #[serde(default)]
    pub reset_after_seconds: Option<i64>,
}

impl LimitAnswer {
    /// Reads the headers of a refusal; `header` answers a header by its lower-case name.
    pub fn read<'a>(
        status: u16,
        message: &str,
        header: impl Fn(&str) -> Option<&'a str>,
    ) -> LimitAnswer {
        let number = |name: &str| header(name)?.trim().parse::<i64>().ok();
        let date = header("date")
            .and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok())
            .map(|date| date.timestamp());
        LimitAnswer {
            status: Some(status),
            message: message.to_owned(),
            retry_after_seconds: number("retry-after"),
            remaining: number("x-ratelimit-remaining"),
            reset_after_seconds: number("x-ratelimit-reset")
                .zip(date)
                .map(|(reset, date)| (reset - date).max(0)),
        }
    }

    /// The words of a program that met the limit: git, or what an agent runs.
    pub fn words(message: &str) -> LimitAnswer {
        LimitAnswer {
            message: message.to_owned(),
            ..LimitAnswer::default()
        }
    }

    /// GitHub's limit in the output of a program that failed, if it was that which made it fail.
    pub fn in_output(output: &str) -> Option<LimitAnswer> {
        output
            .lines()
            .map(LimitAnswer::words)
            .find(|answer| answer.says_one_of(&OF_GITHUB))
    }

    /// Whether GitHub speaks of its limits: 403 or 429, and its words or headers for them.
    pub fn is_limit(&self) -> bool {
        match self.status {
            None => self.has_limit_words(),
            Some(429) => true,
            Some(403) => {
                self.has_limit_words()
                    || self.retry_after_seconds.is_some()
                    || self.remaining == Some(0)
            }
            Some(_) => false,
        }
    }

    pub(super) fn is_about_credentials(&self) -> bool {
        self.says_one_of(&CREDENTIAL_WORDS)
    }

    fn has_limit_words(&self) -> bool {
        self.says_one_of(&LIMIT_WORDS)
    }

    fn says_one_of(&self, words: &[&str]) -> bool {
        let message = self.message.to_ascii_lowercase();
        words.iter().any(|word| message.contains(word))
    }
}

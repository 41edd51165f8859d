//! Which faults of a preparation pass by themselves.

use crate::stages::spelled;

spelled!(
    /// What stood in the way of an environment.
    FaultKind {
        /// Somebody who is needed does not answer now.
        Unavailable = "unavailable",
        /// An answer came too late.
        DeadlineExceeded = "deadline_exceeded",
        /// A limit is used up for now.
        ResourceExhausted = "resource_exhausted",
        /// Somebody else changed the same object.
        Conflict = "conflict",
        /// A connection was refused or broke.
        ConnectionBroken = "connection_broken",
        /// The namespace is on its way out.
        NamespaceTerminating = "namespace_terminating",
        /// The namespace is not made yet.
        NamespaceMissing = "namespace_missing",
        /// services.yaml, or a file that it names, cannot be used.
        InvalidSource = "invalid_source",
        /// What was asked for is not there.
        NotFound = "not_found",
        /// Whoever was asked said no.
        Refused = "refused",
        /// A part of the stack failed, or was not ready in time.
        Failed = "failed",
        /// Anything else on the other side.
        Internal = "internal",
    }
);

impl FaultKind {
    /// Whether doing the same again may succeed.
    pub fn is_retried(self) -> bool {
        match self {
            Self::Unavailable
            | Self::DeadlineExceeded
            | Self::ResourceExhausted
            | Self::Conflict
            | Self::ConnectionBroken
            | Self::NamespaceTerminating
            | Self::NamespaceMissing => true,
            Self::InvalidSource
            | Self::NotFound
            | Self::Refused
            | Self::Failed
            | Self::Internal => false,
        }
    }
}

/// Words in an internal error that name a fault which passes.
const PASSING_WORDS: [(&str, FaultKind); 7] = [
    ("being terminated", FaultKind::NamespaceTerminating),
    ("terminating", FaultKind::NamespaceTerminating),
    ("timeout", FaultKind::DeadlineExceeded),
    ("timed out", FaultKind::DeadlineExceeded),
    ("deadline exceeded", FaultKind::DeadlineExceeded),
    ("connection refused", FaultKind::ConnectionBroken),
    ("connection reset", FaultKind::ConnectionBroken),
];

/// What an answer with this HTTP status and these words means.
pub fn of_answer(status: u16, message: &str) -> FaultKind {
    let message = message.to_lowercase();
    let named = || {
        PASSING_WORDS
            .iter()
            .find(|(word, _)| message.contains(word))
            .map(|(_, kind)| *kind)
    };
    match status {
        408 | 504 => FaultKind::DeadlineExceeded,
        429 => FaultKind::ResourceExhausted,
        502 | 503 => FaultKind::Unavailable,
        409 => FaultKind::Conflict,
        // The API server forbids new objects in a namespace that is going.
        403 if message.contains("being terminated") => FaultKind::NamespaceTerminating,
        404 => FaultKind::NotFound,
        500.. => named().unwrap_or(FaultKind::Internal),
        _ => FaultKind::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_faults_that_pass_are_retried() {
        let retried: Vec<&str> = FaultKind::ALL
            .iter()
            .filter(|kind| kind.is_retried())
            .map(|kind| kind.as_str())
            .collect();
        assert_eq!(
            retried,
            [
                "unavailable",
                "deadline_exceeded",
                "resource_exhausted",
                "conflict",
                "connection_broken",
                "namespace_terminating",
                "namespace_missing"
            ]
        );
    }

    #[test]
    fn an_answer_is_read_by_its_status_and_an_internal_error_by_its_words() {
        let cases = [
            (503, "", FaultKind::Unavailable),
            (504, "", FaultKind::DeadlineExceeded),
            (429, "", FaultKind::ResourceExhausted),
            (409, "the object has been modified", FaultKind::Conflict),
            (
                403,
                "unable to create new content in namespace n because it is being terminated",
                FaultKind::NamespaceTerminating,
            ),
            (403, "user cannot patch deployments", FaultKind::Refused),
            (404, "", FaultKind::NotFound),
            (
                422,
                "spec.replicas: the timeout is wrong",
                FaultKind::Refused,
            ),
            (
                500,
                "context: Timeout awaiting headers",
                FaultKind::DeadlineExceeded,
            ),
            (
                500,
                "dial tcp: connect: connection refused",
                FaultKind::ConnectionBroken,
            ),
            (
                500,
                "read: connection reset by peer",
                FaultKind::ConnectionBroken,
            ),
            (
                500,
                "namespace n is Terminating",
                FaultKind::NamespaceTerminating,
            ),
            (500, "nil pointer", FaultKind::Internal),
        ];
        for (status, message, expected) in cases {
            assert_eq!(of_answer(status, message), expected, "{status} {message}");
        }
    }
}

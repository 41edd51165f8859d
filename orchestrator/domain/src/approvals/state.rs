//! How a request moves (3.2), and what a decision comes to (G-81 to G-83).

use chrono::{DateTime, Utc};

use crate::stages::spelled;

spelled!(
    /// `mcp_action_requests.approval_state`.
    ApprovalState {
        /// Somebody is asked.
        Requested = "requested",
        /// Somebody agreed; it is not done yet.
        Approved = "approved",
        /// Somebody refused.
        Denied = "denied",
        /// Nobody decided in time, or the run is over.
        Expired = "expired",
        /// It could not be done.
        Failed = "failed",
        /// It is done.
        Applied = "applied",
    }
);

impl ApprovalState {
    /// Whether the request may move so (G-74 to G-80); the end states are final.
    pub fn may_become(self, next: ApprovalState) -> bool {
        use ApprovalState::{Applied, Approved, Denied, Expired, Failed, Requested};
        matches!(
            (self, next),
            (Requested, Approved | Denied | Expired) | (Approved, Applied | Failed)
        )
    }

    /// Whether nothing comes after it.
    pub fn is_end(self) -> bool {
        !ApprovalState::ALL.iter().any(|next| self.may_become(*next))
    }

    /// The decision that stands, if a person took one.
    pub fn decision(self) -> Option<DecisionKind> {
        match self {
            ApprovalState::Approved | ApprovalState::Applied | ApprovalState::Failed => {
                Some(DecisionKind::Approved)
            }
            ApprovalState::Denied => Some(DecisionKind::Denied),
            ApprovalState::Requested | ApprovalState::Expired => None,
        }
    }
}

spelled!(
    /// What a person decides.
    DecisionKind {
        /// It shall be done.
        Approved = "approved",
        /// It shall not.
        Denied = "denied",
    }
);

spelled!(
    /// What came of a decision (3.5).
    Classification {
        /// It counts.
        Applied = "applied",
        /// It counted already.
        Duplicate = "duplicate",
        /// Another one counts, or the caller saw an older state.
        Stale = "stale",
        /// It came too late.
        Expired = "expired",
    }
);

/// A request as a decision finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// State.
    pub state: ApprovalState,
    /// Version of the state; rises with every move.
    pub state_version: i32,
    /// From then on nobody decides.
    pub expires_at: DateTime<Utc>,
}

/// What a decision comes to. The database repeats the condition of [`Classification::Applied`] when it writes, so that
/// of several at once one counts (D-14).
pub fn classify(
    standing: Standing,
    attempted: DecisionKind,
    seen_version: Option<i32>,
    now: DateTime<Utc>,
) -> Classification {
    match standing.state {
        ApprovalState::Expired => Classification::Expired,
        ApprovalState::Requested if now >= standing.expires_at => Classification::Expired,
        ApprovalState::Requested => match seen_version {
            Some(seen) if seen != standing.state_version => Classification::Stale,
            _ => Classification::Applied,
        },
        decided if decided.decision() == Some(attempted) => Classification::Duplicate,
        _ => Classification::Stale,
    }
}

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::*;

    #[test]
    fn only_the_moves_of_the_table_are_possible() {
        use ApprovalState::{Applied, Approved, Denied, Expired, Failed, Requested};
        let allowed = [
            (Requested, Approved),
            (Requested, Denied),
            (Requested, Expired),
            (Approved, Applied),
            (Approved, Failed),
        ];
        for from in ApprovalState::ALL {
            for to in ApprovalState::ALL {
                let expected = allowed.contains(&(*from, *to));
                assert_eq!(from.may_become(*to), expected, "{from} to {to}");
            }
        }
        let ends: Vec<_> = ApprovalState::ALL
            .iter()
            .filter(|state| state.is_end())
            .collect();
        assert_eq!(ends, [&Denied, &Expired, &Failed, &Applied]);
    }

    #[test]
    fn of_decisions_the_first_counts_and_later_ones_hear_of_it() {
        use ApprovalState as State;
        use Classification as Class;
        use DecisionKind::{Approved, Denied};
        let cases = [
            (State::Requested, Approved, None, Class::Applied),
            (State::Requested, Denied, Some(1), Class::Applied),
            (State::Requested, Approved, Some(2), Class::Stale),
            (State::Approved, Approved, None, Class::Duplicate),
            (State::Approved, Approved, Some(7), Class::Duplicate),
            (State::Approved, Denied, None, Class::Stale),
            (State::Applied, Approved, None, Class::Duplicate),
            (State::Applied, Denied, None, Class::Stale),
            (State::Failed, Approved, None, Class::Duplicate),
            (State::Denied, Denied, None, Class::Duplicate),
            (State::Denied, Approved, None, Class::Stale),
            (State::Expired, Approved, None, Class::Expired),
            (State::Expired, Denied, None, Class::Expired),
        ];
        let now = DateTime::UNIX_EPOCH;
        for (state, attempted, seen, expected) in cases {
            let standing = Standing {
                state,
                state_version: 1,
                expires_at: now + Duration::seconds(1),
            };
            assert_eq!(
                classify(standing, attempted, seen, now),
                expected,
                "{state} {attempted} {seen:?}"
            );
        }
    }

    #[test]
    fn the_deadline_counts_before_anybody_has_swept() {
        let now = DateTime::UNIX_EPOCH;
        let standing = Standing {
            state: ApprovalState::Requested,
            state_version: 1,
            expires_at: now,
        };
        for attempted in DecisionKind::ALL {
            let seen = classify(standing, *attempted, None, now);
            assert_eq!(seen, Classification::Expired);
        }
    }
}

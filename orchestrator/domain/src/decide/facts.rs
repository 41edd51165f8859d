//! Typed access to facts that are loaded on demand.

use super::Undecided;
use crate::events::{Event, Issue, PullRequest, Review, Thread, ThreadKind};
use crate::policy::Policy;
use crate::snapshot::{Binding, Fact, Read, RunFacts, Snapshot, ThreadState, WebhookRuntime};

/// Everything a rule may look at.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub snapshot: &'a Snapshot,
    pub event: &'a Event,
    pub policy: &'a Policy,
}

macro_rules! fact {
    ($(#[$doc:meta])* $name:ident, $variant:ident -> $type:ty) => {
        $(#[$doc])*
        pub fn $name(&self, read: Read) -> Result<&'a $type, Undecided> {
            match self.snapshot.facts.get(&read) {
                Some(Fact::$variant(value)) => Ok(value),
                Some(Fact::Unreadable(cause)) => Err(Undecided::Unreadable { read, cause: cause.clone() }),
                Some(_) | None => Err(Undecided::Missing(vec![read])),
            }
        }
    };
}

impl<'a> Context<'a> {
    fact!(history, History -> Vec<RunFacts>);
    fact!(state, State -> ThreadState);
    fact!(issue_fact, Issue -> Option<Issue>);
    fact!(pull_request_fact, PullRequest -> Option<PullRequest>);
    fact!(label_names, Labels -> Vec<String>);
    fact!(reviews, Reviews -> Vec<Review>);
    fact!(evidence, Evidence -> u32);
    fact!(webhook_runtime, WebhookRuntime -> WebhookRuntime);

    /// Asks for what is absent at once, so that it costs one round trip.
    pub fn together(&self, reads: impl IntoIterator<Item = Read>) -> Result<(), Undecided> {
        let missing: Vec<Read> = reads
            .into_iter()
            .filter(|read| !self.snapshot.facts.contains_key(read))
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Undecided::Missing(missing))
        }
    }

    pub fn binding(&self) -> Option<&'a Binding> {
        self.snapshot.binding.as_ref()
    }

    /// Live labels of a thread.
    pub fn labels(&self, thread: &Thread) -> Result<&'a Vec<String>, Undecided> {
        self.label_names(labels_of(thread))
    }

    pub fn thread_state(&self, thread: &Thread) -> Result<&'a ThreadState, Undecided> {
        self.state(match thread.kind {
            ThreadKind::Issue => Read::IssueState(thread.number),
            ThreadKind::PullRequest => Read::PullRequestState(thread.number),
        })
    }

    pub fn thread_history(&self, thread: &Thread) -> Result<&'a Vec<RunFacts>, Undecided> {
        self.history(match thread.kind {
            ThreadKind::Issue => Read::IssueHistory(thread.number),
            ThreadKind::PullRequest => Read::PullRequestHistory(thread.number),
        })
    }

    pub fn issue_thread(&self, number: i64) -> Thread {
        Thread::issue(self.event.repository_full_name(), number)
    }

    pub fn pull_request_thread(&self, number: i64) -> Thread {
        Thread::pull_request(self.event.repository_full_name(), number)
    }
}

/// The read of a thread's live labels.
pub(super) fn labels_of(thread: &Thread) -> Read {
    match thread.kind {
        ThreadKind::Issue => Read::IssueLabels(thread.number),
        ThreadKind::PullRequest => Read::PullRequestLabels(thread.number),
    }
}

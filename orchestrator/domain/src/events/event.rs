//! What may wake the system, in our own types (design section 4).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::DeliveryId;
use crate::stages::spelled;

spelled!(
    /// The two kinds of thread.
    ThreadKind {
        /// An Issue.
        Issue = "issue",
        /// A pull request.
        PullRequest = "pr",
    }
);

/// One Issue or one pull request of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Thread {
    /// `owner/name`.
    pub repository_full_name: String,
    /// Issue or pull request.
    pub kind: ThreadKind,
    /// Its number.
    pub number: i64,
}

impl Thread {
    /// The Issue of that number.
    pub fn issue(repository_full_name: impl Into<String>, number: i64) -> Self {
        Self {
            repository_full_name: repository_full_name.into(),
            kind: ThreadKind::Issue,
            number,
        }
    }

    /// The pull request of that number.
    pub fn pull_request(repository_full_name: impl Into<String>, number: i64) -> Self {
        Self {
            repository_full_name: repository_full_name.into(),
            kind: ThreadKind::PullRequest,
            number,
        }
    }
}

impl std::fmt::Display for Thread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{}:{}#{}",
            self.kind, self.repository_full_name, self.number
        )
    }
}

/// One webhook delivery, read and typed.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Idempotency key of the decision (L-24).
    pub delivery_id: DeliveryId,
    /// `X-GitHub-Event`.
    pub event_type: String,
    /// `action` of the payload, empty when it has none.
    pub action: String,
    /// When the delivery was stored, platform time.
    pub received_at: DateTime<Utc>,
    /// Who caused it; none when the payload names nobody.
    pub sender: Option<Account>,
    /// Where; none for events outside a repository.
    pub repository: Option<Repository>,
    /// GitHub App installation, if any.
    pub installation_id: Option<i64>,
    /// What happened.
    pub kind: EventKind,
    /// The payload with U+0000 replaced (D-32), kept for the run's envelope (L-44).
    pub raw_payload: serde_json::Value,
}

/// A GitHub account as a payload names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Account {
    /// Numeric id.
    pub id: i64,
    /// Login, possibly empty (L-31).
    pub login: String,
    /// `User`, `Bot`, `Organization`, …
    #[serde(rename = "type", default)]
    pub account_type: String,
}

/// A repository as a payload names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Repository {
    /// Numeric id: what a binding is found by (L-30).
    pub id: i64,
    /// `owner/name`.
    pub full_name: String,
    /// Name without owner.
    pub name: String,
    /// Not public.
    #[serde(default)]
    pub private: bool,
    /// Fork of another repository.
    #[serde(default)]
    pub fork: bool,
    /// Default branch as the payload says it.
    #[serde(default)]
    pub default_branch: String,
}

/// An Issue as a payload or a live read gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Issue {
    /// Numeric id.
    pub id: i64,
    /// Number in the repository.
    pub number: i64,
    /// Title.
    pub title: String,
    /// Page.
    pub html_url: String,
    /// `open` or `closed`.
    pub state: String,
    /// Author.
    pub user: Account,
    /// Names of its labels.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The number belongs to a pull request (comments arrive as Issue comments).
    #[serde(default)]
    pub is_pull_request: bool,
    /// Last change.
    #[serde(default)]
    pub updated_at: Option<DateTime<Utc>>,
}

impl Issue {
    /// Whether the Issue is closed (L-36).
    pub fn is_closed(&self) -> bool {
        self.state == "closed"
    }
}

/// A pull request as a payload or a live read gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct PullRequest {
    /// Numeric id.
    pub id: i64,
    /// Number in the repository.
    pub number: i64,
    /// Title.
    pub title: String,
    /// Page.
    pub html_url: String,
    /// `open` or `closed`.
    pub state: String,
    /// Merged into its base.
    #[serde(default)]
    pub merged: bool,
    /// Branch of the change.
    pub head_ref: String,
    /// Commit of the change; empty when the payload lacks it (RV-26).
    #[serde(default)]
    pub head_sha: String,
    /// `owner/name` the branch lives in; empty when unknown.
    #[serde(default)]
    pub head_repository: String,
    /// Branch it goes into.
    pub base_ref: String,
    /// Author.
    pub user: Account,
    /// Names of its labels.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Last change, part of the correlation id of a reviewer-run (L-88).
    #[serde(default)]
    pub updated_at: Option<DateTime<Utc>>,
}

impl PullRequest {
    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.state == "open"
    }
}

/// A submitted review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Review {
    /// Numeric id.
    pub id: i64,
    /// `changes_requested`, `approved`, `commented`, `dismissed`, in lower case.
    pub state: String,
    /// Text.
    #[serde(default)]
    pub body: String,
    /// Author.
    pub user: Account,
    /// Commit it speaks of.
    #[serde(default)]
    pub commit_id: String,
    /// When.
    #[serde(default)]
    pub submitted_at: Option<DateTime<Utc>>,
}

/// A comment under an Issue or pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Comment {
    /// Numeric id.
    pub id: i64,
    /// Text.
    pub body: String,
    /// Author.
    pub user: Account,
    /// When.
    #[serde(default)]
    pub created_at: Option<DateTime<Utc>>,
}

/// A push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Push {
    /// Full ref, e.g. `refs/heads/main`.
    pub ref_name: String,
    /// Commit before.
    pub before: String,
    /// Commit after; all zeros for a deletion.
    pub after: String,
    /// The branch was deleted.
    pub deleted: bool,
    /// Paths added, modified or removed by its commits.
    pub changed_paths: Vec<String>,
}

/// What happened, as far as the routing table L-27 distinguishes.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// `issues.labeled`; the label as GitHub names it.
    IssueLabeled { issue: Issue, label: String },
    /// `issues.unlabeled`.
    IssueUnlabeled { issue: Issue, label: String },
    /// `issues.closed`.
    IssueClosed { issue: Issue },
    /// `issues.deleted`.
    IssueDeleted { issue: Issue },
    /// Any other `issues` action.
    IssueOther { issue: Option<Issue> },
    /// `issue_comment.created`.
    IssueCommentCreated { issue: Issue, comment: Comment },
    /// Any other `issue_comment` action.
    IssueCommentOther,
    /// `pull_request.labeled`.
    PullRequestLabeled {
        pull_request: PullRequest,
        label: String,
    },
    /// `pull_request.unlabeled`.
    PullRequestUnlabeled {
        pull_request: PullRequest,
        label: String,
    },
    /// `pull_request.closed`, merged or not.
    PullRequestClosed { pull_request: PullRequest },
    /// Any other `pull_request` action.
    PullRequestOther,
    /// `pull_request_review.submitted`.
    ReviewSubmitted {
        pull_request: PullRequest,
        review: Review,
    },
    /// Any other `pull_request_review` action.
    ReviewOther,
    /// `push`.
    Push(Push),
    /// Any other event, e.g. `ping`.
    Other,
}

impl Event {
    /// `owner/name`, empty outside a repository.
    pub fn repository_full_name(&self) -> &str {
        self.repository
            .as_ref()
            .map_or("", |repository| repository.full_name.as_str())
    }

    /// Login of the sender, empty when nobody is named.
    pub fn sender_login(&self) -> &str {
        self.sender
            .as_ref()
            .map_or("", |sender| sender.login.as_str())
    }

    /// The Issue that the payload carries.
    pub fn issue(&self) -> Option<&Issue> {
        match &self.kind {
            EventKind::IssueLabeled { issue, .. }
            | EventKind::IssueUnlabeled { issue, .. }
            | EventKind::IssueClosed { issue }
            | EventKind::IssueDeleted { issue }
            | EventKind::IssueOther { issue: Some(issue) }
            | EventKind::IssueCommentCreated { issue, .. } => Some(issue),
            _ => None,
        }
    }

    /// The pull request that the payload carries.
    pub fn pull_request(&self) -> Option<&PullRequest> {
        match &self.kind {
            EventKind::PullRequestLabeled { pull_request, .. }
            | EventKind::PullRequestUnlabeled { pull_request, .. }
            | EventKind::PullRequestClosed { pull_request }
            | EventKind::ReviewSubmitted { pull_request, .. } => Some(pull_request),
            _ => None,
        }
    }

    /// The thread that the payload speaks of, if any.
    pub fn thread(&self) -> Option<Thread> {
        let repository = self.repository_full_name();
        self.pull_request()
            .map(|pull_request| Thread::pull_request(repository, pull_request.number))
            .or_else(|| {
                self.issue().map(|issue| {
                    if issue.is_pull_request {
                        Thread::pull_request(repository, issue.number)
                    } else {
                        Thread::issue(repository, issue.number)
                    }
                })
            })
    }

    /// When the thread was changed last, which of a label event is the change it reports.
    pub fn thread_updated_at(&self) -> Option<DateTime<Utc>> {
        match self.pull_request() {
            Some(pull_request) => pull_request.updated_at,
            None => self.issue()?.updated_at,
        }
    }

    /// The label of a `labeled` or `unlabeled` event.
    pub fn label(&self) -> Option<&str> {
        match &self.kind {
            EventKind::IssueLabeled { label, .. }
            | EventKind::IssueUnlabeled { label, .. }
            | EventKind::PullRequestLabeled { label, .. }
            | EventKind::PullRequestUnlabeled { label, .. } => Some(label),
            _ => None,
        }
    }
}

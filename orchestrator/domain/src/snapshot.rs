//! What a decision may know.
//!
//! Binding and sender are always there. Everything else is a fact that is loaded on demand: when a
//! decision needs one that is absent it answers [`crate::decide::Undecided::Missing`] with the
//! [`Read`]s it wants, the caller loads them and asks again. So a delivery of an outsider causes no read
//! on GitHub (L-29), and a live fact that cannot be read stops the decision (L-32).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::events::{Issue, PullRequest, Review};
use crate::ids::{AgentId, CorrelationId, NamespaceName, ProjectId, RepositoryId, RunId, UserId};
use crate::launch_profiles::IssueFlow;
use crate::runs::{RunStatus, TriggerSource};
use crate::stages::{AccessProfile, RuntimeMode, Stage, TargetEnv, TriggerKind};

/// A fact that is loaded on demand.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Read {
    /// Database: runs of the Issue, newest first, at most 50 (L-56) plus every non-terminal one.
    IssueHistory(i64),
    /// Database: runs of the pull request, newest first, at most 50 plus every non-terminal one.
    PullRequestHistory(i64),
    /// Database: `thread_states` row of the Issue.
    IssueState(i64),
    /// Database: `thread_states` row of the pull request.
    PullRequestState(i64),
    /// GitHub: the Issue itself.
    Issue(i64),
    /// GitHub: live labels of the Issue.
    IssueLabels(i64),
    /// GitHub: the pull request itself.
    PullRequest(i64),
    /// GitHub: live labels of the pull request.
    PullRequestLabels(i64),
    /// GitHub: submitted reviews of the pull request.
    PullRequestReviews(i64),
    /// GitHub: number of comments and reviews of humans and agents on the thread since that moment,
    /// status comments excluded (L-86).
    IssueEvidenceSince(i64, DateTime<Utc>),
    /// The same for a pull request.
    PullRequestEvidenceSince(i64, DateTime<Utc>),
    /// GitHub: `webhookRuntime` of services.yaml on the default branch (L-7).
    WebhookRuntime,
}

impl Read {
    /// Whether GitHub is asked; the others are answered by the database.
    pub fn is_live(&self) -> bool {
        !matches!(
            self,
            Read::IssueHistory(_)
                | Read::PullRequestHistory(_)
                | Read::IssueState(_)
                | Read::PullRequestState(_)
        )
    }
}

/// A loaded fact, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// Runs of a thread.
    History(Vec<RunFacts>),
    /// State row of a thread; the default when there is no row.
    State(ThreadState),
    /// An Issue; none when GitHub answers 404.
    Issue(Option<Issue>),
    /// A pull request; none when GitHub answers 404.
    PullRequest(Option<PullRequest>),
    /// Names of the labels of a thread.
    Labels(Vec<String>),
    /// Reviews of a pull request.
    Reviews(Vec<Review>),
    /// Count of comments and reviews.
    Evidence(u32),
    /// What services.yaml says; the default when there is no such file.
    WebhookRuntime(WebhookRuntime),
    /// The read failed; the text is for the log. A decision that needs it is repeated (L-32).
    Unreadable(String),
}

/// What a decision may know.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Live binding of the repository id; none when unbound (L-30).
    pub binding: Option<Binding>,
    /// What is known of the sender in this binding.
    pub sender: SenderFacts,
    /// Unexpired, unconsumed grant for (repository, thread, label) of this delivery (L-18).
    pub grant: Option<Grant>,
    /// The platform has recorded this very label change itself: an unmatched `label.applied` of the same
    /// thread, op and label within ten minutes (L-19).
    pub label_change_already_recorded: bool,
    /// Id a run of this decision would get: randomness is handed in.
    pub fresh_run_id: RunId,
    /// Facts loaded on demand.
    pub facts: BTreeMap<Read, Fact>,
}

impl Snapshot {
    /// A snapshot without any fact loaded on demand.
    pub fn new(binding: Option<Binding>, sender: SenderFacts, fresh_run_id: RunId) -> Self {
        Self {
            binding,
            sender,
            grant: None,
            label_change_already_recorded: false,
            fresh_run_id,
            facts: BTreeMap::new(),
        }
    }
}

/// A repository bound to a project.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// Row of `repositories`.
    pub repository_id: RepositoryId,
    /// Its project.
    pub project_id: ProjectId,
    /// Slug of the project, part of environment namespaces.
    pub project_slug: String,
    /// Default branch of the binding (L-45).
    pub default_ref: String,
    /// Where its services.yaml lies.
    pub services_yaml_path: String,
    /// The repository that the platform deploys itself from.
    pub is_platform: bool,
    /// Outcome of the newest finished preflight report (L-115).
    pub preflight: Preflight,
    /// Agents of the project and of the system, by key; a project's own wins.
    pub agents: BTreeMap<String, AgentFacts>,
}

/// Newest finished preflight report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preflight {
    /// No report yet; refuses nothing.
    #[default]
    None,
    /// Passed.
    Passed,
    /// Failed; every trigger is refused (L-115).
    Failed,
}

/// An agent row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentFacts {
    /// Row of `agents`.
    pub id: AgentId,
    /// Key, e.g. `dev`.
    pub key: String,
    /// Name people read.
    pub name: String,
    /// May be given work (L-39).
    pub is_active: bool,
}

/// `webhookRuntime` of services.yaml.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WebhookRuntime {
    /// Mode per kind.
    pub trigger_modes: BTreeMap<TriggerKind, RuntimeMode>,
    /// Mode of the other kinds.
    pub default_mode: Option<RuntimeMode>,
    /// `namespaceTTLByRole`, in seconds.
    pub namespace_ttl_by_role: BTreeMap<String, i64>,
    /// `defaultNamespaceTTL`, in seconds.
    pub default_namespace_ttl: Option<i64>,
}

/// What is known of a delivery's sender.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SenderFacts {
    /// Platform user of that login, not disabled.
    pub user: Option<UserFacts>,
}

/// A platform user as seen from one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFacts {
    /// Row of `users`.
    pub id: UserId,
    /// GitHub login.
    pub login: String,
    /// The platform owner.
    pub is_platform_owner: bool,
    /// A platform admin.
    pub is_platform_admin: bool,
    /// Role in the project: none when no member, possibly empty (L-31).
    pub project_role: Option<String>,
}

impl UserFacts {
    /// Permitted actor (glossary of the chapter).
    pub fn is_permitted(&self) -> bool {
        self.is_platform_owner
            || self.is_platform_admin
            || matches!(self.project_role.as_deref(), Some("admin" | "read_write"))
    }

    /// Approver (glossary of the chapter).
    pub fn is_approver(&self) -> bool {
        self.is_platform_owner
            || self.is_platform_admin
            || self.project_role.as_deref() == Some("admin")
    }
}

/// A grant of L-18.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The human in whose name the platform labelled.
    pub user: UserFacts,
    /// Approval request behind it, if any.
    pub request_id: Option<i64>,
}

/// `thread_states` row of one thread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThreadState {
    /// Launch profile and risks of an Issue (L-95, L-96).
    pub flow: IssueFlow,
    /// Reason of the `need:input` that the platform set, none when it set none (L-84).
    pub need_input_reason: Option<String>,
    /// Since when each role label is set (L-86), by canonical label name.
    pub role_label_set_at: BTreeMap<String, DateTime<Utc>>,
}

/// Model and reasoning a run ended up with (L-14).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileFacts {
    /// Model.
    pub model: String,
    /// Source of the model.
    pub model_source: String,
    /// Reasoning effort.
    pub reasoning_effort: String,
    /// Source of the reasoning effort.
    pub reasoning_source: String,
}

/// A run as far as decisions need it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Row of `agent_runs`.
    pub run_id: RunId,
    /// Its correlation id.
    pub correlation_id: CorrelationId,
    /// Project.
    pub project_id: ProjectId,
    /// `owner/name`.
    pub repository_full_name: String,
    /// State.
    pub status: RunStatus,
    /// What started it.
    pub trigger_source: TriggerSource,
    /// Kind.
    pub trigger_kind: TriggerKind,
    /// Label as recorded, e.g. `run:dev`; empty when deploy-only.
    pub trigger_label: String,
    /// Agent, none when deploy-only.
    pub agent_key: Option<String>,
    /// A discussion.
    pub discussion_mode: bool,
    /// A deploy without agent.
    pub deploy_only: bool,
    /// Its Issue.
    pub issue_number: Option<i64>,
    /// Its pull request: from the payload or from `run.pr.created` or `run.pr.updated`.
    pub pr_number: Option<i64>,
    /// Mode.
    pub runtime_mode: RuntimeMode,
    /// Environment, none for code-only.
    pub target_env: Option<TargetEnv>,
    /// Access profile.
    pub access_profile: AccessProfile,
    /// Namespace, once known.
    pub namespace: Option<NamespaceName>,
    /// What was checked out.
    pub build_ref: Option<String>,
    /// Target branch.
    pub branch: Option<String>,
    /// Head of the pull request that the run made or worked on.
    pub pr_head_sha: Option<String>,
    /// Profile it was claimed with.
    pub profile: Option<ProfileFacts>,
    /// Source of a resume run.
    pub resumed_from_run_id: Option<RunId>,
    /// A link record Issue-run-PR or Issue-run-comment exists (L-71).
    pub has_link: bool,
    /// Insertion time.
    pub created_at: DateTime<Utc>,
    /// End, if over.
    pub finished_at: Option<DateTime<Utc>>,
}

impl RunFacts {
    /// A run started by a trigger label or by review, with its resume runs (glossary of the chapter).
    pub fn is_stage_run(&self) -> bool {
        !self.discussion_mode
            && !self.deploy_only
            && !self.is_reviewer_run()
            && self.trigger_kind.stage().is_some()
    }

    /// A run started by `need:reviewer`.
    pub fn is_reviewer_run(&self) -> bool {
        self.trigger_source == TriggerSource::PullRequestLabel
            || (self.agent_key.as_deref() == Some("reviewer") && !self.discussion_mode)
    }

    /// Stage of a stage-run.
    pub fn stage(&self) -> Option<Stage> {
        if self.is_stage_run() {
            self.trigger_kind.stage()
        } else {
            None
        }
    }

    /// Whether a stop of the Issue's discussions concerns the run: it is one, and works or may have left its namespace
    /// (L-107).
    pub fn leaves_discussion(&self) -> bool {
        self.discussion_mode && (self.is_active() || self.namespace.is_some())
    }

    /// Whether the run is not over.
    pub fn is_active(&self) -> bool {
        !self.status.is_terminal()
    }
}

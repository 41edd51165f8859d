//! Everything that may be done to the world, written down before it is done (D-31).
//!
//! Each effect is performed in find-or-create form: doing it twice is doing it once. What a success
//! means for the audit trail rides along, so that the executor needs no rule of its own.

use serde::{Deserialize, Serialize};

use crate::comments;
use crate::events::{Thread, ThreadKind};
use crate::ids::{NamespaceName, RunId};
use crate::runs::TriggerSource;
use crate::secret_sync::SyncStep;
use crate::snapshot::RunFacts;
use crate::stages::spelled;

spelled!(
    /// `source` of `label.applied` (L-19).
    LabelSource {
        /// A person on GitHub.
        Human = "human",
        /// A next-step action.
        Ui = "ui",
        /// An agent's tool call.
        Mcp = "mcp",
        /// The platform itself.
        System = "system",
    }
);

/// Why the platform changes a label; becomes part of `label.applied` (L-19).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelOrigin {
    /// Source.
    pub source: LabelSource,
    /// In whose name: a user id, `agent:<key>` or `system`.
    pub requested_by: String,
    /// `implicit_approval`, `merged`, … (L-19).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Approval request behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_request_id: Option<i64>,
}

impl LabelOrigin {
    /// A change the platform makes by its own rules.
    pub fn system() -> Self {
        Self {
            source: LabelSource::System,
            requested_by: "system".to_owned(),
            reason: None,
            approval_request_id: None,
        }
    }

    /// The same with a reason of L-19.
    pub fn because(reason: &str) -> Self {
        Self {
            reason: Some(reason.to_owned()),
            ..Self::system()
        }
    }
}

spelled!(
    /// Phases of the status comment, in order (L-103).
    CommentPhase {
        /// 1: the run exists.
        Created = "created",
        /// 2: its environment is prepared; code-only runs skip it.
        PreparingRuntime = "preparing_runtime",
        /// 3: its Job exists.
        Started = "started",
        /// 4: the agent needs a login.
        AuthRequired = "auth_required",
        /// 5: the login is done.
        AuthResolved = "auth_resolved",
        /// 6: the agent works.
        Ready = "ready",
        /// 7: the run is over.
        Finished = "finished",
        /// 8: its namespace is gone, or kept by TTL or debug.
        NamespaceDeleted = "namespace_deleted",
    }
);

impl CommentPhase {
    /// Number of the phase, 1 to 8.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    /// Phases go only forward (L-103).
    pub fn advance(self, reported: CommentPhase) -> CommentPhase {
        self.max(reported)
    }
}

spelled!(
    /// A reaction GitHub knows.
    Reaction {
        /// Seen.
        Eyes = "eyes",
        /// Answered.
        PlusOne = "+1",
    }
);

/// What gets a reaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReactionTarget {
    /// The thread itself.
    Thread(Thread),
    /// A comment of a repository.
    Comment {
        /// `owner/name`.
        repository_full_name: String,
        /// Id of the comment.
        comment_id: i64,
    },
}

/// What a posted comment means for the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CommentRecord {
    /// Nothing is recorded.
    None,
    /// `run.trigger.conflict.comment` with the id and link of the comment (L-42).
    TriggerConflict {
        /// Issue.
        issue_number: i64,
        /// Label of the delivery.
        trigger_label: String,
        /// Sorted names.
        conflicting_labels: Vec<String>,
    },
}

spelled!(
    /// Why run namespaces of a thread are deleted.
    NamespaceDeletionCause {
        /// `run:debug` keeps them.
        IssueClosed = "issue_closed",
        /// `run:debug` does not keep them.
        IssueDeleted = "issue_deleted",
        /// `run:debug` keeps them.
        PullRequestClosed = "pull_request_closed",
    }
);

impl NamespaceDeletionCause {
    /// Whether `run:debug` on the Issue or the linked pull request keeps the namespaces.
    pub fn respects_debug(self) -> bool {
        self != NamespaceDeletionCause::IssueDeleted
    }
}

spelled!(
    /// Why a discussion stops; `stop_reason` of its Pod (L-107).
    DiscussionStop {
        /// `mode:discussion` was removed.
        LabelRemoved = "discussion_label_removed",
        /// The Issue was closed or deleted.
        IssueClosedOrDeleted = "issue_closed_or_deleted",
        /// A `run:*` trigger passed all guards (L-106).
        RunLabelDetected = "run_label_detected",
    }
);

/// G-47: the first attempt and one after each of the pauses of 1, 5 and 30 seconds.
const STEP_ATTEMPT_LIMIT: i32 = 4;

/// Something to be done to the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Effect {
    /// Sets a label; present already is done, and then writes no `label.applied`.
    /// Undo: [`Effect::RemoveLabel`].
    AddLabel {
        thread: Thread,
        label: String,
        origin: LabelOrigin,
    },
    /// Removes a label, under whatever spelling of its canonical name the thread bears it (L-2); absent
    /// already is done, and then writes no `label.applied`.
    /// Undo: [`Effect::AddLabel`].
    RemoveLabel {
        thread: Thread,
        label: String,
        origin: LabelOrigin,
    },
    /// Posts a comment; found again by the hidden marker line that carries the idempotency key.
    /// Cannot be undone: somebody may have read it.
    CreateComment {
        thread: Thread,
        body: String,
        record: CommentRecord,
    },
    /// Creates or edits the status comment of a run, rendered from the run at execution time (L-102).
    /// Cannot be undone; the next phase replaces it.
    UpsertStatusComment {
        thread: Thread,
        run_id: RunId,
        phase: CommentPhase,
    },
    /// Edits the status comment of a run that is over, because what it offers is no longer right (L-80, L-96).
    /// Cannot be undone; the next edit replaces it.
    RefreshStatusComment { thread: Thread, run_id: RunId },
    /// Adds a reaction; GitHub keeps one per account. Undo: delete the reaction.
    AddReaction {
        target: ReactionTarget,
        reaction: Reaction,
    },
    /// Deletes the managed namespaces of the thread's runs, at most 200; one whose run is not over stays
    /// . Cannot be undone.
    DeleteNamespacesOfThread {
        thread: Thread,
        cause: NamespaceDeletionCause,
    },
    /// Deletes one managed namespace. Cannot be undone.
    DeleteNamespace {
        namespace: NamespaceName,
        run_id: RunId,
    },
    /// Stops a discussion run: Pod, then the run `canceled` with `discussion_stopped`, then its namespace
    /// (L-106, L-107). Cannot be undone; a new comment starts a new one.
    CancelDiscussion { run_id: RunId, stop: DiscussionStop },
    /// Deletes the Job of a run that was cancelled with the decision (L-83). Cannot be undone.
    StopRun { run_id: RunId },
    /// Begins what somebody approved (G-75, G-85), unless it is no longer what was approved (G-86): its steps are effects
    /// of their own, with [`Effect::FinishRequest`] after the last. A request that is not `approved` stays as it is (G-80).
    ApplyRequest { request_id: i64 },
    /// Writes the secret of a request to one of its two places (G-46); an equal value in the cluster is left alone. Undo:
    /// none, a later request overwrites it.
    SyncSecret { request_id: i64, step: SyncStep },
    /// Makes or removes the database of a request (G-50, G-54); one that is there, or gone, already is done. Undo of the
    /// one is the other, without the data.
    ChangeDatabase { request_id: i64 },
    /// Tells that the steps of a request are done (G-78). Given up with the step that it waits for (G-79).
    FinishRequest { request_id: i64 },
}

impl Effect {
    /// The kind as stored in `outbox_effects.kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Effect::AddLabel { .. } => "add_label",
            Effect::RemoveLabel { .. } => "remove_label",
            Effect::CreateComment { .. } => "create_comment",
            // One kind, since writers of one comment take turns.
            Effect::UpsertStatusComment { .. } | Effect::RefreshStatusComment { .. } => {
                "status_comment"
            }
            Effect::AddReaction { .. } => "add_reaction",
            Effect::DeleteNamespacesOfThread { .. } => "delete_namespaces_of_thread",
            Effect::DeleteNamespace { .. } => "delete_namespace",
            Effect::CancelDiscussion { .. } => "cancel_discussion",
            Effect::StopRun { .. } => "stop_run",
            Effect::ApplyRequest { .. } => "apply_request",
            Effect::SyncSecret { .. } => "sync_secret",
            Effect::ChangeDatabase { .. } => "change_database",
            Effect::FinishRequest { .. } => "finish_request",
        }
    }

    /// After how many attempts the effect is given up; none: only time ends it. Somebody waits for these (G-47).
    pub fn attempt_limit(&self) -> Option<i32> {
        match self {
            Effect::SyncSecret { .. } | Effect::ChangeDatabase { .. } => Some(STEP_ATTEMPT_LIMIT),
            _ => None,
        }
    }

    /// Thread the effect touches, if any.
    pub fn thread(&self) -> Option<&Thread> {
        match self {
            Effect::AddLabel { thread, .. }
            | Effect::RemoveLabel { thread, .. }
            | Effect::CreateComment { thread, .. }
            | Effect::UpsertStatusComment { thread, .. }
            | Effect::RefreshStatusComment { thread, .. }
            | Effect::AddReaction {
                target: ReactionTarget::Thread(thread),
                ..
            }
            | Effect::DeleteNamespacesOfThread { thread, .. } => Some(thread),
            _ => None,
        }
    }

    /// Key that makes the effect unique in `outbox_effects`.
    ///
    /// `scope` names the decision that wants it: the delivery id, or the run id and its end. The status
    /// comment is keyed by run and phase alone, because every writer of a phase means the same write.
    pub fn idempotency_key(&self, scope: &str) -> String {
        match self {
            Effect::AddLabel { thread, label, .. } => format!("add_label:{scope}:{thread}:{label}"),
            Effect::RemoveLabel { thread, label, .. } => {
                format!("remove_label:{scope}:{thread}:{label}")
            }
            Effect::CreateComment { thread, .. } => format!("create_comment:{scope}:{thread}"),
            Effect::UpsertStatusComment { run_id, phase, .. } => {
                format!("status_comment:{run_id}:{phase}")
            }
            Effect::RefreshStatusComment { run_id, .. } => {
                format!("status_comment:{run_id}:{scope}")
            }
            Effect::AddReaction {
                target: ReactionTarget::Thread(thread),
                reaction,
            } => {
                format!("add_reaction:{scope}:{thread}:{reaction}")
            }
            Effect::AddReaction {
                target:
                    ReactionTarget::Comment {
                        repository_full_name,
                        comment_id,
                    },
                reaction,
            } => {
                format!(
                    "add_reaction:{scope}:{repository_full_name}:comment#{comment_id}:{reaction}"
                )
            }
            Effect::DeleteNamespacesOfThread { thread, cause } => {
                format!("delete_namespaces_of_thread:{scope}:{thread}:{cause}")
            }
            Effect::DeleteNamespace { namespace, .. } => {
                format!("delete_namespace:{scope}:{namespace}")
            }
            Effect::CancelDiscussion { run_id, .. } => format!("cancel_discussion:{run_id}"),
            Effect::StopRun { run_id } => format!("stop_run:{run_id}"),
            Effect::ApplyRequest { request_id } => format!("apply_request:{request_id}"),
            Effect::SyncSecret { request_id, step } => format!("sync_secret:{request_id}:{step}"),
            Effect::ChangeDatabase { request_id } => format!("change_database:{request_id}"),
            Effect::FinishRequest { request_id } => format!("finish_request:{request_id}"),
        }
    }
}

/// An effect with its place in the order of its decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedEffect {
    /// What.
    pub effect: Effect,
    /// Unique key.
    pub idempotency_key: String,
    /// Position in the same list of the effect that must be done first (`after_id`, L-43).
    pub after: Option<usize>,
}

/// Effects of one decision, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EffectPlan {
    scope: String,
    planned: Vec<PlannedEffect>,
}

impl EffectPlan {
    /// An empty plan of the decision that `scope` names.
    pub fn new(scope: impl Into<String>) -> Self {
        Self {
            scope: scope.into(),
            planned: Vec::new(),
        }
    }

    /// Adds an effect that waits for none; wanted twice it is planned once. Answers its position.
    pub fn push(&mut self, effect: Effect) -> usize {
        self.push_after(effect, None)
    }

    /// Adds an effect that waits for another of this plan.
    pub fn push_after(&mut self, mut effect: Effect, after: Option<usize>) -> usize {
        let idempotency_key = effect.idempotency_key(&self.scope);
        if let Some(position) = self
            .planned
            .iter()
            .position(|planned| planned.idempotency_key == idempotency_key)
        {
            return position;
        }
        if let Effect::CreateComment { body, .. } = &mut effect {
            body.push_str("\n\n");
            body.push_str(&comments::effect_marker(&idempotency_key));
        }
        self.planned.push(PlannedEffect {
            effect,
            idempotency_key,
            after,
        });
        self.planned.len() - 1
    }

    /// Position of the effect planned last.
    pub fn last(&self) -> Option<usize> {
        self.planned.len().checked_sub(1)
    }

    /// The effects in order.
    pub fn into_vec(self) -> Vec<PlannedEffect> {
        self.planned
    }
}

/// Thread on which a status comment is written (L-102).
pub fn status_comment_thread(
    repository_full_name: &str,
    issue_number: Option<i64>,
    pr_number: Option<i64>,
    on_pull_request: bool,
) -> Option<Thread> {
    let issue = issue_number.map(|number| Thread::issue(repository_full_name, number));
    let pull_request = pr_number.map(|number| Thread::pull_request(repository_full_name, number));
    if on_pull_request {
        pull_request.or(issue)
    } else {
        issue.or(pull_request)
    }
}

/// Thread on which the status comment of a run stands (L-102).
pub fn status_comment_thread_of(run: &RunFacts) -> Option<Thread> {
    let on_pull_request = matches!(
        run.trigger_source,
        TriggerSource::PullRequestReview | TriggerSource::PullRequestLabel
    );
    status_comment_thread(
        &run.repository_full_name,
        run.issue_number,
        run.pr_number,
        on_pull_request,
    )
}

/// The status comment of a run that is over, shown anew.
pub fn refreshed_status_comment(run: &RunFacts) -> Option<Effect> {
    status_comment_thread_of(run).map(|thread| Effect::RefreshStatusComment {
        thread,
        run_id: run.run_id,
    })
}

/// Whether a thread is an Issue.
pub fn is_issue(thread: &Thread) -> bool {
    thread.kind == ThreadKind::Issue
}

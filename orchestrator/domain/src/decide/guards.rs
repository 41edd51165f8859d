//! Guards in their fixed order; the first hit decides (L-29).

use std::collections::BTreeMap;

use super::facts::{Context, labels_of};
use super::lineage::{self, Candidate};
use super::order::{self, Passage};
use super::trigger::Trigger;
use super::{Actor, IgnoreReason, Ignored, Undecided};
use crate::events::{Issue, PullRequest, Thread};
use crate::labels::{CatalogueLabel, NeedLabel, StateLabel};
use crate::namespaces::project_namespace_ttl;
use crate::resolver::{self, Resolution, ResolverInput, ResolverSource};
use crate::snapshot::{AgentFacts, Binding, Preflight, Read, RunFacts, UserFacts};
use crate::stages::{
    ModeSource, NamespaceRule, Role, RuntimeMode, Stage, TriggerKind, contract, runtime_mode,
};

/// Why a trigger is refused.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refused {
    pub ignored: Ignored,
    /// L-64: an active revise of the same stage re-reads open review threads anyway.
    pub silent: bool,
    /// The resolver's word about a review (L-52).
    pub resolution: Option<Resolution>,
    /// L-30 and L-31 have passed (L-52).
    pub sender_passed: bool,
}

/// A trigger that passed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Passed<'a> {
    pub binding: &'a Binding,
    pub actor: Actor,
    pub kind: TriggerKind,
    pub mode: RuntimeMode,
    pub mode_source: ModeSource,
    /// What services.yaml says of the TTL of a namespace, in seconds.
    pub namespace_ttl_seconds: Option<i64>,
    pub agent: &'a AgentFacts,
    pub issue: Option<Issue>,
    pub issue_number: Option<i64>,
    /// Runs of the Issue, newest first.
    pub issue_history: &'a [RunFacts],
    pub pull_request: Option<PullRequest>,
    pub candidate: Option<Candidate>,
    pub passage: Passage,
    pub resolver_source: Option<ResolverSource>,
}

pub(super) enum Verdict<'a> {
    Passed(Box<Passed<'a>>),
    Refused(Refused),
}

const NO_RUNS: &[RunFacts] = &[];

pub(super) fn judge<'a>(
    context: &Context<'a>,
    trigger: &Trigger<'a>,
) -> Result<Verdict<'a>, Undecided> {
    let mut refused = Refused {
        ignored: Ignored {
            reason: IgnoreReason::RepositoryNotBoundForIssueLabel,
            conflicting_labels: Vec::new(),
            suggested_labels: Vec::new(),
        },
        silent: false,
        resolution: None,
        sender_passed: false,
    };
    macro_rules! refuse {
        ($reason:expr) => {{
            refused.ignored.reason = $reason;
            return Ok(Verdict::Refused(refused));
        }};
    }
    let catalogue = &context.policy.labels;

    // L-30, L-31
    let Some(binding) = context.binding() else {
        return Ok(Verdict::Refused(refused));
    };
    let user = match permitted_sender(context) {
        Ok(found) => found,
        Err(reason) => refuse!(reason),
    };
    let actor = Actor {
        user_id: user.id,
        login: user.login.clone(),
        is_approver: user.is_approver(),
    };
    refused.sender_passed = true;

    // L-115
    if binding.preflight == Preflight::Failed {
        refuse!(IgnoreReason::RepositoryPreflightFailed);
    }

    // L-33, L-34
    let payload_triggers = match trigger {
        Trigger::Stage { issue, .. } | Trigger::Discussion { issue, .. } => {
            catalogue.triggers(&issue.labels)
        }
        _ => Default::default(),
    };
    if payload_triggers.len() > 1 {
        let names = payload_triggers
            .iter()
            .map(|kind| catalogue.name(CatalogueLabel::Trigger(*kind)).to_owned());
        refused.ignored.conflicting_labels = names.collect();
        refused.ignored.conflicting_labels.sort();
        refuse!(match trigger {
            Trigger::Stage { .. } => IgnoreReason::IssueTriggerLabelConflict,
            _ => IgnoreReason::DiscussionModeTriggerLabelConflict,
        });
    }

    // L-35
    let mut kind = TriggerKind::Work(Stage::Dev);
    let mut resolver_source = None;
    let mut pull_request: Option<PullRequest> = None;
    let issue_number;
    let mut known_issue: Option<Issue> = None;
    match trigger {
        Trigger::Stage {
            issue,
            kind: labelled,
        } => {
            kind = *labelled;
            issue_number = Some(issue.number);
            known_issue = Some((*issue).clone());
        }
        Trigger::Discussion { issue, .. } => {
            kind = payload_triggers.first().copied().unwrap_or(kind);
            issue_number = Some(issue.number);
            known_issue = Some((*issue).clone());
        }
        Trigger::Reviewer {
            pull_request: reviewed,
        } => {
            pull_request = Some((*reviewed).clone());
            issue_number = linked_issue(context, reviewed)?;
        }
        Trigger::Review {
            pull_request: reviewed,
        } => {
            pull_request = Some((*reviewed).clone());
            issue_number = linked_issue(context, reviewed)?;
            match resolve_review(context, reviewed, issue_number)? {
                Resolution::Resolved { stage, source } => {
                    kind = TriggerKind::Revise(stage);
                    resolver_source = Some(source);
                    refused.resolution = Some(Resolution::Resolved { stage, source });
                }
                Resolution::Ambiguous {
                    source,
                    conflicting_labels,
                    suggested_labels,
                } => {
                    refused.ignored.conflicting_labels = conflicting_labels.clone();
                    refused.ignored.suggested_labels = suggested_labels.clone();
                    refused.resolution = Some(Resolution::Ambiguous {
                        source,
                        conflicting_labels,
                        suggested_labels,
                    });
                    refuse!(IgnoreReason::PullRequestReviewStageAmbiguous);
                }
                Resolution::NotResolved { suggested_labels } => {
                    refused.ignored.suggested_labels = suggested_labels.clone();
                    refused.resolution = Some(Resolution::NotResolved { suggested_labels });
                    refuse!(IgnoreReason::PullRequestReviewStageNotResolved);
                }
            }
        }
    }
    let is_reviewer = matches!(trigger, Trigger::Reviewer { .. });
    let is_discussion = matches!(trigger, Trigger::Discussion { .. });
    let stage = kind.stage().unwrap_or(Stage::Dev);

    // L-36; a discussion speaks of no stage, so only an open Issue may be discussed.
    if let (Some(number), Trigger::Review { .. }) = (issue_number, trigger) {
        known_issue = context.issue_fact(Read::Issue(number))?.clone();
    }
    let closed = known_issue.as_ref().is_some_and(Issue::is_closed);
    if closed && (is_discussion || (!is_reviewer && !stage.allows_closed_issue())) {
        refuse!(IgnoreReason::IssueClosed);
    }

    // L-37
    let exempt = is_reviewer
        || is_discussion
        || (matches!(trigger, Trigger::Stage { .. })
            && matches!(stage, Stage::Rethink | Stage::AiRepair));
    let mut threads: Vec<Thread> = issue_number
        .map(|number| context.issue_thread(number))
        .into_iter()
        .collect();
    threads.extend(
        pull_request
            .as_ref()
            .map(|pull_request| context.pull_request_thread(pull_request.number)),
    );
    // services.yaml chooses the mode of stage-runs, except of a repair (L-7), and how long a namespace is leased, which a
    // repair has none of.
    let has_lease = is_reviewer || is_discussion || stage != Stage::AiRepair;
    let asks_for_mode = !is_reviewer && !is_discussion && stage != Stage::AiRepair;
    let labels = threads.iter().map(labels_of);
    context.together(labels.chain(has_lease.then_some(Read::WebhookRuntime)))?;
    if let Some(reason) = state_gate(context, &threads, exempt)? {
        refuse!(reason);
    }

    // L-38
    let issue_history: &'a [RunFacts] = match issue_number {
        Some(number) => context.history(Read::IssueHistory(number))?,
        None => NO_RUNS,
    };
    let pull_request_history: &'a [RunFacts] = match trigger {
        Trigger::Review { pull_request } => {
            context.history(Read::PullRequestHistory(pull_request.number))?
        }
        _ => NO_RUNS,
    };
    let active: Vec<&RunFacts> = issue_history
        .iter()
        .chain(pull_request_history)
        .filter(|run| run.is_stage_run() && run.is_active())
        .collect();
    if !is_reviewer && !active.is_empty() {
        refused.silent = matches!(trigger, Trigger::Review { .. })
            && active
                .iter()
                .any(|run| run.trigger_kind == TriggerKind::Revise(stage));
        refuse!(IgnoreReason::IssueActiveRunExists);
    }

    // L-39
    let role = if is_reviewer {
        Role::Reviewer
    } else {
        contract(stage).role
    };
    let Some(agent) = binding
        .agents
        .get(role.as_str())
        .filter(|agent| agent.is_active)
    else {
        refuse!(IgnoreReason::AgentNotConfigured);
    };

    // L-40
    let mut passage = Passage::default();
    if let (Trigger::Stage { .. }, Some(number)) = (trigger, issue_number) {
        match order::judge(context, number, kind, issue_history, &actor)? {
            Ok(found) => passage = found,
            Err(reason) => refuse!(reason),
        }
    }

    // L-41
    let mut candidate = None;
    let (mode, mode_source) = if asks_for_mode {
        let runtime = context.webhook_runtime(Read::WebhookRuntime)?;
        runtime_mode(kind, &runtime.trigger_modes, runtime.default_mode)
    } else {
        runtime_mode(kind, &BTreeMap::new(), None)
    };
    let namespace_ttl_seconds = if has_lease {
        let runtime = context.webhook_runtime(Read::WebhookRuntime)?;
        project_namespace_ttl(&agent.key, runtime)
    } else {
        None
    };
    if !is_reviewer && !is_discussion {
        let rule = contract(stage).namespace;
        let by_label = matches!(trigger, Trigger::Stage { .. });
        candidate = match (by_label, rule) {
            (true, NamespaceRule::LineageRequired) => {
                match lineage::find(context, issue_history, true)? {
                    Some(found) => Some(found),
                    None => {
                        refused.ignored.suggested_labels = [
                            TriggerKind::Work(Stage::Dev),
                            TriggerKind::Revise(Stage::Dev),
                        ]
                        .map(|kind| catalogue.name(CatalogueLabel::Trigger(kind)).to_owned())
                        .to_vec();
                        refuse!(IgnoreReason::IssueTriggerCandidateNotFound);
                    }
                }
            }
            (true, NamespaceRule::LineageOrManaged) => {
                lineage::find(context, issue_history, false)?
            }
            (false, NamespaceRule::LineageRequired | NamespaceRule::LineageOrManaged) => {
                lineage::of_pull_request(
                    issue_history.iter().chain(pull_request_history),
                    pull_request.as_ref(),
                )
            }
            _ => None,
        };
        if let Some(found) = &candidate {
            pull_request = pull_request.or_else(|| Some(found.pull_request.clone()));
        } else if pull_request.is_none() {
            pull_request = lineage::open_pull_request(context, issue_number, issue_history, stage)?;
        }
        if mode == RuntimeMode::CodeOnly {
            candidate = None;
        }
    }

    Ok(Verdict::Passed(Box::new(Passed {
        binding,
        actor,
        kind,
        mode,
        mode_source,
        namespace_ttl_seconds,
        agent,
        issue: known_issue,
        issue_number,
        issue_history,
        pull_request,
        candidate,
        passage,
        resolver_source,
    })))
}

/// L-31, with the grant of L-18. Answers the person to judge as.
pub(super) fn permitted_sender<'a>(context: &Context<'a>) -> Result<&'a UserFacts, IgnoreReason> {
    let sender = context.event.sender.clone().unwrap_or_default();
    let is_bot = context.policy.is_bot(&sender.login);
    if is_bot && let Some(grant) = &context.snapshot.grant {
        return permitted(&grant.user);
    }
    if is_bot {
        return Err(IgnoreReason::SenderTypeNotPermitted("bot".to_owned()));
    }
    if context.event.sender.is_some() && sender.account_type != "User" {
        let account_type = sender.account_type.trim().to_lowercase();
        let account_type = if account_type.is_empty() {
            "unknown".to_owned()
        } else {
            account_type
        };
        return Err(IgnoreReason::SenderTypeNotPermitted(account_type));
    }
    if sender.login.trim().is_empty() {
        return Err(IgnoreReason::SenderLoginMissing);
    }
    let user = context
        .snapshot
        .sender
        .user
        .as_ref()
        .ok_or(IgnoreReason::SenderNotAllowed)?;
    permitted(user)
}

fn permitted(user: &UserFacts) -> Result<&UserFacts, IgnoreReason> {
    if user.is_permitted() {
        return Ok(user);
    }
    Err(match user.project_role.as_deref().map(str::trim) {
        None => IgnoreReason::SenderNotProjectMember,
        Some("") => IgnoreReason::SenderRoleMissing,
        Some(role) => IgnoreReason::SenderRoleNotPermitted(role.to_lowercase()),
    })
}

/// The Issue of a pull request: from its runs (L-54), else from the branch name that L-50 gives.
pub(super) fn linked_issue(
    context: &Context<'_>,
    pull_request: &PullRequest,
) -> Result<Option<i64>, Undecided> {
    let history = context.history(Read::PullRequestHistory(pull_request.number))?;
    let issues = resolver::linked_issues(history);
    Ok(if issues.is_empty() {
        issue_of_branch(context, pull_request)
    } else {
        resolver::single_linked_issue(history)
    })
}

fn issue_of_branch(context: &Context<'_>, pull_request: &PullRequest) -> Option<i64> {
    let own = pull_request.head_repository.is_empty()
        || pull_request
            .head_repository
            .eq_ignore_ascii_case(context.event.repository_full_name());
    let rest = pull_request.head_ref.strip_prefix("codex/issue-")?;
    let digits = rest.split('-').next().unwrap_or_default();
    digits.parse().ok().filter(|number| own && *number > 0)
}

fn resolve_review(
    context: &Context<'_>,
    pull_request: &PullRequest,
    linked: Option<i64>,
) -> Result<Resolution, Undecided> {
    let history = context.history(Read::PullRequestHistory(pull_request.number))?;
    resolver::resolve(
        &ResolverInput {
            pull_request_labels: context
                .label_names(Read::PullRequestLabels(pull_request.number))?,
            pull_request_history: history,
            linked_issue: linked,
            issue_labels: &|number| context.label_names(Read::IssueLabels(number)).cloned(),
            issue_history: &|number| context.history(Read::IssueHistory(number)).cloned(),
        },
        &context.policy.labels,
    )
}

pub(super) fn state_gate(
    context: &Context<'_>,
    threads: &[Thread],
    exempt: bool,
) -> Result<Option<IgnoreReason>, Undecided> {
    let catalogue = &context.policy.labels;
    context.together(threads.iter().map(labels_of))?;
    let bears = |wanted: CatalogueLabel| -> Result<Option<&Thread>, Undecided> {
        for thread in threads {
            if catalogue.bears(context.labels(thread)?, wanted) {
                return Ok(Some(thread));
            }
        }
        Ok(None)
    };
    if bears(CatalogueLabel::State(StateLabel::Abandoned))?.is_some() {
        return Ok(Some(IgnoreReason::IssueStateAbandoned));
    }
    if exempt {
        return Ok(None);
    }
    if bears(CatalogueLabel::State(StateLabel::Blocked))?.is_some() {
        return Ok(Some(IgnoreReason::IssueStateBlocked));
    }
    for thread in threads {
        let open = catalogue.bears(
            context.labels(thread)?,
            CatalogueLabel::Need(NeedLabel::Input),
        );
        if open && context.thread_state(thread)?.need_input_reason.is_none() {
            return Ok(Some(IgnoreReason::IssueNeedInputOpen));
        }
    }
    Ok(None)
}

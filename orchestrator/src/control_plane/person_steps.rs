//! What a person asks of a thread over the staff API (L-97 to L-101, L-95): decided by `domain` on live facts, and
//! committed under the same locks as the deliveries of that thread.
use domain::audit::AuditRecord;
use domain::decide::{
    Consequences, FlowDecision, FlowFacts, FlowRequest, LabelDiff, ShorterPath, StepAction,
    StepDecision, StepMode, StepRefusal, StepRequest, Undecided, change_flow, decide_step,
};
use domain::events::{Thread, ThreadKind};
use domain::ids::{CorrelationId, RunId};
use domain::launch_profiles::IssueFlow;
use domain::snapshot::{Binding, Fact, Read, SenderFacts, Snapshot, UserFacts};
use serde_json::json;
use uuid::Uuid;

use super::snapshot_loader;
use super::thread_decisions::{self, Decided, STALE_LIMIT, StepError};
use crate::app::App;
use crate::store::snapshots::{self, PendingLabelChange};

/// Each round loads facts that the one before asked for; the deepest chain of guards needs far fewer.
const ROUND_LIMIT: usize = 16;
/// A person who asks for something in a bound repository.
pub struct Asking<'a> {
    pub app: &'a App,
    pub binding: Binding,
    /// `owner/name` as GitHub spells it.
    pub repository_full_name: &'a str,
    pub person: UserFacts,
    pub correlation_id: CorrelationId,
    /// What is recorded of the request when it changes anything (DF-8).
    pub recorded: AuditRecord,
}

impl Asking<'_> {
    /// Takes or previews a next step.
    pub async fn next_step(
        &self,
        request: &StepRequest,
        mode: StepMode,
    ) -> Result<Result<LabelDiff, StepRefusal>, StepError> {
        let thread = match request.action {
            StepAction::Stage { issue, .. } => Thread::issue(self.repository_full_name, issue),
            StepAction::Reviewer { pull_request } => {
                Thread::pull_request(self.repository_full_name, pull_request)
            }
        };
        for _ in 0..STALE_LIMIT {
            let (decision, snapshot, newest) = self.decided(request, mode, &thread).await?;
            let labels = Some((&thread, newest));
            if self.write(&snapshot, labels, decision.consequences).await? {
                return Ok(decision.outcome);
            }
        }
        Err(StepError::Overtaken)
    }

    /// Changes the path of an Issue; answers the path before and after.
    pub async fn launch_profile(
        &self,
        request: &FlowRequest,
    ) -> Result<Result<(IssueFlow, IssueFlow), ShorterPath>, StepError> {
        let issue = Thread::issue(self.repository_full_name, request.issue_number);
        for _ in 0..STALE_LIMIT {
            let mut snapshot = self.snapshot();
            let path = thread_decisions::load_path(
                self.app,
                self.repository_full_name,
                &mut snapshot,
                &issue,
            )
            .await?;
            let facts = FlowFacts {
                issue: &issue,
                project_id: self.binding.project_id,
                flow: &path.flow,
                history: &path.history,
            };
            let scope = format!("flow:{}", snapshot.fresh_run_id);
            let FlowDecision { flow, consequences } =
                match change_flow(&facts, request, &self.person, &self.correlation_id, &scope) {
                    Ok(decision) => decision,
                    Err(shorter) => return Ok(Err(shorter)),
                };
            if self.write(&snapshot, None, consequences).await? {
                return Ok(Ok((path.flow, flow)));
            }
        }
        Err(StepError::Overtaken)
    }

    fn snapshot(&self) -> Snapshot {
        let sender = SenderFacts {
            user: Some(self.person.clone()),
        };
        Snapshot::new(Some(self.binding.clone()), sender, RunId(Uuid::new_v4()))
    }

    async fn decided(
        &self,
        request: &StepRequest,
        mode: StepMode,
        thread: &Thread,
    ) -> Result<(StepDecision, Snapshot, Option<i64>), StepError> {
        // Before the live labels: a change that is done in between is then in both, which harms nothing.
        let newest = snapshots::newest_label_change(&self.app.pool, &json!(thread)).await?;
        let pending = snapshots::pending_label_changes(&self.app.pool, &json!(thread)).await?;
        let mut snapshot = self.snapshot();
        for _ in 0..ROUND_LIMIT {
            let decision = decide_step(
                &snapshot,
                request,
                mode,
                &self.correlation_id,
                &self.app.policy,
            );
            let wanted = match decision {
                Ok(decision) => return Ok((decision, snapshot, newest)),
                Err(Undecided::Missing(wanted)) => wanted,
                Err(unreadable) => return Err(unreadable.into()),
            };
            snapshot_loader::load_facts(self.app, self.repository_full_name, &mut snapshot, wanted)
                .await?;
            let labels = match thread.kind {
                ThreadKind::Issue => Read::IssueLabels(thread.number),
                ThreadKind::PullRequest => Read::PullRequestLabels(thread.number),
            };
            if let Some(Fact::Labels(labels)) = snapshot.facts.get_mut(&labels) {
                apply_pending(labels, &pending);
            }
        }
        Err(StepError::NoProgress)
    }

    /// `false`: what the decision knew has changed meanwhile.
    async fn write(
        &self,
        snapshot: &Snapshot,
        labels: Option<(&Thread, Option<i64>)>,
        consequences: Consequences,
    ) -> Result<bool, StepError> {
        let decided = Decided {
            binding: &self.binding,
            repository_full_name: self.repository_full_name,
            correlation_id: &self.correlation_id,
            snapshot,
            labels,
            recorded: Some(&self.recorded),
        };
        thread_decisions::write(self.app, &decided, consequences).await
    }
}

/// The labels once the executor has done what is written down already.
pub(crate) fn apply_pending(labels: &mut Vec<String>, pending: &[PendingLabelChange]) {
    for change in pending {
        let is_it = |name: &String| name.eq_ignore_ascii_case(&change.label);
        match change.kind.as_str() {
            "add_label" if !labels.iter().any(is_it) => labels.push(change.label.clone()),
            "remove_label" => labels.retain(|name| !is_it(name)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_counts_as_done_in_its_order() {
        let change = |id, kind: &str, label: &str| PendingLabelChange {
            id,
            kind: kind.to_owned(),
            label: label.to_owned(),
        };
        let mut labels = vec!["run:Plan".to_owned(), "bug".to_owned()];
        let pending = [
            change(1, "remove_label", "run:plan"),
            change(2, "add_label", "run:dev"),
            change(3, "add_label", "BUG"),
        ];
        apply_pending(&mut labels, &pending);
        assert_eq!(labels, ["bug", "run:dev"]);
        apply_pending(&mut labels, &pending);
        assert_eq!(labels, ["bug", "run:dev"]);
    }
}

//! What decisions and ends of runs do: rows, effects, and the platform's own webhooks.

use domain::decide::{Consequences, NewRun, Outcome, ThreadStateChange};
use domain::effects::{CommentRecord, Effect, PlannedEffect};
use domain::runs::{FinishReason, RunEnd, RunStatus};
use domain::snapshot::RunFacts;
use domain::stages::{RuntimeMode, Stage};
use domain::transitions::{EndedRun, after_ended_run};

use super::facts::place_of;
use super::telling::Change;
use super::world::{World, line, moment};
use reference::{BOT, Place, View};

impl World<'_> {
    /// The row of a new run, with the namespace that its worker would give it.
    pub(super) fn facts_of(&self, run: &NewRun) -> RunFacts {
        let own = format!("codex-issue-p-r{}", self.runs.len() + 1);
        let full = run.runtime.mode == RuntimeMode::FullEnv;
        let own = full.then(|| own.parse().expect("a DNS label"));
        RunFacts {
            run_id: run.run_id,
            correlation_id: run.correlation_id.clone(),
            project_id: run.project_id,
            repository_full_name: run.repository_full_name.clone(),
            status: RunStatus::Running,
            trigger_source: run.trigger.source,
            trigger_kind: run.trigger.kind,
            trigger_label: run.trigger.label.clone(),
            agent_key: run.agent.as_ref().map(|agent| agent.key.clone()),
            discussion_mode: run.discussion_mode,
            deploy_only: run.runtime.deploy_only,
            issue_number: run.issue_number,
            pr_number: run.pr_number,
            runtime_mode: run.runtime.mode,
            target_env: run.runtime.target_env,
            access_profile: run.runtime.access_profile,
            namespace: run.runtime.namespace.clone().or(own),
            build_ref: run.runtime.build_ref.clone(),
            branch: run.target_branch.clone(),
            pr_head_sha: run.pull_request.as_ref().map(|pull| pull.head_sha.clone()),
            profile: None,
            resumed_from_run_id: None,
            has_link: run.issue_number.is_some(),
            created_at: moment(self.forge.tick),
            finished_at: None,
        }
    }

    /// Everything besides the outcome.
    pub(super) fn apply(&mut self, consequences: Consequences) {
        if let Some(grant) = &consequences.consumed_grant {
            let key = (place_of(&grant.thread), grant.label.clone());
            if self.grants.remove(&key).is_none() {
                self.broken.push(format!("{key:?} was granted to nobody"));
            }
        }
        for cancellation in &consequences.cancellations {
            let position = self
                .runs
                .iter()
                .position(|run| run.run_id == cancellation.run_id && run.is_active());
            if let Some(position) = position {
                self.over(position, RunEnd::Because(cancellation.reason));
            }
        }
        for change in &consequences.thread_states {
            self.remember(change);
        }
        self.perform(consequences.effects);
    }

    fn remember(&mut self, change: &ThreadStateChange) {
        let now = moment(self.forge.tick);
        let (ThreadStateChange::NeedInputSet { thread, .. }
        | ThreadStateChange::NeedInputCleared { thread }
        | ThreadStateChange::RoleLabelSet { thread, .. }
        | ThreadStateChange::RoleLabelCleared { thread, .. }) = change
        else {
            panic!("only a next step of staff sets a flow, and no walk takes one: {change:?}");
        };
        let state = self.states.entry(place_of(thread)).or_default();
        match change {
            ThreadStateChange::NeedInputSet { reason, .. } => {
                state.need_input_reason = Some(reason.clone());
            }
            ThreadStateChange::NeedInputCleared { .. } => state.need_input_reason = None,
            ThreadStateChange::RoleLabelSet { label, .. } => {
                state.role_label_set_at.insert(label.clone(), now);
            }
            ThreadStateChange::RoleLabelCleared { label, .. } => {
                state.role_label_set_at.remove(label);
            }
            ThreadStateChange::FlowSet { .. } => {}
        }
    }

    pub(super) fn perform(&mut self, effects: Vec<PlannedEffect>) {
        for planned in effects {
            if !self.done.insert(planned.idempotency_key) {
                continue;
            }
            match planned.effect {
                Effect::AddLabel { thread, label, .. } => {
                    let at = place_of(&thread);
                    if self.forge.add_label(&at, &label) {
                        self.echo(&at, &label, true);
                    }
                }
                Effect::RemoveLabel { thread, label, .. } => {
                    let at = place_of(&thread);
                    if let Some(spelled) = self.forge.remove_label(&at, &label) {
                        self.echo(&at, &spelled, false);
                    }
                }
                Effect::CancelDiscussion { run_id, .. } => {
                    let position = self
                        .runs
                        .iter()
                        .position(|run| run.run_id == run_id && run.is_active());
                    if let Some(position) = position {
                        self.over(position, RunEnd::Because(FinishReason::DiscussionStopped));
                    }
                }
                Effect::StopRun { run_id } => {
                    let over = self
                        .runs
                        .iter()
                        .any(|run| run.run_id == run_id && !run.is_active());
                    if !over {
                        self.broken.push(format!("{run_id} is stopped and goes on"));
                    }
                }
                Effect::CreateComment {
                    record: CommentRecord::TriggerConflict { .. },
                    ..
                } => self.conflict_comments += 1,
                _ => {}
            }
        }
    }

    /// The platform's own change comes back as a webhook, which leads to nothing.
    pub(super) fn echo(&mut self, at: &Place, label: &str, added: bool) {
        let labels = self.forge.labels(at).to_vec();
        let (event_type, payload) = self.label_payload(&Change {
            who: BOT,
            at,
            label,
            added,
            labels: &labels,
            recorded: true,
        });
        let (_, decision) = self.decided(event_type, payload, true);
        let answered = match &decision.outcome {
            Outcome::Ignored(ignored) => ignored.reason.to_string(),
            Outcome::Accepted(_) => "accepted".to_owned(),
            Outcome::Received => "received".to_owned(),
        };
        let expected = match at.is_issue() {
            true => "issue_event_not_trigger_label",
            false => "received",
        };
        let follows = &decision.consequences;
        // A state that shows or hides next steps has the status comment written anew, whoever set it (L-80).
        let quiet = follows
            .effects
            .iter()
            .all(|planned| matches!(planned.effect, Effect::RefreshStatusComment { .. }))
            && follows.thread_states.is_empty()
            && follows.cancellations.is_empty();
        if answered != expected || !quiet {
            self.broken.push(format!(
                "its own {label} on {at} came back: {answered}, {follows:?}"
            ));
        }
    }

    pub(super) fn active(&self, number: usize) -> Option<usize> {
        let position = number.checked_sub(1)?;
        let run = self.runs.get(position)?;
        (run.is_active() && !run.discussion_mode).then_some(position)
    }

    pub(super) fn over(&mut self, position: usize, end: RunEnd) {
        self.runs[position].status = end.status();
        if let (RunEnd::Because(reason), RunStatus::Canceled) = (end, end.status()) {
            self.reasons.insert(position, reason);
        }
    }

    /// The agent is done; a revise without a pull request has failed at its claim (L-60).
    pub(super) fn end(&mut self, number: usize, succeeded: bool, makes_pull: bool) {
        let Some(position) = self.active(number) else {
            return;
        };
        let run = &self.runs[position];
        let revises_nothing = run.trigger_kind.is_revise() && run.pr_number.is_none();
        let end = match (succeeded, revises_nothing) {
            (_, true) => RunEnd::Because(FinishReason::FailedPrecondition),
            (true, false) => RunEnd::Succeeded,
            (false, false) => RunEnd::Because(FinishReason::KubernetesJobFailed),
        };
        let makes_pull = makes_pull
            && run.is_stage_run()
            && run.pr_number.is_none()
            && run.stage() != Some(Stage::AiRepair);
        if makes_pull && end == RunEnd::Succeeded {
            let branch = run.branch.clone().expect("a stage-run has a branch");
            let open = self.forge.open_pull_of(&branch);
            let number = open.unwrap_or_else(|| self.forge.open_pull(&branch));
            self.runs[position].pr_number = Some(number);
        }
        self.over(position, end);
        self.ended(position, end, true);
    }

    pub(super) fn ended(&mut self, position: usize, end: RunEnd, abandon: bool) {
        let run = self.runs[position].clone();
        let linked = self
            .runs
            .iter()
            .filter(|known| known.issue_number == run.issue_number);
        let mut open: Vec<i64> = linked
            .filter_map(|known| known.pr_number)
            .filter(|number| self.forge.pulls[number].open)
            .collect();
        open.sort_unstable();
        open.dedup();
        let ended = EndedRun {
            run: &run,
            end,
            abandon,
            other_open_pull_requests: &open,
        };
        let mut follows = after_ended_run(&ended, &self.policy);
        (self.mutation.after_run)(&run, &mut follows);
        self.apply(follows);
    }

    pub(super) fn view(&self) -> View {
        let mut view = View {
            answers: self.answers.clone(),
            ..View::default()
        };
        for (position, run) in self.runs.iter().enumerate() {
            view.runs
                .push(line(run, self.reasons.get(&position).copied()));
        }
        for (place, state) in &self.states {
            if state.need_input_reason.is_some() {
                view.owned.insert(place.to_string());
            }
        }
        for place in self.forge.places() {
            let mut labels = self.forge.labels(&place).to_vec();
            labels.sort();
            if !labels.is_empty() {
                view.labels.insert(place.to_string(), labels);
            }
        }
        for ((place, label), who) in &self.grants {
            view.grants.insert(format!("{label} on {place} for {who}"));
        }
        view
    }
}

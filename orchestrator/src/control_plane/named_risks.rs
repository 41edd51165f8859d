//! What the report of a run does to the path of its Issue (R-80, L-96).
use std::collections::BTreeSet;

use domain::decide::{FlowDecision, FlowFacts, escalate_flow};
use domain::events::Thread;
use domain::ids::{CorrelationId, RunId};
use domain::launch_profiles::RiskSignal;
use domain::snapshot::{SenderFacts, Snapshot};
use uuid::Uuid;

use super::thread_decisions::{self, Decided, STALE_LIMIT, StepError};
use crate::app::App;
use crate::store::run_reads::ContextRun;
use crate::store::{repositories, snapshots};

/// Lengthens the path of the run's Issue by the risks that its agent named. Said again, or of a run without an Issue,
/// it changes nothing.
pub async fn name_risks(
    app: &App,
    run: &ContextRun,
    signals: &BTreeSet<RiskSignal>,
) -> Result<(), StepError> {
    let Some(issue_number) = run.issue_number else {
        return Ok(());
    };
    let repository = repositories::find_by_full_name(&app.pool, &run.repository_full_name).await?;
    let Some(repository) = repository else {
        return Ok(());
    };
    let Some(binding) = snapshots::binding(&app.pool, repository.external_id).await? else {
        return Ok(());
    };
    let full_name = repository.full_name();
    let issue = Thread::issue(&full_name, i64::from(issue_number));
    let correlation_id = CorrelationId::new(run.correlation_id.clone());
    let agent_key = run.agent_key.as_deref().unwrap_or_default();
    for _ in 0..STALE_LIMIT {
        let sender = SenderFacts { user: None };
        let mut snapshot = Snapshot::new(Some(binding.clone()), sender, RunId(Uuid::new_v4()));
        let path = thread_decisions::load_path(app, &full_name, &mut snapshot, &issue).await?;
        let facts = FlowFacts {
            issue: &issue,
            project_id: binding.project_id,
            flow: &path.flow,
            history: &path.history,
        };
        let scope = format!("flow:{}", snapshot.fresh_run_id);
        let agent = (RunId(run.id), agent_key);
        let FlowDecision { consequences, .. } =
            escalate_flow(&facts, signals, agent, &correlation_id, &scope);
        let decided = Decided {
            binding: &binding,
            repository_full_name: &full_name,
            correlation_id: &correlation_id,
            snapshot: &snapshot,
            labels: None,
            recorded: None,
        };
        if thread_decisions::write(app, &decided, consequences).await? {
            return Ok(());
        }
    }
    Err(StepError::Overtaken)
}

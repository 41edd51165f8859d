//! The end state of a play: threads from GitHub, runs and refusals from the platform's records.
use std::collections::BTreeMap;

use anyhow::Context;
use fixtures::github::{Issue, Repository};
use reports::delivery_algebra::{EndState, Head, Refusal, RunEnd, Sent, Thread, plain};
use serde_json::Value;

use crate::{hub::Hub, place::Place, world::GateWorld};

/// Reasons that refuse nothing: the delivery was none that starts anything (the first row of L-42).
const NO_REFUSAL: &str = "'issue_event_not_trigger_label', 'push_main_versions_autobumped', 'repository_not_bound_for_push_main'";

pub(super) async fn end_state(world: &mut GateWorld) -> anyhow::Result<EndState> {
    let place = world.place()?;
    let runs = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(r) FROM agent_runs r WHERE repository_full_name = $1 ORDER BY created_at, id",
            &[&place.repository],
        )
        .await?;
    let names = names(&place, &runs);
    let threads = world.gate.github.handle().read(|state| {
        let repository = state.repository(&place.repository)?;
        let issues = repository.issues.iter();
        Some(
            issues
                .map(|(number, issue)| (*number, thread(repository, issue, &names)))
                .collect(),
        )
    });
    let threads =
        threads.with_context(|| format!("there is no repository {} any more", place.repository))?;
    let mut runs: Vec<RunEnd> = runs.iter().map(run_end).collect();
    runs.sort();
    Ok(EndState {
        threads,
        runs,
        refusals: refusals(world, &place).await?,
    })
}

/// Digits of a run's id in names.
const RUN_DIGITS: usize = 12;

/// Names that only this play has.
fn names(place: &Place, runs: &[Value]) -> BTreeMap<String, String> {
    let owner = place.repository.split('/').next().unwrap_or_default();
    let mut names = BTreeMap::from([
        (owner.to_owned(), "shop".to_owned()),
        (place.member.login.clone(), "member".to_owned()),
        (place.outsider.login.clone(), "outsider".to_owned()),
        (place.maintainer.login.clone(), "maintainer".to_owned()),
        (place.project_id.clone(), "project".to_owned()),
    ]);
    for run in runs {
        for field in ["id", "correlation_id", "namespace", "job_name"] {
            if let Some(name) = run[field].as_str() {
                names.insert(name.to_owned(), field.to_owned());
            }
        }
        // A rethink has a branch of its own, named after the run (L-50).
        let id = run["id"].as_str().unwrap_or_default().replace('-', "");
        if let Some(start) = id.get(..RUN_DIGITS) {
            names.insert(start.to_owned(), "run12".to_owned());
        }
    }
    names
}

fn thread(repository: &Repository, issue: &Issue, names: &BTreeMap<String, String>) -> Thread {
    let merged = issue
        .pull
        .as_ref()
        .is_some_and(|pull| pull.merged_at.is_some());
    let mut comments: Vec<String> = issue
        .comments
        .iter()
        .map(|comment| plain(&format!("{}: {}", comment.author, comment.body), names))
        .collect();
    comments.sort();
    let mut reactions: Vec<String> = issue
        .reactions
        .iter()
        .map(|reaction| plain(&format!("{} {}", reaction.author, reaction.content), names))
        .collect();
    reactions.sort();
    Thread {
        state: if merged { "merged" } else { issue.state.name() }.to_owned(),
        labels: repository.label_names(issue.number).into_iter().collect(),
        comments,
        reactions,
        head: issue.pull.as_ref().map(|pull| Head {
            branch: plain(&pull.head_ref, names),
            commits: pull.size.commits,
            changed_files: pull.size.changed_files,
        }),
    }
}

fn run_end(run: &Value) -> RunEnd {
    let text = |field: &str| run[field].as_str().unwrap_or_default().to_owned();
    RunEnd {
        issue: run["issue_number"].as_u64(),
        pull_request: run["pr_number"].as_u64(),
        kind: text("trigger_kind"),
        label: text("trigger_label"),
        source: text("trigger_source"),
        status: text("status"),
        reason: run["finish_reason"].as_str().map(str::to_owned),
    }
}

/// Deliveries that were ignored with a reason, where delivery and event agree on it; labels that were rejected and
/// effects that were given up.
async fn refusals(world: &mut GateWorld, place: &Place) -> anyhow::Result<Vec<Refusal>> {
    let query = format!(
        "SELECT jsonb_build_object('delivery', e.correlation_id, 'event', e.event_type, \
         'reason', coalesce(e.payload ->> 'reason', e.payload ->> 'kind', '')) FROM flow_events e \
         JOIN webhook_deliveries d ON d.delivery_id = e.correlation_id WHERE d.repository_full_name = $1 AND ( \
         (e.event_type = 'webhook.ignored' AND d.status = 'ignored' AND d.reason = e.payload ->> 'reason' \
         AND d.reason NOT IN ({NO_REFUSAL})) OR e.event_type IN ('label.rejected', 'effect.given_up'))"
    );
    let rows = world
        .platform()
        .database
        .rows(&query, &[&place.repository])
        .await?;
    let sent: BTreeMap<String, Sent> = sent(&world.gate.github, &place.repository)
        .into_iter()
        .collect();
    let mut refusals: Vec<Refusal> = rows
        .iter()
        .map(|row| {
            let sent = row["delivery"].as_str().and_then(|guid| sent.get(guid));
            let reason = row["reason"].as_str().unwrap_or_default();
            Refusal {
                thread: sent.and_then(|sent| sent.thread),
                delivery: sent.map(told).unwrap_or_default(),
                reason: match row["event"].as_str() {
                    Some("webhook.ignored") | None => reason.to_owned(),
                    Some(event) => format!("{event}: {reason}"),
                },
            }
        })
        .collect();
    refusals.sort();
    Ok(refusals)
}

fn told(sent: &Sent) -> String {
    let action = sent.action.as_deref().map(|action| format!(".{action}"));
    let label = sent.label.as_deref().map(|label| format!(" {label}"));
    format!(
        "{}{}{}",
        sent.event,
        action.unwrap_or_default(),
        label.unwrap_or_default()
    )
}

/// What each delivery of a repository tells, by its id, oldest first; redeliveries and copies left out.
pub(super) fn sent(hub: &Hub, repository: &str) -> Vec<(String, Sent)> {
    let platform = [hub.platform_login(), hub.bot_login()];
    let mut sent: Vec<(String, Sent)> = Vec::new();
    for delivery in hub.deliveries(repository) {
        if sent.iter().any(|(guid, _)| *guid == delivery.guid) {
            continue;
        }
        let payload = &delivery.payload;
        let sender = payload["sender"]["login"].as_str().unwrap_or_default();
        let thread = ["issue", "pull_request"]
            .iter()
            .find_map(|field| payload[field]["number"].as_u64());
        sent.push((
            delivery.guid.clone(),
            Sent {
                event: delivery.event.clone(),
                action: Some(delivery.action.clone()).filter(|action| !action.is_empty()),
                label: payload["label"]["name"].as_str().map(str::to_owned),
                thread,
                by_person: !platform.iter().any(|login| login == sender),
            },
        ));
    }
    sent
}

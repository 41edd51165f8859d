//! `state:*` labels: what threads come to carry, and how a stage is accepted (labels-and-stages 5).

use anyhow::Context;
use cucumber::{given, then, when};
use reports::evidence::ObservationSource::{Github, Kubernetes, Orchestrator, Postgres};
use serde_json::Value;

use crate::{
    definitions::{
        comments::status_comments_of,
        labels::set_label,
        outcome::{await_end, current_run, end_of, run_at_hand},
        people::{person, set_by, thread},
        setup,
    },
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// Rules that say when a label comes and goes.
fn rules_of(label: &str) -> &'static [&'static str] {
    match label {
        "state:in-review" => &["L-73"],
        "state:approved" => &["L-74", "L-75"],
        "state:superseded" => &["L-81"],
        "state:abandoned" => &["L-82"],
        "state:blocked" => &["L-75", "L-80"],
        "need:input" => &["L-42", "L-43", "L-84"],
        "need:reviewer" => &["L-87"],
        _ => &["L-72"],
    }
}

/// The rule that a reason of `label.rejected` belongs to (table of L-19).
fn rules_of_rejection(reason: &str) -> &'static [&'static str] {
    match reason {
        "state_approval_not_permitted" => &["L-76"],
        "need_role_evidence_missing" => &["L-86"],
        "need_label_open" => &["L-77", "L-85"],
        _ => &["L-77"],
    }
}

fn listed(labels: &str) -> Vec<String> {
    labels
        .split(',')
        .map(|label| label.trim().to_owned())
        .filter(|label| !label.is_empty())
        .collect()
}

/// Waits until a thread carries all of `wanted` and none of `unwanted`, and records what it carries.
///
/// # Errors
/// When it does not come to that, or the evidence cannot be kept.
pub async fn comes_to_carry(
    world: &mut GateWorld,
    number: u64,
    wanted: &[String],
    unwanted: &[String],
    rules: &[&str],
) -> anyhow::Result<()> {
    let place = world.place()?;
    let seen = until(
        &format!("the labels of #{number}"),
        DECISION_DEADLINE,
        async || {
            let labels = place.member.labels(&place.repository, number).await?;
            let reached = wanted.iter().all(|label| labels.contains(label))
                && !unwanted.iter().any(|label| labels.contains(label));
            Ok(if reached {
                Reading::Reached(labels.join(", "))
            } else {
                Reading::NotYet(format!("[{}]", labels.join(", ")))
            })
        },
    )
    .await;
    let (ok, seen) = seen.map_or_else(|error| (false, format!("{error:#}")), |seen| (true, seen));
    world.holds(
        rules,
        Github,
        &format!("labels of {}#{number}", place.repository),
        &format!("GET /repos/{}/issues/{number}/labels", place.repository),
        format!("[{}], none of [{}]", wanted.join(", "), unwanted.join(", ")),
        format!("[{seen}]"),
        ok,
    )
}

async fn carries(world: &mut GateWorld, on: &str, wanted: &str, unwanted: &str) -> Step {
    let number = thread(world, on)?;
    let (wanted, unwanted) = (listed(wanted), listed(unwanted));
    let mut rules: Vec<&str> = wanted
        .iter()
        .chain(&unwanted)
        .flat_map(|label| rules_of(label).iter().copied())
        .collect();
    rules.sort_unstable();
    rules.dedup();
    Ok(comes_to_carry(world, number, &wanted, &unwanted, &rules).await?)
}

#[then(regex = r#"^the (Issue|pull request) comes to carry "([^"]+)"$"#)]
async fn carries_these(
    world: &mut GateWorld,
    on: String,
    wanted: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    carries(world, &on, &wanted, "").await
}

#[then(regex = r#"^the (Issue|pull request) comes to carry "([^"]+)" and not "([^"]+)"$"#)]
async fn carries_and_not(
    world: &mut GateWorld,
    on: String,
    wanted: String,
    unwanted: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    carries(world, &on, &wanted, &unwanted).await
}

/// Absence that an event brings about: the labels were there before, or the step before has shown the change.
#[then(regex = r#"^the (Issue|pull request) comes to carry nothing of "([^"]+)"$"#)]
async fn carries_nothing_of(
    world: &mut GateWorld,
    on: String,
    unwanted: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    carries(world, &on, "", &unwanted).await
}

#[then("the stage is accepted on the Issue and the pull request")]
async fn accepted(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let mut rules = vec!["L-75", "L-77", "L-79"];
    // A review or a merge accepts like the label (L-78).
    if matches!(
        world.delivery()?.event.as_str(),
        "pull_request_review" | "pull_request"
    ) && world.delivery()?.action != "labeled"
    {
        rules.push("L-78");
    }
    for on in ["Issue", "pull request"] {
        let number = thread(world, on)?;
        comes_to_carry(
            world,
            number,
            &["state:approved".to_owned()],
            &["state:in-review".to_owned()],
            &rules,
        )
        .await?;
    }
    Ok(())
}

#[given("the approver has accepted the stage")]
async fn has_accepted(world: &mut GateWorld) -> Step {
    let approver = person(world, "approver").await?;
    let issue = thread(world, "Issue")?;
    set_by(world, &approver, issue, "state:approved").await?;
    let place = world.place()?;
    let pull_request = thread(world, "pull request")?;
    crate::delivery_play::let_go_newest(world).await?;
    until("the mirrored approval", DECISION_DEADLINE, async || {
        let labels = place.member.labels(&place.repository, pull_request).await?;
        Ok(if labels.contains(&"state:approved".to_owned()) {
            Reading::Reached(())
        } else {
            Reading::NotYet(labels.join(", "))
        })
    })
    .await?;
    Ok(())
}

#[then(expr = "the acceptance is recorded with the reason {string}")]
async fn acceptance_recorded(
    world: &mut GateWorld,
    reason: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let guid = world.delivery()?.guid;
    let recorded = changes_of(world, &guid, "label.applied", "state:approved").await?;
    // A run that begins takes the label away again (L-74).
    let seen: Vec<&str> = recorded
        .iter()
        .filter(|payload| payload["op"] == "add")
        .map(|payload| payload["reason"].as_str().unwrap_or("-"))
        .collect();
    world.holds(
        &["L-19", "L-78"],
        Postgres,
        "reasons of the recorded approvals",
        "flow_events label.applied by correlation id",
        format!("{reason}, on both threads"),
        seen.join(", "),
        seen == [reason.as_str(); 2],
    )?;
    Ok(())
}

/// Payloads of the recorded changes of one label that a delivery brought about; waits for the first, then for all of
/// its effects.
///
/// # Errors
/// When none is recorded in time.
pub async fn changes_of(
    world: &mut GateWorld,
    guid: &str,
    event_type: &str,
    label: &str,
) -> anyhow::Result<Vec<Value>> {
    let platform = world.platform();
    until(
        &format!("{event_type} of {label}"),
        DECISION_DEADLINE,
        async || {
            let open = platform
                .database
                .rows(
                    "SELECT to_jsonb(o.kind) FROM outbox_effects o WHERE delivery_id = $1 AND state = 'pending'",
                    &[&guid],
                )
                .await?;
            let found: Vec<Value> = platform
                .database
                .events(guid)
                .await?
                .into_iter()
                .filter(|event| {
                    event["event_type"] == event_type && event["payload"]["label"] == label
                })
                .map(|mut event| event["payload"].take())
                .collect();
            Ok(if found.is_empty() || !open.is_empty() {
                Reading::NotYet(format!("{} found, {} effects pending", found.len(), open.len()))
            } else {
                Reading::Reached(found)
            })
        },
    )
    .await
}

/// L-76, L-77: the label goes, review comes back, the refusal is recorded once and explained once.
#[then(
    regex = r#"^the approval of the (Issue|pull request) is (?:refused|taken back) because "([^"]+)"$"#
)]
async fn refused(
    world: &mut GateWorld,
    on: String,
    reason: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let number = thread(world, &on)?;
    let rules = rules_of_rejection(&reason);
    comes_to_carry(
        world,
        number,
        &["state:in-review".to_owned()],
        &["state:approved".to_owned()],
        rules,
    )
    .await?;
    rejection_recorded(world, number, "state:approved", &reason, rules).await
}

/// `label.rejected` of the newest delivery, and the comment that explains it.
async fn rejection_recorded(
    world: &mut GateWorld,
    number: u64,
    label: &str,
    reason: &str,
    rules: &[&str],
) -> Step {
    let guid = world.delivery()?.guid;
    let recorded = changes_of(world, &guid, "label.rejected", label).await?;
    let seen: Vec<&str> = recorded
        .iter()
        .map(|payload| payload["reason"].as_str().unwrap_or("-"))
        .collect();
    let recorded_by: Vec<&str> = rules.iter().copied().chain(["L-19"]).collect();
    world.equal(
        &recorded_by,
        Postgres,
        &format!("recorded refusal of {label}"),
        "flow_events label.rejected by correlation id",
        reason,
        seen.join(", "),
    )?;
    let place = world.place()?;
    let bot = world.gate.github.bot_login();
    let platform_login = world.gate.github.platform_login();
    let comments = place.member.comments(&place.repository, number).await?;
    let explained = comments
        .iter()
        .filter(|comment| {
            let login = comment["user"]["login"].as_str().unwrap_or_default();
            (login == bot || login == platform_login)
                && comment["body"]
                    .as_str()
                    .is_some_and(|body| body.contains(reason) && body.contains(label))
        })
        .count();
    world.equal(
        rules,
        Github,
        &format!("comments on #{number} that explain {reason}"),
        &format!("GET /repos/{}/issues/{number}/comments", place.repository),
        1,
        explained,
    )?;
    Ok(())
}

#[then(expr = "the Issue comes to carry {string} again because {string}")]
async fn comes_back(
    world: &mut GateWorld,
    label: String,
    reason: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let number = thread(world, "Issue")?;
    let rules = rules_of_rejection(&reason);
    // The refusal first: before it the label may still be there.
    rejection_recorded(world, number, &label, &reason, rules).await?;
    Ok(comes_to_carry(world, number, &[label], &[], rules).await?)
}

#[given("a bound repository whose agent waits when it revises, with an open Issue")]
async fn agent_waits_on_revise(world: &mut GateWorld) -> Step {
    let signal = setup::signal_file(world);
    world.remembered.insert("signal".to_owned(), signal.clone());
    Ok(setup::bind(world, fixtures::stories::waits_on_revise(&signal)).await?)
}

#[when("the agent goes on")]
async fn agent_goes_on(world: &mut GateWorld) -> Step {
    let signal = world
        .remembered
        .get("signal")
        .cloned()
        .context("no agent waits")?;
    tokio::fs::write(&signal, "go")
        .await
        .context("failed to signal the agent")?;
    Ok(())
}

/// Labels offered as next steps by the status comment of the run at hand, in their order.
async fn offered(world: &mut GateWorld) -> anyhow::Result<(String, Vec<String>)> {
    // A refused trigger since has no run: the comment is that of the run before.
    let run = world
        .run()
        .ok()
        .or_else(|| world.previous_run.clone())
        .context("the scenario has no run yet")?;
    let comments = status_comments_of(world, &text(&run, "id")?).await?;
    let body = comments
        .last()
        .and_then(|comment| comment["body"].as_str())
        .unwrap_or_default()
        .to_owned();
    let catalogue = crate::expected::catalogue();
    // Next steps are the last list of the visible text, after its bold heading (L-89, L-104).
    let offered = body
        .lines()
        .skip_while(|line| {
            !(line.starts_with("**")
                && (line.contains("Next") || line.contains("Дальше") || line.contains("шаги")))
        })
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|word| catalogue.iter().any(|label| label == word))
        .map(str::to_owned)
        .collect();
    Ok((body, offered))
}

#[then("the finished status comment offers no next step")]
async fn offers_nothing(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let seen = until(
        "the finished status comment",
        DECISION_DEADLINE,
        async || {
            let (body, offered) = offered(world).await?;
            Ok(if body.contains("\"phase\":\"finished\"") {
                Reading::Reached(offered)
            } else {
                Reading::NotYet(body.lines().last().unwrap_or_default().to_owned())
            })
        },
    )
    .await?;
    world.equal(
        &["L-80", "L-91"],
        Github,
        "next steps offered by the finished status comment",
        "GET /repos/…/issues/…/comments",
        "",
        seen.join(", "),
    )?;
    Ok(())
}

#[then(expr = "the finished status comment offers {string} and {string}")]
async fn offers(
    world: &mut GateWorld,
    first: String,
    second: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    // The run whose comment this is may be the one before a refused trigger.
    let wanted = [first, second];
    let seen = until("the next steps", DECISION_DEADLINE, async || {
        let (_, offered) = offered(world).await?;
        Ok(if wanted.iter().all(|label| offered.contains(label)) {
            Reading::Reached(offered.join(", "))
        } else {
            Reading::NotYet(format!("[{}]", offered.join(", ")))
        })
    })
    .await;
    let (ok, seen) = seen.map_or_else(|error| (false, format!("{error:#}")), |seen| (true, seen));
    world.holds(
        &["L-80", "L-89", "L-92"],
        Github,
        "next steps offered by the finished status comment",
        "GET /repos/…/issues/…/comments",
        wanted.join(", "),
        seen,
        ok,
    )?;
    Ok(())
}

#[given(expr = "a second open Issue with a running {string} run")]
async fn second_issue(world: &mut GateWorld, label: String) -> Step {
    let first = world.place()?;
    let issue = first
        .member
        .open_issue(&first.repository, "Say good-bye", "")
        .await?;
    let mut second = first.clone();
    second.issue = issue;
    world.set_place(second.clone());
    set_label(world, &label).await?;
    crate::definitions::outcome::await_event(world, "run.agent.ready").await?;
    let delivery = world.delivery()?;
    world.many.push((second, delivery));
    world.take_run();
    world.set_place(first);
    Ok(())
}

/// The run of the second Issue, as the database has it.
pub async fn run_of_second(world: &mut GateWorld) -> anyhow::Result<(u64, Value)> {
    let (place, delivery) = world
        .many
        .first()
        .cloned()
        .context("the scenario has no second Issue")?;
    let run = world
        .platform()
        .database
        .run_by_correlation(&delivery.guid)
        .await?
        .context("the second Issue has no run")?;
    Ok((place.issue, run))
}

async fn cancel(world: &mut GateWorld, run: &Value, abandon: bool) -> anyhow::Result<()> {
    let platform = world.platform();
    let (status, answer) = platform.staff.cancel(&text(run, "id")?, abandon).await?;
    world.answer = Some((status.as_u16(), answer));
    Ok(())
}

#[when("staff cancels the run")]
#[when("staff cancels the run again")]
async fn staff_cancels(world: &mut GateWorld) -> Step {
    let run = current_run(world).await?;
    Ok(cancel(world, &run, true).await?)
}

#[when("staff cancels the run without abandoning it")]
async fn staff_cancels_only(world: &mut GateWorld) -> Step {
    let run = run_at_hand(world).await?;
    cancel(world, &run, false).await?;
    end_of(world, &text(&run, "id")?).await?;
    Ok(())
}

#[when("staff cancels the run of the second Issue without abandoning it")]
async fn staff_cancels_second(world: &mut GateWorld) -> Step {
    let (_, run) = run_of_second(world).await?;
    cancel(world, &run, false).await?;
    end_of(world, &text(&run, "id")?).await?;
    Ok(())
}

#[then("the run ends as canceled")]
async fn ends_as_canceled(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = await_end(world).await?;
    world.equal(
        &["L-82", "R-28"],
        Postgres,
        "status of the run",
        "agent_runs.status",
        "canceled",
        run["status"].as_str().unwrap_or("-"),
    )?;
    Ok(())
}

#[then(expr = "the run ends as canceled because {string}")]
async fn canceled_because(
    world: &mut GateWorld,
    reason: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let run = await_end(world).await?;
    world.equal(
        &["L-83"],
        Postgres,
        "end of the run",
        "agent_runs.status, finish_reason",
        format!("canceled ({reason})"),
        format!(
            "{} ({})",
            run["status"].as_str().unwrap_or("-"),
            run["finish_reason"].as_str().unwrap_or("no reason")
        ),
    )?;
    let job = text(&run, "job_name")?;
    let gate = world.gate.clone();
    let deleted = until("the end of the Job", DECISION_DEADLINE, async || {
        let deleted = gate.audit.writes("delete", "jobs", &job).await?.len();
        Ok(if deleted > 0 {
            Reading::Reached(deleted)
        } else {
            Reading::NotYet("not deleted".to_owned())
        })
    })
    .await?;
    world.holds(
        &["L-83"],
        Kubernetes,
        &format!("deletions of the Job {job}"),
        "audit log: delete jobs, 2xx",
        "at least 1",
        deleted,
        deleted > 0,
    )?;
    Ok(())
}

#[then("the run of the second Issue goes on")]
async fn second_goes_on(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    crate::definitions::requests::fence(world).await?;
    let (issue, run) = run_of_second(world).await?;
    world.equal(
        &["L-82"],
        Postgres,
        &format!("status of the run of Issue {issue}"),
        "agent_runs.status",
        "running",
        run["status"].as_str().unwrap_or("-"),
    )?;
    Ok(())
}

#[then(expr = "its Issue carries {string} and not {string}")]
async fn second_carries(
    world: &mut GateWorld,
    wanted: String,
    unwanted: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let (issue, _) = run_of_second(world).await?;
    Ok(comes_to_carry(world, issue, &[wanted], &[unwanted], &["L-82"]).await?)
}

#[then(expr = "its Issue comes to carry neither {string} nor {string}")]
async fn second_carries_neither(
    world: &mut GateWorld,
    first: String,
    second: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let (issue, run) = run_of_second(world).await?;
    crate::definitions::labels::await_labels_settled(world, &run).await?;
    Ok(comes_to_carry(world, issue, &[], &[first, second], &["L-72", "L-82"]).await?)
}

#[then("the run has one end")]
async fn one_end(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    let ends = events
        .iter()
        .filter(|event| event["event_type"] == "run.canceled")
        .count();
    world.equal(
        &["L-82", "R-29"],
        Postgres,
        "events run.canceled of the run",
        "flow_events by run id",
        1,
        ends,
    )?;
    let (_, answer) = world.answer.clone().context("there is no answer")?;
    world.holds(
        &["L-82", "R-29"],
        Orchestrator,
        "answer to the second cancel",
        "POST /api/v1/staff/runs/{id}/cancel",
        "the run is over already",
        &answer,
        answer["already_terminal"] == true
            || answer["already"] == true
            || answer["code"].is_string(),
    )?;
    Ok(())
}

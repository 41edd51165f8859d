//! GitHub's rate limits: who meets them waits, and goes on when they are over.

use anyhow::Context;
use cucumber::{given, then, when};
use fixtures::{github::Limited, stories};
use reports::evidence::ObservationSource::{Github, Kubernetes, Orchestrator, Postgres};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    definitions::{
        faults::announce,
        outcome::{await_event, current_run, exit_code},
        requests::{fence, known_user},
        setup::{bind, signal_file},
    },
    place::email_of,
    wait::{DECISION_DEADLINE, RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

fn limited(world: &GateWorld, what: &str) {
    announce(world, "limit", &format!("GitHub limits {what}"));
}

#[given(expr = "GitHub limits the pull requests of the bot for {int} seconds")]
async fn limits_agent(world: &mut GateWorld, seconds: u64) -> Step {
    let place = world.place()?;
    limited(world, "the bot's pull requests");
    let limited = Limited::Secondary {
        retry_after_seconds: seconds,
    };
    world.gate.github.limit_agent(&place.repository, limited);
    Ok(())
}

#[given(expr = "GitHub answers the pull requests of the bot with its {string} limit")]
async fn limits_agent_so(world: &mut GateWorld, kind: String) -> Step {
    let place = world.place()?;
    limited(world, "the bot's pull requests");
    let limited = match kind.as_str() {
        "secondary, retry after 60 seconds" => Limited::Secondary {
            retry_after_seconds: 60,
        },
        "primary, reset in 900 seconds" => Limited::Primary {
            reset_after_seconds: 900,
        },
        "unclear" => Limited::Unclear,
        other => return Err(anyhow::anyhow!("no such limit: {other}").into()),
    };
    world.gate.github.limit_agent(&place.repository, limited);
    Ok(())
}

#[given("GitHub refuses the pull requests of the bot for bad credentials")]
async fn revokes_agent(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    announce(world, "", "the token of the bot is refused");
    world.gate.github.revoke_agent(&place.repository);
    Ok(())
}

#[given(expr = "GitHub limits the comments of the platform for {int} seconds")]
async fn limits_comments(world: &mut GateWorld, seconds: u64) -> Step {
    let place = world.place()?;
    limited(world, "the platform's comments");
    let limited = Limited::Secondary {
        retry_after_seconds: seconds,
    };
    world.gate.github.limit_comments(&place.repository, limited);
    Ok(())
}

#[given(
    "a bound repository whose agent runs a program that meets GitHub's limit, with an open Issue"
)]
async fn program_meets_limit(world: &mut GateWorld) -> Step {
    let signal = signal_file(world);
    world.remembered.insert("signal".to_owned(), signal.clone());
    limited(world, "a program of the agent");
    Ok(bind(world, stories::meets_limit_until(&signal)).await?)
}

/// Waits of a run, oldest first, with the span between their beginning and the next attempt.
async fn waits_of(world: &mut GateWorld, run_id: &str) -> anyhow::Result<Vec<Value>> {
    let query = "SELECT to_jsonb(w) || jsonb_build_object('delay', \
                 round(extract(epoch FROM resume_not_before - created_at))) \
                 FROM github_rate_limit_waits w WHERE run_id = $1::text::uuid ORDER BY created_at, id";
    world.platform().database.rows(query, &[run_id]).await
}

async fn await_wait(world: &mut GateWorld, contour: &str, state: &str) -> anyhow::Result<Value> {
    let run_id = text(&current_run(world).await?, "id")?;
    let platform = world.platform();
    let query = "SELECT to_jsonb(w) FROM github_rate_limit_waits w \
                 WHERE run_id = $1::text::uuid AND contour_kind = $2 ORDER BY created_at DESC";
    let what = format!("a wait of {contour} in {state}");
    until(&what, RUN_DEADLINE, async || {
        let waits = platform.database.rows(query, &[&run_id, contour]).await?;
        Ok(
            match waits.into_iter().find(|wait| wait["state"] == state) {
                Some(wait) => Reading::Reached(wait),
                None => {
                    let run = platform.database.run(&run_id).await?.unwrap_or_default();
                    Reading::NotYet(format!(
                        "no such wait; the run is {} ({})",
                        run["status"], run["finish_reason"]
                    ))
                }
            },
        )
    })
    .await
}

#[then("the run waits for GitHub's limit with its timer paused")]
async fn run_waits(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let wait = await_wait(world, "agent_bot_token", "auto_resume_scheduled").await?;
    let run = current_run(world).await?;
    let sessions = world
        .platform()
        .database
        .rows(
            "SELECT jsonb_build_object('wait_state', wait_state, 'guard', timeout_guard_disabled, 'status', status, \
             'resumable', agent_session_json IS NOT NULL) FROM agent_sessions WHERE run_id = $1::text::uuid",
            &[&text(&run, "id")?],
        )
        .await?;
    let session = sessions.first().cloned().unwrap_or_default();
    world.equal(
        &["R-166", "R-22", "D-10"],
        Postgres,
        "status, reason and target of the run, its timer, its session",
        "agent_runs, agent_sessions, github_rate_limit_waits",
        "waiting_backpressure, github_rate_limit, the wait; paused: true, a moment: null; backpressure, guard off: true, running, resumable: true",
        format!(
            "{}, {}, {}; paused: {}, a moment: {}; {}, guard off: {}, {}, resumable: {}",
            run["status"].as_str().unwrap_or("-"),
            run["wait_reason"].as_str().unwrap_or("-"),
            if run["wait_target_ref"] == wait["id"] {
                "the wait"
            } else {
                "another target"
            },
            run["timeout_paused"],
            run["timeout_at"],
            session["wait_state"].as_str().unwrap_or("-"),
            session["guard"],
            session["status"].as_str().unwrap_or("-"),
            session["resumable"]
        ),
    )?;
    let paused = await_event(world, "run.wait.paused").await?;
    world.equal(
        &["R-166", "R-22"],
        Postgres,
        "run.wait.paused of the run",
        "flow_events by run id",
        "wait_entered agent_bot_token agent_session_resume",
        format!(
            "{} {} {}",
            paused["payload"]["event_key"].as_str().unwrap_or("-"),
            paused["payload"]["contour_kind"].as_str().unwrap_or("-"),
            paused["payload"]["next_step_kind"].as_str().unwrap_or("-")
        ),
    )?;
    Ok(())
}

#[then("its agent ended with exit code 0 after one turn, and its slot is free")]
async fn agent_ended(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let id = text(&run, "id")?;
    let code = exit_code(world, &run).await?;
    world.equal(
        &["R-166", "R-86"],
        Kubernetes,
        "exit code of the agent's container",
        "pods of the run: containerStatuses[run].state.terminated.exitCode",
        0,
        code,
    )?;
    let created = world
        .gate
        .audit
        .writes("create", "jobs", &text(&run, "job_name")?)
        .await?;
    world.equal(
        &["R-166"],
        Kubernetes,
        "Jobs of the run",
        "audit log: create jobs, 2xx",
        1,
        created.len(),
    )?;
    let platform = world.platform();
    let turns = platform
        .database
        .rows(
            "SELECT to_jsonb(regexp_count(string_agg(text, '' ORDER BY id), 'session [^ ]+ on branch')) \
             FROM run_log_chunks WHERE run_id = $1::text::uuid AND stream = 'agent'",
            &[&id],
        )
        .await?;
    world.equal(
        &["R-166"],
        Postgres,
        "turns of the agent in this run",
        "run_log_chunks of the stream agent",
        1,
        turns.first().cloned().unwrap_or_default(),
    )?;
    let leased_before = await_event(world, "run.started").await?["payload"]["slot_no"].clone();
    let slots = until(
        "the end of the slot's lease",
        DECISION_DEADLINE,
        async || {
            let slots = platform
                .database
                .rows(
                    "SELECT to_jsonb(s) FROM slots s WHERE lease_owner = $1",
                    &[&id],
                )
                .await?;
            Ok(if slots.is_empty() {
                Reading::Reached(0)
            } else {
                Reading::NotYet(format!("{slots:?}"))
            })
        },
    )
    .await?;
    world.holds(
        &["R-24"],
        Postgres,
        "slot of the run at its start, and slots that it leases now",
        "flow_events run.started; slots by lease_owner",
        "a number, then none",
        format!("{leased_before}, then {slots}"),
        leased_before.is_number() && slots == 0,
    )?;
    Ok(())
}

#[then(expr = "GitHub had to refuse {int} request(s)")]
async fn refused_once(world: &mut GateWorld, count: usize, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let refused = world.gate.github.limited_requests(&place.repository);
    world.equal(
        &["R-166", "R-167"],
        Github,
        &format!("requests that met the limit: {}", refused.join(", ")),
        "journal of the stand-in",
        count,
        refused.len(),
    )?;
    Ok(())
}

#[when("GitHub's limit is over")]
async fn limit_is_over(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    world.gate.github.release(&place.repository);
    Ok(())
}

/// Moves platform time just beyond the moment of the wait that goes on first.
#[when("the wait is due")]
async fn wait_is_due(world: &mut GateWorld) -> Step {
    let run_id = text(&current_run(world).await?, "id")?;
    let platform = world.platform();
    let seconds = until("a planned wait", RUN_DEADLINE, async || {
        let due = platform
            .database
            .rows(
                "SELECT to_jsonb(ceil(extract(epoch FROM resume_not_before - platform_now()))::bigint) \
                 FROM github_rate_limit_waits \
                 WHERE run_id = $1::text::uuid AND state = 'auto_resume_scheduled' ORDER BY resume_not_before",
                &[&run_id],
            )
            .await?;
        Ok(match due.first().and_then(Value::as_i64) {
            Some(seconds) => Reading::Reached(seconds),
            None => Reading::NotYet("none".to_owned()),
        })
    })
    .await?;
    let seconds = u64::try_from(seconds).unwrap_or(0) + 1;
    Ok(platform.advance_clock(seconds).await?)
}

/// The run that goes on where the run at hand stopped; that one becomes the run before.
async fn await_continuation(world: &mut GateWorld) -> anyhow::Result<(Value, Value)> {
    let source = text(&current_run(world).await?, "id")?;
    continuation_of(world, &source).await
}

/// The run that goes on where this one stopped; it becomes the run at hand.
pub(super) async fn continuation_of(
    world: &mut GateWorld,
    source: &str,
) -> anyhow::Result<(Value, Value)> {
    let platform = world.platform();
    let new = until("the run that goes on", RUN_DEADLINE, async || {
        let found = platform
            .database
            .rows(
                "SELECT to_jsonb(r) FROM agent_runs r WHERE resumed_from_run_id = $1::text::uuid",
                &[source],
            )
            .await?;
        Ok(match found.into_iter().next() {
            Some(run) => Reading::Reached(run),
            None => {
                let run = platform.database.run(source).await?.unwrap_or_default();
                Reading::NotYet(format!(
                    "none; the run is {}, parked {}",
                    run["status"], run["parked_at"]
                ))
            }
        })
    })
    .await?;
    let source = platform.database.run(source).await?.unwrap_or_default();
    world.leave_run();
    world.set_run(new.clone());
    Ok((source, new))
}

#[then("one run goes on where it stopped, and the run before is canceled as continued")]
async fn continued(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let (source, new) = await_continuation(world).await?;
    let source_id = text(&source, "id")?;
    let waits = waits_of(world, &source_id).await?;
    let wait = waits.first().cloned().unwrap_or_default();
    let correlation = format!(
        "github-rate-limit-resume:{}",
        wait["id"].as_str().unwrap_or("-")
    );
    world.equal(
        &["R-24", "R-169"],
        Postgres,
        "the run before; the run that goes on; its wait",
        "agent_runs, github_rate_limit_waits",
        format!("canceled continued_in_resume_run; resume {correlation}; resolved"),
        format!(
            "{} {}; {} {}; {}",
            source["status"].as_str().unwrap_or("-"),
            source["finish_reason"].as_str().unwrap_or("-"),
            new["trigger_source"].as_str().unwrap_or("-"),
            new["correlation_id"].as_str().unwrap_or("-"),
            wait["state"].as_str().unwrap_or("-")
        ),
    )?;
    let events = world.platform().database.events_of_run(&source_id).await?;
    let told: Vec<String> = events
        .iter()
        .filter(|event| {
            event["event_type"].as_str().is_some_and(|kind| {
                kind.starts_with("run.wait.")
                    || kind == "run.canceled"
                    || kind.starts_with("run.failed")
            })
        })
        .map(|event| {
            let mode = event["payload"]["resume_mode"].as_str();
            let reason = event["payload"]["reason"].as_str();
            format!(
                "{}{}",
                event["event_type"].as_str().unwrap_or("-"),
                mode.or(reason)
                    .map(|what| format!(" {what}"))
                    .unwrap_or_default()
            )
        })
        .collect();
    world.equal(
        &["R-24", "DF-5"],
        Postgres,
        "events of wait and end of the run before",
        "flow_events by run id",
        "run.wait.paused, run.wait.resumed new_run, run.canceled continued_in_resume_run",
        told.join(", "),
    )?;
    Ok(())
}

#[then("its agent was told how the wait ended")]
async fn agent_was_told(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let id = text(&run, "id")?;
    let platform = world.platform();
    let said = until("the words of the agent", RUN_DEADLINE, async || {
        let found = platform
            .database
            .rows(
                "SELECT to_jsonb(substring(text FROM 'goes on after [a-z_]+')) FROM run_log_chunks \
                 WHERE run_id = $1::text::uuid AND stream = 'agent' AND text ~ 'goes on after [a-z_]+'",
                &[&id],
            )
            .await?;
        Ok(match found.first().and_then(Value::as_str) {
            Some(said) => Reading::Reached(said.to_owned()),
            None => Reading::NotYet("nothing of the kind".to_owned()),
        })
    })
    .await?;
    world.equal(
        &["R-95"],
        Postgres,
        "what the agent knew of the wait",
        "run_log_chunks of the stream agent",
        "goes on after github_rate_limit",
        said,
    )?;
    Ok(())
}

#[then("the run goes on while its status comment waits for GitHub's limit")]
async fn goes_on(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let wait = await_wait(world, "platform_pat", "auto_resume_scheduled").await?;
    await_event(world, "run.agent.ready").await?;
    let run = current_run(world).await?;
    world.equal(
        &["R-167"],
        Postgres,
        "the run, and the wait of the platform's call",
        "agent_runs, github_rate_limit_waits",
        "running, timer paused: false; run_status_comment secondary",
        format!(
            "{}, timer paused: {}; {} {}",
            run["status"].as_str().unwrap_or("-"),
            run["timeout_paused"],
            wait["operation_class"].as_str().unwrap_or("-"),
            wait["limit_kind"].as_str().unwrap_or("-")
        ),
    )?;
    let place = world.place()?;
    let writes = comments_of_platform(world)?;
    world.equal(
        &["R-167"],
        Github,
        &format!(
            "comments of the bot on {}#{}",
            place.repository, place.issue
        ),
        "journal of the stand-in: POST comments, status",
        "403",
        writes,
    )?;
    Ok(())
}

fn comments_of_platform(world: &GateWorld) -> anyhow::Result<String> {
    let place = world.place()?;
    let writes = world
        .gate
        .github
        .writes_of_platform(&place.repository, place.issue);
    let statuses: Vec<String> = writes
        .into_iter()
        .filter(|(what, _)| what == "comments")
        .map(|(_, status)| status.to_string())
        .collect();
    Ok(statuses.join(", "))
}

#[then("the status comment is written once, and the wait is resolved")]
async fn replayed_once(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let wait = await_wait(world, "platform_pat", "resolved").await?;
    world.equal(
        &["R-169"],
        Postgres,
        "attempts of the wait",
        "github_rate_limit_waits.attempts_used",
        1,
        &wait["attempts_used"],
    )?;
    let resumed = await_event(world, "run.wait.resumed").await?;
    world.equal(
        &["R-169"],
        Postgres,
        "run.wait.resumed of the run",
        "flow_events by run id",
        "platform_pat run_status_comment_retry",
        format!(
            "{} {}",
            resumed["payload"]["contour_kind"].as_str().unwrap_or("-"),
            resumed["payload"]["next_step_kind"].as_str().unwrap_or("-")
        ),
    )?;
    let writes = comments_of_platform(world)?;
    world.equal(
        &["R-167", "R-169"],
        Github,
        "comments of the bot on the Issue",
        "journal of the stand-in: POST comments, status",
        "403, 201",
        writes,
    )?;
    Ok(())
}

#[then(expr = "the wait is {string} for {int} seconds with {int} attempts")]
async fn classified(
    world: &mut GateWorld,
    kind: String,
    seconds: i64,
    attempts: i64,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    await_wait(world, "agent_bot_token", "auto_resume_scheduled").await?;
    let run_id = text(&current_run(world).await?, "id")?;
    let waits = waits_of(world, &run_id).await?;
    let wait = waits.first().cloned().unwrap_or_default();
    let delay = wait["delay"].as_i64().unwrap_or_default();
    // The end of a window is told in whole seconds of GitHub's clock, so one may be missing.
    world.holds(
        &["R-168"],
        Postgres,
        "kind, delay and attempts of the wait",
        "github_rate_limit_waits: limit_kind, resume_not_before - created_at, max_attempts",
        format!("{kind}, {seconds} s or one less, {attempts}"),
        format!(
            "{}, {delay} s, {}",
            wait["limit_kind"].as_str().unwrap_or("-"),
            wait["max_attempts"]
        ),
        waits.len() == 1
            && wait["limit_kind"] == kind
            && (seconds - 1..=seconds).contains(&delay)
            && wait["max_attempts"] == attempts,
    )?;
    let place = world.place()?;
    let refused = world.gate.github.limited_requests(&place.repository);
    world.equal(
        &["R-166"],
        Github,
        "requests that met the limit",
        "journal of the stand-in",
        1,
        refused.len(),
    )?;
    Ok(())
}

#[then("no wait for GitHub exists for the run")]
async fn no_wait(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run_id = text(&current_run(world).await?, "id")?;
    let waits = waits_of(world, &run_id).await?;
    let code = {
        let run = current_run(world).await?;
        exit_code(world, &run).await?
    };
    world.equal(
        &["R-168", "R-86"],
        Kubernetes,
        "exit code of the agent's container",
        "pods of the run: containerStatuses[run].state.terminated.exitCode",
        1,
        code,
    )?;
    world.equal(
        &["R-168"],
        Postgres,
        "waits of the run, which is over",
        "github_rate_limit_waits by run id",
        0,
        waits.len(),
    )?;
    Ok(())
}

/// Each attempt is a run of its own that meets the limit again.
#[when("every attempt meets the limit again")]
async fn attempts_fail(world: &mut GateWorld) -> Step {
    loop {
        let state = until("the wait of the run", RUN_DEADLINE, async || {
            let run_id = text(&current_run(world).await?, "id")?;
            let waits = waits_of(world, &run_id).await?;
            Ok(
                match waits.first().and_then(|wait| wait["state"].as_str()) {
                    Some(state) => Reading::Reached(state.to_owned()),
                    None => Reading::NotYet("none".to_owned()),
                },
            )
        })
        .await?;
        if state == "manual_action_required" {
            return Ok(());
        }
        wait_is_due(world).await?;
        await_continuation(world).await?;
    }
}

#[then("staff sees that the run asks for a manual action")]
async fn manual_action_shown(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let wait = await_wait(world, "agent_bot_token", "manual_action_required").await?;
    let run = current_run(world).await?;
    let id = text(&run, "id")?;
    let paused = await_event(world, "run.wait.paused").await?;
    world.equal(
        &["R-170"],
        Postgres,
        "run.wait.paused of the run, and its attempts",
        "flow_events by run id; github_rate_limit_waits",
        "manual_action_required resume_agent_session, 2 of 2",
        format!(
            "{} {}, {} of {}",
            paused["payload"]["event_key"].as_str().unwrap_or("-"),
            paused["payload"]["next_step_kind"].as_str().unwrap_or("-"),
            wait["attempts_used"],
            wait["max_attempts"]
        ),
    )?;
    let (status, answer) = world
        .platform()
        .staff
        .call(
            Method::GET,
            "/staff/runs/waits?wait_state=waiting_backpressure&page_size=1000",
            None,
        )
        .await?;
    let shown = answer["items"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|shown| shown["id"] == id.as_str())
        .cloned()
        .unwrap_or_default();
    world.holds(
        &["R-170", "R-183", "DA-7"],
        Orchestrator,
        "the run in the wait queue",
        "GET /api/v1/staff/runs/waits?wait_state=waiting_backpressure",
        "200, waiting_backpressure for this wait: Manual action required",
        format!(
            "{status}, {} for {}: {}",
            shown["status"].as_str().unwrap_or("-"),
            shown["wait_target"],
            shown["wait_text"].as_str().unwrap_or("-")
        ),
        status.is_success()
            && shown["status"] == "waiting_backpressure"
            && shown["wait_target"]["ref"] == wait["id"]
            && shown["wait_text"]
                .as_str()
                .is_some_and(|text| text.starts_with("Manual action required")),
    )?;
    Ok(())
}

/// The fence is another Issue's delivery, decided after the time has passed.
#[then("the run still waits for staff")]
async fn still_waits(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run_id = text(&current_run(world).await?, "id")?;
    fence(world).await?;
    let platform = world.platform();
    let run = platform.database.run(&run_id).await?.unwrap_or_default();
    let went_on = platform
        .database
        .rows(
            "SELECT to_jsonb(r) FROM agent_runs r WHERE resumed_from_run_id = $1::text::uuid",
            &[&run_id],
        )
        .await?;
    world.equal(
        &["R-170", "R-23"],
        Postgres,
        "the run, and runs that go on in its place",
        "agent_runs by id and resumed_from_run_id, after a fence",
        "waiting_backpressure, 0",
        format!(
            "{}, {}",
            run["status"].as_str().unwrap_or("-"),
            went_on.len()
        ),
    )?;
    Ok(())
}

async fn let_go_on(world: &mut GateWorld, email: Option<String>) -> anyhow::Result<()> {
    let wait = await_wait(world, "agent_bot_token", "manual_action_required").await?;
    let run_id = text(&current_run(world).await?, "id")?;
    let path = format!(
        "/staff/runs/{run_id}/github-waits/{}/resume",
        text(&wait, "id")?
    );
    let staff = match email {
        Some(email) => world.platform().staff.as_person(&email),
        None => world.platform().staff.clone(),
    };
    let body = json!({"reason": "GitHub answers again"});
    let (status, answer) = staff.call(Method::POST, &path, Some(body)).await?;
    world.answer = Some((status.as_u16(), answer));
    Ok(())
}

#[when("a reader lets the wait go on")]
async fn reader_lets_go_on(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let login = known_user(world, &place, Some("read")).await?;
    Ok(let_go_on(world, Some(email_of(&login))).await?)
}

#[when("the owner lets the wait go on")]
async fn owner_lets_go_on(world: &mut GateWorld) -> Step {
    Ok(let_go_on(world, None).await?)
}

#[then(expr = "the answer is {int} {string}")]
async fn answer_is(
    world: &mut GateWorld,
    status: u16,
    what: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let (seen, answer) = world.answer.clone().context("there is no answer")?;
    let said = answer["code"].as_str().or(answer["state"].as_str());
    world.equal(
        &["R-170", "G-102"],
        Orchestrator,
        "answer to the step of staff",
        "POST /api/v1/staff/runs/{run_id}/github-waits/{wait_id}/resume",
        format!("{status} {what}"),
        format!("{seen} {}", said.unwrap_or("-")),
    )?;
    Ok(())
}

#[then("another run goes on where the run stopped")]
async fn goes_on_after_staff(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let (source, new) = await_continuation(world).await?;
    world.equal(
        &["R-170", "R-24"],
        Postgres,
        "the run before, and what started the run that goes on",
        "agent_runs",
        "canceled continued_in_resume_run, resume",
        format!(
            "{} {}, {}",
            source["status"].as_str().unwrap_or("-"),
            source["finish_reason"].as_str().unwrap_or("-"),
            new["trigger_source"].as_str().unwrap_or("-")
        ),
    )?;
    Ok(())
}

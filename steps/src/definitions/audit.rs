//! What the audit tells of what happened (governance 6), and what becomes of something that cannot be audited.

use anyhow::Context;
use cucumber::{given, then, when};
use reports::audit_trail::{Flaw, ends, off_catalogue};
use reports::evidence::ObservationSource::Postgres;
use reports::spec::Specification;
use reqwest::Method;
use serde_json::Value;

use crate::{
    definitions::{
        approvals::{asking_run, number, request, signal},
        faults::announce,
        outcome::{await_end, current_run},
    },
    wait::{RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

const BEFORE: &str = "events before";
/// What PostgreSQL says to somebody who may not (SQLSTATE).
const INSUFFICIENT_PRIVILEGE: &str = "42501";
const NONE_WAITS: &str = "0 of true; 200 with 0";
/// As many as the report of an observation can show.
const FLAWS_SHOWN: usize = 5;

fn told(flaws: &[Flaw]) -> String {
    if flaws.is_empty() {
        return "nothing wrong".to_owned();
    }
    let shown: Vec<String> = flaws
        .iter()
        .take(FLAWS_SHOWN)
        .map(|flaw| format!("{}: {}", flaw.subject, flaw.problem))
        .collect();
    format!("{} wrong: {}", flaws.len(), shown.join("; "))
}

#[then("every call, request and pause on the platform comes to have one end")]
async fn ended_once(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let platform = world.platform();
    let reached = until("an end of all that was begun", RUN_DEADLINE, async || {
        let events = platform
            .database
            .rows("SELECT to_jsonb(e) FROM flow_events e ORDER BY id", &[])
            .await?;
        let found = ends(&events.iter().collect::<Vec<_>>());
        let seen = format!(
            "{} calls, {} requests, {} pauses; {}",
            found.calls,
            found.requests,
            found.pauses,
            told(&found.flaws)
        );
        let all_kinds = found.calls > 0 && found.requests > 0 && found.pauses > 0;
        Ok(if all_kinds && found.flaws.is_empty() {
            Reading::Reached(seen)
        } else {
            Reading::NotYet(seen)
        })
    })
    .await;
    let ok = reached.is_ok();
    world.holds(
        &["G-131", "G-25"],
        Postgres,
        "calls of tools, requests and pauses with their ends",
        "flow_events",
        "some of each; nothing wrong",
        reached.unwrap_or_else(|error| format!("{error:#}")),
        ok,
    )?;
    Ok(())
}

#[then("every event of the run is what the catalogue says, by an agent, a person and the system")]
async fn as_catalogued(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = asking_run(world).await?;
    let events = world.platform().database.events_of_run(&run).await?;
    let specification =
        Specification::embedded().context("failed to read the catalogue of events")?;
    let flaws = off_catalogue(&events.iter().collect::<Vec<_>>(), &specification);
    let by = |actor: &str| {
        events
            .iter()
            .filter(|event| event["actor_type"] == actor)
            .count()
    };
    let (agents, people, system) = (by("agent"), by("human"), by("system"));
    world.holds(
        &["G-129", "G-130", "DF-1", "DF-2", "DF-3"],
        Postgres,
        "events of the run against the catalogue in docs/spec",
        "flow_events by run",
        "some of an agent, a person and the system; nothing wrong",
        format!(
            "{agents} of an agent, {people} of a person, {system} of the system; {}",
            told(&flaws)
        ),
        flaws.is_empty() && agents > 0 && people > 0 && system > 0,
    )?;
    Ok(())
}

/// A fault like a stopped database: the tables are as they are, this one refuses.
#[given("the database takes no audit event of a decision")]
async fn takes_none(world: &mut GateWorld) -> Step {
    announce(world, "", "the database takes no audit event of a decision");
    let refuse = "CREATE FUNCTION gate_refuses() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no audit event of a decision'; END $$;
        CREATE TRIGGER gate_refuses BEFORE INSERT ON flow_events FOR EACH ROW
        WHEN (NEW.event_type = 'approval.approved') EXECUTE FUNCTION gate_refuses()";
    sqlx::raw_sql(refuse)
        .execute(world.platform().database.pool())
        .await
        .context("failed to let the database refuse")?;
    Ok(())
}

#[when("the database takes audit events again")]
async fn takes_again(world: &mut GateWorld) -> Step {
    sqlx::raw_sql("DROP FUNCTION gate_refuses() CASCADE")
        .execute(world.platform().database.pool())
        .await
        .context("failed to let the database take events again")?;
    Ok(())
}

#[when("the agent is done")]
async fn agent_is_done(world: &mut GateWorld) -> Step {
    asking_run(world).await?;
    Ok(signal(world).await?)
}

#[then("the links of the pull request lead to its run, the Issue and the request of its agent")]
async fn links_lead(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = await_end(world).await?;
    let place = world.place()?;
    let head = format!("codex/issue-{}", place.issue);
    let opened = place.member.pull_requests(&place.repository).await?;
    let pull_request = opened
        .iter()
        .find(|pull| pull["head"]["ref"] == head.as_str())
        .and_then(|pull| pull["number"].as_u64())
        .context("the run opened no pull request")?;
    let (id, asked) = (text(&run, "id")?, number(&request(world).await?));
    let expected = [
        format!("pr {}#{pull_request} references run {id}", place.repository),
        format!(
            "issue {}#{} references run {id}",
            place.repository, place.issue
        ),
        format!("run {id} references approval_request {asked}"),
    ];
    let found = world
        .platform()
        .database
        .rows(
            "WITH RECURSIVE reached(type, id) AS (
                 SELECT 'pr', $1::text
                 UNION
                 SELECT CASE WHEN l.source_type = r.type AND l.source_id = r.id THEN l.target_type ELSE l.source_type END,
                        CASE WHEN l.source_type = r.type AND l.source_id = r.id THEN l.target_id ELSE l.source_id END
                 FROM reached r JOIN links l ON (l.source_type, l.source_id) = (r.type, r.id)
                                             OR (l.target_type, l.target_id) = (r.type, r.id))
             SELECT DISTINCT to_jsonb(concat_ws(' ', l.source_type, l.source_id, l.link_type, l.target_type, l.target_id))
             FROM reached r JOIN links l ON (l.source_type, l.source_id) = (r.type, r.id)",
            &[&format!("{}#{pull_request}", place.repository)],
        )
        .await?;
    let mut found: Vec<&str> = found.iter().filter_map(Value::as_str).collect();
    found.sort_unstable();
    let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    expected.sort_unstable();
    world.equal(
        &["G-132"],
        Postgres,
        "what the links of the pull request lead to",
        "links, from the pull request on",
        expected.join("; "),
        found.join("; "),
    )?;
    Ok(())
}

#[when("the owner deletes the project")]
async fn deletes_project(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let run = text(&current_run(world).await?, "id")?;
    let before = world.platform().database.events_of_run(&run).await?;
    world
        .remembered
        .insert(BEFORE.to_owned(), Value::from(before).to_string());
    let staff = world.platform().staff.clone();
    let path = format!("/staff/projects/{}", place.project_id);
    let (status, answer) = staff.call(Method::DELETE, &path, None).await?;
    world.answer = Some((status.as_u16(), answer));
    Ok(())
}

#[then("the project is gone, and the events of its run are as they were")]
async fn events_remain(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let (deleted, _) = world.answer.clone().context("nothing was deleted")?;
    let staff = world.platform().staff.clone();
    let path = format!("/staff/projects/{}", place.project_id);
    let (status, _) = staff.call(Method::GET, &path, None).await?;
    let run = text(&current_run(world).await?, "id")?;
    let after = world.platform().database.events_of_run(&run).await?;
    let before = world.remembered.get(BEFORE).context("no events")?;
    let before: Vec<Value> =
        serde_json::from_str(before).context("failed to read the events before")?;
    // More may come, of what ends with the run, also one that took its number before the last of those that were
    // there; none of those goes or changes.
    let kept = before.iter().filter(|event| after.contains(event)).count();
    world.holds(
        &["G-127", "D-20"],
        Postgres,
        "the deletion and the project after it; events of its run that are as they were",
        "DELETE and GET /api/v1/staff/projects/{id}; flow_events by run",
        format!("204, 404; {0} of {0}", before.len()),
        format!("{deleted}, {}; {kept} of {}", status.as_u16(), before.len()),
        deleted == 204 && status.as_u16() == 404 && !before.is_empty() && kept == before.len(),
    )?;
    Ok(())
}

#[then("the database refuses to change, delete and empty the audit")]
async fn refuses_changes(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let platform = world.platform();
    let mut seen = Vec::new();
    for statement in [
        "UPDATE flow_events SET payload = '{}'",
        "DELETE FROM flow_events",
        "TRUNCATE flow_events",
    ] {
        let done = sqlx::query(statement)
            .execute(platform.database.pool())
            .await;
        seen.push(match done {
            Ok(done) => format!("{} rows", done.rows_affected()),
            Err(sqlx::Error::Database(error)) => error
                .code()
                .map_or_else(String::new, |code| code.into_owned()),
            Err(error) => error.to_string(),
        });
    }
    world.equal(
        &["G-127", "D-20"],
        Postgres,
        "answers to UPDATE, DELETE and TRUNCATE of flow_events",
        "SQL",
        [INSUFFICIENT_PRIVILEGE; 3].join(", "),
        seen.join(", "),
    )?;
    Ok(())
}

#[then("no request of the platform waits to be decided")]
async fn none_waits(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let platform = world.platform();
    let listed = async || {
        let path = "/staff/approvals?page_size=500";
        let (status, answer) = platform.staff.call(Method::GET, path, None).await?;
        let open = answer["items"].as_array().map_or(usize::MAX, Vec::len);
        anyhow::Ok(format!("{} with {open}", status.as_u16()))
    };
    let seen = until("an empty queue", RUN_DEADLINE, async || {
        let rows = platform
            .database
            .rows(
                "SELECT to_jsonb(count(*) FILTER (WHERE approval_state = 'requested') || ' of ' || (count(*) > 0))
                 FROM mcp_action_requests",
                &[],
            )
            .await?;
        let stored = rows.first().and_then(Value::as_str).unwrap_or("-");
        let seen = format!("{stored}; {}", listed().await?);
        Ok(if seen == NONE_WAITS {
            Reading::Reached(seen)
        } else {
            Reading::NotYet(seen)
        })
    })
    .await
    .unwrap_or_else(|error| format!("{error:#}"));
    world.equal(
        &["G-84", "G-83"],
        Postgres,
        "requests that wait, of whether there are any; those listed",
        "mcp_action_requests; GET /api/v1/staff/approvals",
        NONE_WAITS,
        seen,
    )?;
    Ok(())
}

#[then(
    "the approval is on record as the owner's by way of the chat, under one correlation until the run went on"
)]
async fn by_way_of_chat(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let request = request(world).await?;
    let run = asking_run(world).await?;
    let events = world.platform().database.events_of_run(&run).await?;
    let owner = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(id) FROM users WHERE is_platform_owner",
            &[],
        )
        .await?
        .pop()
        .context("the platform has no owner")?;
    let of_request = |event: &&Value| event["payload"]["request_id"] == number(&request);
    let first = |name: &str| {
        events
            .iter()
            .filter(|event| event["event_type"] == name)
            .find(|event| name.starts_with("run.wait.") || of_request(event))
    };
    let approved = first("approval.approved");
    let actor = approved.map_or_else(String::new, |event| {
        let who = match event["actor_id"] == owner {
            true => "the owner",
            false => "somebody else",
        };
        let way = match event["payload"]["adapter_id"].is_string() {
            true => "the chat",
            false => "no chat",
        };
        format!(
            "{} {who} by {way}",
            event["actor_type"].as_str().unwrap_or("-")
        )
    });
    let steps = [
        "approval.requested",
        "run.wait.paused",
        "approval.approved",
        "approval.applied",
        "run.wait.resumed",
    ];
    let mut correlations: Vec<&Value> = steps
        .iter()
        .filter_map(|name| first(name))
        .map(|event| &event["correlation_id"])
        .collect();
    let count = correlations.len();
    correlations.dedup();
    world.equal(
        &["G-129", "G-98"],
        Postgres,
        "who approved; from request to resume: events, correlations",
        "flow_events by run",
        format!("human the owner by the chat; {}, 1", steps.len()),
        format!("{actor}; {count}, {}", correlations.len()),
    )?;
    Ok(())
}

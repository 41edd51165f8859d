//! Databases of projects (2.4): asked for by an agent, made and removed by nobody but the platform.

use anyhow::Context;
use cucumber::{given, then, when};
use reports::evidence::ObservationSource::Postgres;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::{
    definitions::{
        agent_labels::{call, remembered},
        approvals::{asking_run, decide},
        outcome::current_run,
        privileged,
        setup::{a_running_run_with, agent_waits_for_signal},
    },
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

const TOOL: &str = "database.lifecycle";
const NAME: &str = "name of the database";
const ENVIRONMENT: &str = "dev";

/// The name that this scenario works with; no other does.
fn name(world: &mut GateWorld) -> String {
    world
        .remembered
        .entry(NAME.to_owned())
        .or_insert_with(|| {
            let unique = uuid::Uuid::new_v4().simple().to_string();
            format!("shop_{}", &unique[..8])
        })
        .clone()
}

fn arguments(world: &mut GateWorld, action: &str) -> Value {
    json!({"environment": ENVIRONMENT, "action": action, "database_name": name(world)})
}

async fn execute(world: &mut GateWorld, statement: &str) -> anyhow::Result<()> {
    let platform = world.platform();
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(platform.database.pool())
        .await
        .with_context(|| format!("failed to do: {statement}"))?;
    Ok(())
}

/// How often the server has the database; state and project of its registration.
async fn standing(world: &mut GateWorld) -> anyhow::Result<(usize, String)> {
    let name = name(world);
    let project = world.place()?.project_id;
    let database = world.platform().database.clone();
    let there = database
        .rows(
            "SELECT to_jsonb(datname) FROM pg_database WHERE datname = $1",
            &[&name],
        )
        .await?;
    let registered = database
        .rows(
            "SELECT to_jsonb(d) FROM project_databases d WHERE database_name = $1",
            &[&name],
        )
        .await?;
    let words: Vec<String> = registered
        .iter()
        .map(|row| {
            let whose = if row["project_id"] == project.as_str() {
                "ours"
            } else {
                "another's"
            };
            let word = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
            format!("{} in {}, {whose}", word("state"), word("environment"))
        })
        .collect();
    Ok((there.len(), words.join("; ")))
}

async fn working(world: &mut GateWorld) -> anyhow::Result<()> {
    agent_waits_for_signal(world).await?;
    a_running_run_with(world, "run:dev").await?;
    asking_run(world).await?;
    Ok(())
}

async fn ask(world: &mut GateWorld, action: &str) -> anyhow::Result<()> {
    let mut arguments = arguments(world, action);
    if action == "delete" {
        arguments["confirm_delete"] = json!(true);
    }
    privileged::ask(world, TOOL, arguments).await
}

async fn done(world: &mut GateWorld) -> anyhow::Result<()> {
    decide(world, None, json!({"decision": "approved"})).await?;
    privileged::await_settled(world, "applied").await
}

#[given("a run that may ask for a database")]
async fn may_ask(world: &mut GateWorld) -> Step {
    Ok(working(world).await?)
}

#[given("a run that waits for the approval of a database")]
async fn waits(world: &mut GateWorld) -> Step {
    working(world).await?;
    Ok(ask(world, "create").await?)
}

#[given("a run whose project has a database")]
async fn has_database(world: &mut GateWorld) -> Step {
    working(world).await?;
    ask(world, "create").await?;
    Ok(done(world).await?)
}

#[given("a run that waits for the approval of a deletion")]
async fn waits_for_deletion(world: &mut GateWorld) -> Step {
    working(world).await?;
    ask(world, "create").await?;
    done(world).await?;
    Ok(ask(world, "delete").await?)
}

#[given("a database of the name that nobody has registered")]
async fn unregistered(world: &mut GateWorld) -> Step {
    let statement = format!("CREATE DATABASE {}", name(world));
    Ok(execute(world, &statement).await?)
}

#[given("somebody has removed the database by hand")]
async fn removed_by_hand(world: &mut GateWorld) -> Step {
    let statement = format!("DROP DATABASE {}", name(world));
    Ok(execute(world, &statement).await?)
}

/// By hand: that one project loses against another takes two runs at once, and the loser is what is looked at.
#[given("another project has registered the name")]
#[when("another project registers the name")]
async fn registered_by_another(world: &mut GateWorld) -> Step {
    let unique = format!("other-{}", name(world).replace('_', "-"));
    let project = world
        .platform()
        .staff
        .create_project(&unique, "Another project")
        .await?;
    let name = name(world);
    let statement = format!(
        "INSERT INTO project_databases (database_name, project_id, environment, state)
         VALUES ('{name}', '{project}', '{ENVIRONMENT}', 'ready')"
    );
    Ok(execute(world, &statement).await?)
}

/// The hand of a test in the database: an update waits as long as the flag is up, as it would for a slow disk.
#[given("the platform cannot tell that a database is ready")]
async fn cannot_tell(world: &mut GateWorld) -> Step {
    let statement = "CREATE TABLE gate_hold (held boolean);
        INSERT INTO gate_hold VALUES (true);
        GRANT SELECT ON gate_hold TO PUBLIC;
        CREATE FUNCTION gate_wait() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
        BEGIN
            WHILE (SELECT held FROM gate_hold) LOOP PERFORM pg_sleep(0.05); END LOOP;
            RETURN NEW;
        END $$;
        CREATE TRIGGER gate_wait BEFORE UPDATE ON project_databases FOR EACH ROW
            WHEN (NEW.state = 'ready') EXECUTE FUNCTION gate_wait();";
    Ok(execute(world, statement).await?)
}

#[when("the database is there")]
async fn is_there(world: &mut GateWorld) -> Step {
    let name = name(world);
    let platform = world.platform();
    until("the database", DECISION_DEADLINE, async || {
        let found = platform
            .database
            .rows(
                "SELECT to_jsonb(datname) FROM pg_database WHERE datname = $1",
                &[&name],
            )
            .await?;
        Ok(if found.is_empty() {
            Reading::NotYet("none".to_owned())
        } else {
            Reading::Reached(())
        })
    })
    .await?;
    Ok(())
}

#[when("the platform can tell it again")]
async fn can_tell(world: &mut GateWorld) -> Step {
    Ok(execute(world, "UPDATE gate_hold SET held = false").await?)
}

#[when(expr = "the agent asks to {word} the database")]
async fn asks(world: &mut GateWorld, action: String) -> Step {
    let arguments = arguments(world, &action);
    call(world, TOOL, arguments).await?;
    Ok(())
}

#[when("the agent asks to delete the database and confirms it")]
async fn asks_to_delete(world: &mut GateWorld) -> Step {
    let mut arguments = arguments(world, "delete");
    arguments["confirm_delete"] = json!(true);
    call(world, TOOL, arguments).await?;
    Ok(())
}

#[when(expr = "the agent asks to {word} the database in {string}")]
async fn asks_elsewhere(world: &mut GateWorld, action: String, environment: String) -> Step {
    let mut arguments = arguments(world, &action);
    arguments["environment"] = json!(environment);
    arguments["confirm_delete"] = json!(true);
    call(world, TOOL, arguments).await?;
    Ok(())
}

#[when(expr = "the agent asks to {word} a database named {string}")]
async fn asks_for_name(world: &mut GateWorld, action: String, named: String) -> Step {
    let mut arguments = arguments(world, &action);
    let named = match named.as_str() {
        "as the platform's own, in capitals" => {
            let own = world
                .platform()
                .database
                .rows("SELECT to_jsonb(upper(current_database()))", &[])
                .await?;
            let own = own.first().and_then(Value::as_str).map(str::to_owned);
            own.context("the platform has a database")?
        }
        given => given.to_owned(),
    };
    arguments["database_name"] = json!(named);
    call(world, TOOL, arguments).await?;
    Ok(())
}

#[then(expr = "the tool tells of the database {string}")]
async fn tells(world: &mut GateWorld, expected: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let answer = remembered(world)?;
    let output = &answer["output"];
    world.equal(
        &["G-50", "G-55"],
        reports::evidence::ObservationSource::Orchestrator,
        "answer of the tool",
        "tools/call",
        expected,
        format!(
            "{}, applied: {}, exists: {}, ours: {}",
            output["message"].as_str().unwrap_or("-"),
            output["applied"],
            output["exists"],
            output["owned_by_project"]
        ),
    )?;
    Ok(())
}

/// `registered` is state, environment and owner.
#[then(expr = "the server has the database {int} times, registered as {string}")]
async fn server_has(
    world: &mut GateWorld,
    times: usize,
    registered: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let (there, seen) = standing(world).await?;
    world.equal(
        &["G-50", "G-51", "G-52", "G-54", "G-56", "D-27"],
        Postgres,
        "databases of the name on the server; registrations",
        "pg_database; project_databases",
        format!("{times}; {registered}"),
        format!("{there}; {seen}"),
    )?;
    Ok(())
}

/// `events` are those of `database.*` about the name, without their prefix.
#[then(expr = "of the database is told {string}")]
async fn is_told(world: &mut GateWorld, expected: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let name = name(world);
    let events = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(concat_ws(' ', substr(event_type, 10), payload ->> 'existed_before', payload ->> 'reason'))
             FROM flow_events WHERE payload ->> 'database_name' = $1 AND event_type LIKE 'database.%' ORDER BY id",
            &[&name],
        )
        .await?;
    let seen: Vec<&str> = events.iter().filter_map(Value::as_str).collect();
    world.equal(
        &["G-50", "G-54", "G-55", "G-56"],
        Postgres,
        "events of the database; whether it existed before",
        "flow_events: database.*",
        expected,
        seen.join(", "),
    )?;
    Ok(())
}

#[then(expr = "the run goes on, having asked {int} times")]
async fn asked(world: &mut GateWorld, times: usize, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let id = text(&run, "id")?;
    let platform = world.platform();
    let requests = platform
        .database
        .rows(
            "SELECT to_jsonb(id) FROM mcp_action_requests WHERE run_id = $1::text::uuid",
            &[&id],
        )
        .await?;
    let events = platform.database.events_of_run(&id).await?;
    let ends = events
        .iter()
        .filter(|event| event["payload"]["tool"] == TOOL)
        .filter(|event| event["event_type"] != "mcp.tool.called")
        .count();
    world.holds(
        &["G-41", "G-49", "G-53", "G-67", "G-25"],
        Postgres,
        "requests of the run; whether its calls are on record with their ends; the run",
        "mcp_action_requests, flow_events, agent_runs",
        format!("{times}; true; running"),
        format!(
            "{}; {}; {}",
            requests.len(),
            ends > times,
            run["status"].as_str().unwrap_or("-")
        ),
        requests.len() == times && ends > times && run["status"] == "running",
    )?;
    Ok(())
}

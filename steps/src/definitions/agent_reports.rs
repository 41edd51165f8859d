//! Status reports of an agent, and the protocol by which they come (G-1 to G-5, G-22, G-23, G-39, G-40).

use anyhow::Context;
use cucumber::{given, then, when};
use fixtures::stories;
use reports::evidence::ObservationSource::{Github, Orchestrator, Postgres};
use serde_json::{Value, json};

use crate::{
    agent_tools::{AgentTools, REVISION, ToolAnswer, modern, modern_headers},
    definitions::{comments::await_comment, outcome::current_run, setup},
    world::{GateWorld, Step, text},
};

const TOOL: &str = "run_status_report";
const SUMMARIES: &str = "answers of the server";
const EXPECTED: &str = "answers that are expected";
/// Longest status (G-39).
const LONGEST: usize = 100;
/// Reports at once: three times the burst of G-23, since some come back while they are served.
const FLOOD: usize = 120;
/// Burst of G-23.
const LET_IN_AT_ONCE: usize = 40;
/// One KiB above G-22.
const TOO_MANY_BYTES: usize = 257 * 1024;

fn keep(world: &mut GateWorld, answers: &[ToolAnswer]) {
    let summaries: Vec<String> = answers.iter().map(ToolAnswer::summary).collect();
    world
        .remembered
        .insert(SUMMARIES.to_owned(), summaries.join("; "));
}

fn kept(world: &GateWorld, name: &str) -> anyhow::Result<String> {
    world
        .remembered
        .get(name)
        .cloned()
        .with_context(|| format!("{name} are not known"))
}

async fn events(world: &mut GateWorld, event_type: &str) -> anyhow::Result<Vec<Value>> {
    let run = current_run(world).await?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    Ok(events
        .into_iter()
        .filter(|event| event["event_type"] == event_type)
        .collect())
}

async fn report(world: &mut GateWorld, status: &str) -> anyhow::Result<ToolAnswer> {
    let tools = AgentTools::of_run(world).await?;
    tools.call(TOOL, json!({"status": status})).await
}

#[given("a bound repository whose agent reports five times over its tools, with an open Issue")]
async fn reports_five_times(world: &mut GateWorld) -> Step {
    let texts = ["Alpha", "Alpha", "Beta", "Gamma", "Delta"];
    Ok(setup::bind(world, stories::reports_over_tools(&texts)).await?)
}

#[then("the status comment shows Delta, Gamma and Beta, the newest first, and not Alpha")]
async fn shows_three(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let found = await_comment(world, place.issue, "the status comment", |text| {
        text.contains("Delta")
    })
    .await?;
    let body = found[0]["body"].as_str().unwrap_or_default().to_owned();
    let mut places: Vec<(usize, &str)> = ["Alpha", "Beta", "Gamma", "Delta"]
        .iter()
        .filter_map(|word| body.find(word).map(|at| (at, *word)))
        .collect();
    places.sort_unstable();
    let words: Vec<&str> = places.into_iter().map(|(_, word)| word).collect();
    world.equal(
        &["G-40", "L-104"],
        Github,
        "reports in the status comment, in order",
        "GET /repos/…/issues/…/comments",
        "Delta, Gamma, Beta",
        words.join(", "),
    )?;
    let recorded = events(world, "run.agent.status_reported").await?;
    let recorded: Vec<&str> = recorded
        .iter()
        .filter_map(|event| event["payload"]["status_text"].as_str())
        .collect();
    world.equal(
        &["G-39"],
        Postgres,
        "reports on record, in order",
        "flow_events: run.agent.status_reported",
        "Alpha, Alpha, Beta, Gamma, Delta",
        recorded.join(", "),
    )?;
    Ok(())
}

#[when(expr = "the agent reports {int} characters")]
async fn reports(world: &mut GateWorld, characters: usize) -> Step {
    let answer = report(world, &"ж".repeat(characters)).await?;
    keep(world, &[answer]);
    Ok(())
}

#[then("the tool takes the report, and it is on record as the agent's with its call")]
async fn on_record(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    world.equal(
        &["G-39"],
        Orchestrator,
        "answer of the tool",
        "tools/call run_status_report",
        "ok",
        kept(world, SUMMARIES)?,
    )?;
    let run = current_run(world).await?;
    let status = "ж".repeat(LONGEST);
    let reported = events(world, "run.agent.status_reported").await?;
    let actors: Vec<String> = reported
        .iter()
        .filter(|event| event["payload"]["status_text"] == status.as_str())
        .map(|event| format!("{} {}", event["actor_type"], event["actor_id"]))
        .collect();
    world.equal(
        &["G-39", "DF-2"],
        Postgres,
        "who reported the text",
        "flow_events: run.agent.status_reported",
        format!("\"agent\" {}", run["agent_key"]),
        actors.join(", "),
    )?;
    let mut told = Vec::new();
    for kind in ["mcp.tool.called", "mcp.tool.succeeded", "mcp.tool.failed"] {
        let of_report = events(world, kind).await?;
        let count = of_report
            .iter()
            .filter(|event| event["payload"]["tool"] == TOOL)
            .count();
        told.push(count);
    }
    world.equal(
        &["G-25"],
        Postgres,
        "reports called, succeeded, failed",
        "flow_events: mcp.tool.* of run_status_report",
        "[1, 1, 0]",
        format!("{told:?}"),
    )?;
    Ok(())
}

#[when("the agent reports 101 characters, blanks, and with an unknown field")]
async fn reports_badly(world: &mut GateWorld) -> Step {
    let tools = AgentTools::of_run(world).await?;
    let mut answers = Vec::new();
    for arguments in [
        json!({"status": "ж".repeat(LONGEST + 1)}),
        json!({"status": "  \n "}),
        json!({"status": "fine", "run_id": "another"}),
    ] {
        answers.push(tools.call(TOOL, arguments).await?);
    }
    keep(world, &answers);
    Ok(())
}

#[then(expr = "the server answers {string}")]
async fn answers(world: &mut GateWorld, expected: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    world.equal(
        &["G-1", "G-3", "G-4", "G-5", "G-39"],
        Orchestrator,
        "answers of the server, in order",
        "POST /mcp",
        expected,
        kept(world, SUMMARIES)?,
    )?;
    Ok(())
}

/// That nothing was recorded of what was refused is shown by what is recorded next (E-5).
#[then(expr = "{int} calls are on record, and a report is the {int}st")]
#[then(expr = "{int} calls are on record, and a report is the {int}th")]
async fn next_is_recorded(
    world: &mut GateWorld,
    before: usize,
    next: usize,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let called = events(world, "mcp.tool.called").await?.len();
    let answer = report(world, "The next report").await?;
    let calls = events(world, "mcp.tool.called").await?.len();
    let texts: Vec<String> = events(world, "run.agent.status_reported")
        .await?
        .iter()
        .filter(|event| event["payload"]["status_text"] != "Waiting")
        .filter_map(|event| event["payload"]["status_text"].as_str())
        .map(|text| text.chars().take(20).collect())
        .collect();
    world.equal(
        &["G-2", "G-25", "G-39", "E-5"],
        Postgres,
        "calls before; the next answer; calls then; reports besides the story's",
        "flow_events: mcp.tool.called, run.agent.status_reported",
        format!("{before}; ok; {next}; The next report"),
        format!(
            "{called}; {}; {calls}; {}",
            answer.summary(),
            texts.join(", ")
        ),
    )?;
    Ok(())
}

#[when("the agent calls with each of these faults")]
async fn faults(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    let table = step.table.as_ref().context("the step has no table")?;
    let tools = AgentTools::of_run(world).await?;
    let (mut answers, mut expected) = (Vec::new(), Vec::new());
    for row in table.rows.iter().skip(1) {
        let [fault, answer] = row.as_slice() else {
            return Err(anyhow::anyhow!("a row has a fault and an answer").into());
        };
        let mut headers = modern_headers("tools/call", Some(TOOL));
        let mut message = modern(
            "tools/call",
            json!({"name": TOOL, "arguments": {"status": "x"}}),
        );
        let without = |headers: &mut Vec<(String, String)>, name: &str| {
            headers.retain(|(known, _)| known != name);
        };
        let set = |headers: &mut Vec<(String, String)>, name: &str, value: &str| {
            headers.retain(|(known, _)| known != name);
            headers.push((name.to_owned(), value.to_owned()));
        };
        let meta = &mut message["params"]["_meta"];
        match fault.as_str() {
            "another Mcp-Name" => set(&mut headers, "mcp-name", "github_labels_list"),
            "another Mcp-Method" => set(&mut headers, "mcp-method", "tools/list"),
            "no Mcp-Name" => without(&mut headers, "mcp-name"),
            "no Mcp-Method" => without(&mut headers, "mcp-method"),
            "no MCP-Protocol-Version" => without(&mut headers, "mcp-protocol-version"),
            "no revision in _meta" => {
                meta["io.modelcontextprotocol/protocolVersion"].take();
            }
            "no capabilities in _meta" => {
                if let Some(meta) = meta.as_object_mut() {
                    meta.remove("io.modelcontextprotocol/clientCapabilities");
                }
            }
            "an unknown revision" => {
                set(&mut headers, "mcp-protocol-version", "2031-01-01");
                meta["io.modelcontextprotocol/protocolVersion"] = json!("2031-01-01");
            }
            other => return Err(anyhow::anyhow!("no such fault: {other}").into()),
        }
        if fault == "no revision in _meta"
            && let Some(meta) = meta.as_object_mut()
        {
            meta.remove("io.modelcontextprotocol/protocolVersion");
        }
        let answer_seen = tools.send(&headers, &message.to_string()).await?;
        expected.push(format!("{fault}: {answer}"));
        answers.push(format!("{fault}: {}", answer_seen.summary()));
    }
    world
        .remembered
        .insert(SUMMARIES.to_owned(), answers.join("; "));
    world
        .remembered
        .insert(EXPECTED.to_owned(), expected.join("; "));
    Ok(())
}

#[then("each call is refused as the table says")]
async fn refused_as_said(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    world.equal(
        &["G-2"],
        Orchestrator,
        "answers by fault",
        "POST /mcp",
        kept(world, EXPECTED)?,
        kept(world, SUMMARIES)?,
    )?;
    Ok(())
}

#[when("the agent reports to each replica in turn, under a session that nobody opened")]
async fn each_replica(world: &mut GateWorld) -> Step {
    let tools = AgentTools::of_run(world).await?;
    let urls = world.platform().lane().mcp_replica_urls.clone();
    let mut seen = Vec::new();
    for (number, url) in urls.iter().enumerate() {
        let at = tools.at(url);
        let mut headers = modern_headers("tools/call", Some(TOOL));
        headers.push(("mcp-session-id".to_owned(), "nobody-opened-this".to_owned()));
        let arguments = json!({"status": format!("At replica {number}")});
        let message = modern("tools/call", json!({"name": TOOL, "arguments": arguments}));
        let answer = at.send(&headers, &message.to_string()).await?;
        let got = at.get().await?;
        let session = if answer.names_session {
            "a session"
        } else {
            "no session"
        };
        seen.push(format!("{} {session} {}", answer.summary(), got.status));
    }
    world
        .remembered
        .insert(SUMMARIES.to_owned(), seen.join("; "));
    Ok(())
}

#[then("both replicas took their report, named no session and refuse GET")]
async fn both_took(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    world.equal(
        &["G-1"],
        Orchestrator,
        "answer, session and status of GET, by replica",
        "POST and GET /mcp of each control-plane",
        "ok no session 405; ok no session 405",
        kept(world, SUMMARIES)?,
    )?;
    let reported = events(world, "run.agent.status_reported").await?;
    let texts: Vec<&str> = reported
        .iter()
        .filter_map(|event| event["payload"]["status_text"].as_str())
        .filter(|text| text.starts_with("At replica"))
        .collect();
    world.equal(
        &["G-1", "G-39"],
        Postgres,
        "reports on record",
        "flow_events: run.agent.status_reported",
        "At replica 0, At replica 1",
        texts.join(", "),
    )?;
    Ok(())
}

fn legacy_headers(revision: &str) -> Vec<(String, String)> {
    vec![("mcp-protocol-version".to_owned(), revision.to_owned())]
}

#[when(expr = "a client of revision {string} initializes, lists the tools and reports")]
async fn legacy(world: &mut GateWorld, revision: String) -> Step {
    let tools = AgentTools::of_run(world).await?;
    let say = |method: &str, params: Value| {
        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
    };
    let initialize = json!({
        "protocolVersion": revision,
        "capabilities": {},
        "clientInfo": {"name": "older", "version": "1"},
    });
    let headers = legacy_headers(&revision);
    let first = tools.send(&[], &say("initialize", initialize)).await?;
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    let second = tools.send(&headers, &initialized).await?;
    let listed = tools.send(&headers, &say("tools/list", json!({}))).await?;
    let call = json!({"name": TOOL, "arguments": {"status": "The older client"}});
    let called = tools.send(&headers, &say("tools/call", call)).await?;
    let modern = tools.ask("tools/list").await?;
    let names = |answer: &ToolAnswer| {
        let tools = answer.body["result"]["tools"].as_array();
        let names: Vec<&str> = tools
            .into_iter()
            .flatten()
            .filter_map(|tool| tool["name"].as_str())
            .collect();
        names.join(" ")
    };
    let negotiated = &first.body["result"]["protocolVersion"];
    world.remembered.insert(
        SUMMARIES.to_owned(),
        format!(
            "{negotiated}; {}; {}; {}",
            second.status,
            called.summary(),
            names(&listed)
        ),
    );
    world.remembered.insert(
        EXPECTED.to_owned(),
        format!("{:?}; 202; ok; {}", revision, names(&modern)),
    );
    Ok(())
}

#[then("it sees the tools that a modern client sees, and its report is on record")]
async fn legacy_sees(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let expected = kept(world, EXPECTED)?;
    world.holds(
        &["G-3"],
        Orchestrator,
        "revision, notification, call and tools of an older client",
        "POST /mcp",
        &expected,
        kept(world, SUMMARIES)?,
        expected == kept(world, SUMMARIES)? && expected.contains(TOOL),
    )?;
    let reported = events(world, "run.agent.status_reported").await?;
    let count = reported
        .iter()
        .filter(|event| event["payload"]["status_text"] == "The older client")
        .count();
    world.equal(
        &["G-3", "G-39"],
        Postgres,
        "reports of the older client on record",
        "flow_events: run.agent.status_reported",
        1,
        count,
    )?;
    Ok(())
}

#[given("a platform that speaks the newest revision of MCP only")]
async fn newest_only(world: &mut GateWorld) -> Step {
    setup::configured(world, [("CODEXK8S_MCP_SUPPORTED_VERSIONS", REVISION)]).await
}

#[when(expr = "a client of revision {string} initializes and lists the tools")]
async fn legacy_refused(world: &mut GateWorld, revision: String) -> Step {
    let tools = AgentTools::of_run(world).await?;
    let initialize = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "older", "version": "1"}},
    });
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let first = tools.send(&[], &initialize.to_string()).await?;
    let second = tools
        .send(&legacy_headers(&revision), &list.to_string())
        .await?;
    let told = |answer: &ToolAnswer| {
        let error = &answer.body["error"];
        format!("{} {}", error["code"], error["data"]["supported"])
    };
    world.remembered.insert(
        SUMMARIES.to_owned(),
        format!("{}; {}", told(&first), told(&second)),
    );
    Ok(())
}

#[then("it is refused and told what is spoken")]
async fn told_what_is_spoken(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let refusal = format!("-32022 [\"{REVISION}\"]");
    world.equal(
        &["G-3"],
        Orchestrator,
        "errors with the supported revisions",
        "POST /mcp",
        format!("{refusal}; {refusal}"),
        kept(world, SUMMARIES)?,
    )?;
    Ok(())
}

#[when("the agent asks for resources, and reports from a foreign origin")]
async fn resources_and_origin(world: &mut GateWorld) -> Step {
    let tools = AgentTools::of_run(world).await?;
    let first = tools.ask("resources/list").await?;
    let mut headers = modern_headers("tools/call", Some(TOOL));
    headers.push(("origin".to_owned(), "https://elsewhere.example".to_owned()));
    let message = modern(
        "tools/call",
        json!({"name": TOOL, "arguments": {"status": "x"}}),
    );
    let second = tools.send(&headers, &message.to_string()).await?;
    keep(world, &[first, second]);
    Ok(())
}

#[when("the agent posts 257 KiB, and then three times as many reports at once as are let in")]
async fn flood(world: &mut GateWorld) -> Step {
    let tools = AgentTools::of_run(world).await?;
    let filler = "x".repeat(TOO_MANY_BYTES);
    let large = tools.call(TOOL, json!({"status": filler})).await?;
    let calls = (0..FLOOD).map(|number| {
        let tools = tools.clone();
        async move {
            tools
                .call(TOOL, json!({"status": format!("Report {number}")}))
                .await
        }
    });
    let answers = futures::future::try_join_all(calls).await?;
    let with = |status: u16| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    world
        .remembered
        .insert(SUMMARIES.to_owned(), large.summary());
    world
        .remembered
        .insert("taken".to_owned(), with(200).to_string());
    world
        .remembered
        .insert("refused".to_owned(), with(429).to_string());
    Ok(())
}

#[then(
    "the first is too large, some of the others too many, and only those that were taken are on record"
)]
async fn only_taken(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let number = |name: &str| -> anyhow::Result<usize> {
        kept(world, name)?.parse().context("a count was kept")
    };
    let (taken, refused) = (number("taken")?, number("refused")?);
    world.holds(
        &["G-22", "G-23"],
        Orchestrator,
        "answer to 257 KiB; reports taken and refused as too many",
        "POST /mcp",
        format!("413; at least {LET_IN_AT_ONCE} with the first, and at least 1 of {FLOOD}"),
        format!("{}; {taken} and {refused}", kept(world, SUMMARIES)?),
        // The call that is too large is one of those that are let in at once.
        kept(world, SUMMARIES)? == "413"
            && taken + 1 >= LET_IN_AT_ONCE
            && refused >= 1
            && taken + refused == FLOOD,
    )?;
    let called = events(world, "mcp.tool.called").await?.len();
    world.equal(
        &["G-22", "G-23", "G-25"],
        Postgres,
        "calls on record",
        "flow_events: mcp.tool.called",
        taken,
        called,
    )?;
    Ok(())
}

//! Requests that several people decide at once: one decision counts, and the world changes once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use bootstrap::lane::ProcessKind;
use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use steps::platform::Platform;
use steps::staff::Staff;
use steps::wait::{Reading, until};
use steps::world::Gate;

use crate::runs::Runs;
use crate::{SIDE_BY_SIDE, agents};

/// How often each request is decided.
const DECISIONS: usize = 5;
const APPROVERS: usize = 10;
/// What each run asks for on its own Issue; it starts nothing.
const LABEL: &str = "mode:discussion";
/// Longest wait until everything that was approved is done.
const APPLIED_DEADLINE: Duration = Duration::from_secs(300);

/// People with tokens of their own, each at each gateway.
async fn approvers(platform: &Platform) -> anyhow::Result<Vec<Vec<Staff>>> {
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .context("failed to build the HTTP client")?;
    let gateways: Vec<String> = platform
        .lane()
        .of_kind(ProcessKind::Gateway)
        .map(|gateway| gateway.health_url.clone())
        .collect();
    let mut approvers = Vec::new();
    for number in 0..APPROVERS {
        let email = format!("approver-{number}@people.example");
        let person = json!({
            "email": email, "github_login": format!("approver-{number}"), "is_platform_admin": true,
        });
        platform
            .staff
            .expect_success(Method::POST, "/staff/users", Some(person))
            .await?;
        let token = platform
            .staff
            .as_person(&email)
            .expect_success(Method::POST, "/auth/tokens", Some(json!({"name": "bench"})))
            .await?;
        let token = token["token"].as_str().context("the person got no token")?;
        let everywhere = gateways
            .iter()
            .map(|url| Staff::new(http.clone(), url, token))
            .collect();
        approvers.push(everywhere);
    }
    Ok(approvers)
}

async fn one(platform: &Platform, query: &str, repository: &str) -> anyhow::Result<i64> {
    let rows = platform.database.rows(query, &[repository]).await?;
    rows.first()
        .and_then(Value::as_i64)
        .context("the database counted nothing")
}

/// True when as many effects as requests were seen, in the database and on GitHub.
pub async fn each_has_one_effect(
    gate: &Gate,
    platform: &Platform,
    runs: &Runs,
) -> anyhow::Result<bool> {
    let repository = runs.place.repository.as_str();
    let asking = agents(platform, runs)?;
    stream::iter(&asking)
        .map(|agent| async move {
            let asked = agent
                .call("github_labels_add", json!({"labels": [LABEL]}))
                .await?;
            anyhow::ensure!(
                asked.summary() == "approval_required",
                "a request was answered {}",
                asked.body
            );
            Ok(())
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .try_collect::<()>()
        .await?;
    let requests: Vec<Value> = platform
        .database
        .rows(
            "SELECT to_jsonb(q.id) FROM mcp_action_requests q JOIN agent_runs r ON r.id = q.run_id
             WHERE r.repository_full_name = $1 AND q.approval_state = 'requested' ORDER BY q.id",
            &[repository],
        )
        .await?;
    let requests: Vec<i64> = requests.iter().filter_map(Value::as_i64).collect();
    anyhow::ensure!(
        requests.len() == runs.all.len(),
        "{} runs made {} requests",
        runs.all.len(),
        requests.len()
    );
    let approvers = approvers(platform).await?;
    let approvers = &approvers;
    let began = Instant::now();
    let answers: Vec<Vec<String>> = stream::iter(requests.iter().enumerate())
        .map(|(number, request)| async move {
            let decisions = (0..DECISIONS).map(|decision| async move {
                let person = &approvers[(number * DECISIONS + decision) % APPROVERS];
                let staff = &person[decision % person.len()];
                let path = format!("/staff/approvals/{request}/decision");
                let (status, body) = staff
                    .call(Method::POST, &path, Some(json!({"decision": "approved"})))
                    .await?;
                let told = body["classification"].as_str().or(body["code"].as_str());
                anyhow::Ok(format!("{} {}", status.as_u16(), told.unwrap_or("-")))
            });
            try_join_all(decisions).await
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .try_collect()
        .await?;
    let decided = began.elapsed();
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for answer in answers.into_iter().flatten() {
        *told.entry(answer).or_default() += 1;
    }
    until("the end of every request", APPLIED_DEADLINE, async || {
        let open = one(
            platform,
            "SELECT to_jsonb(count(*)) FROM mcp_action_requests q JOIN agent_runs r ON r.id = q.run_id
             WHERE r.repository_full_name = $1 AND q.approval_state IN ('requested', 'approved')",
            repository,
        )
        .await?;
        Ok(match open {
            0 => Reading::Reached(()),
            open => Reading::NotYet(format!("{open} are open")),
        })
    })
    .await?;
    let applied = began.elapsed();
    let count = async |event: &str| {
        let query = format!(
            "SELECT to_jsonb(count(*)) FROM flow_events e JOIN agent_runs r ON r.id = e.run_id
             WHERE r.repository_full_name = $1 AND e.event_type = '{event}'"
        );
        one(platform, &query, repository).await
    };
    let approved = count("approval.approved").await?;
    let done = count("approval.applied").await?;
    let written: Vec<usize> = runs
        .all
        .iter()
        .map(|run| {
            let writes = gate.github.writes_of_platform(repository, run.issue);
            writes
                .iter()
                .filter(|(what, status)| what == "labels" && *status == 200)
                .count()
        })
        .collect();
    let threads = written.iter().filter(|writes| **writes > 0).count();
    let writes: usize = written.iter().sum();
    let wanted = requests.len();
    println!(
        "{wanted} requests, each decided {DECISIONS} times at once by {APPROVERS} people: {approved} approved, {done} applied, {writes} labels written on {threads} Issues; decided in {:.1} s, applied after {:.1} s",
        decided.as_secs_f64(),
        applied.as_secs_f64(),
    );
    let told: Vec<String> = told
        .iter()
        .map(|(answer, count)| format!("{count} times \"{answer}\""))
        .collect();
    println!("  the people were told {}", told.join(", "));
    let exactly = i64::try_from(wanted).unwrap_or(i64::MAX);
    Ok(approved == exactly && done == exactly && writes == wanted && threads == wanted)
}

//! Discussions under an Issue: who speaks, what the session answers, and how it ends.

use anyhow::Context;
use cucumber::{given, then, when};
use fixtures::stories;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Namespace, Pod, ResourceQuota},
    networking::v1::NetworkPolicy,
    rbac::v1::Role,
};
use kube::{Api, api::ListParams};
use reports::evidence::ObservationSource::{Github, Kubernetes, Postgres};
use serde_json::Value;

use crate::{
    definitions::{
        comments::{body, comments_of_bot},
        labels::set_label,
        namespaces::observe_deletion,
        outcome::{await_event, current_run, end_of},
        requests::fence,
        setup::{bind, signal_file},
    },
    github::Person,
    place::{delivery_after, mark},
    wait::{DECISION_DEADLINE, RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

const LABEL: &str = "mode:discussion";
/// Where a scenario keeps the discussion's run while it looks at another one.
const DISCUSSION: &str = "discussion";
/// Comments that the scenario made, in their order.
const REMARKS: &str = "remarks";

#[given("a bound repository whose agent talks, with an open Issue")]
async fn agent_talks(world: &mut GateWorld) -> Step {
    Ok(bind(world, stories::talks()).await?)
}

#[given("a bound repository whose agent talks once it may, with an open Issue")]
async fn agent_talks_later(world: &mut GateWorld) -> Step {
    let signal = signal_file(world);
    world.remembered.insert("signal".to_owned(), signal.clone());
    Ok(bind(world, stories::talks_after_signal(&signal)).await?)
}

#[when("its session listens")]
async fn session_listens(world: &mut GateWorld) -> Step {
    // The story says so once the session has looked at the thread for the first time.
    await_event(world, "run.agent.status_reported").await?;
    Ok(())
}

#[given("a discussion that has begun to talk")]
async fn has_begun_to_talk(world: &mut GateWorld) -> Step {
    begin(world).await?;
    await_answers(world, 1).await?;
    Ok(())
}

async fn begin(world: &mut GateWorld) -> anyhow::Result<()> {
    set_label(world, LABEL).await?;
    await_event(world, "run.agent.ready").await?;
    let id = world.run_id()?;
    world.remembered.insert(DISCUSSION.to_owned(), id);
    Ok(())
}

#[given("a discussion that the owner has cancelled")]
async fn cancelled_discussion(world: &mut GateWorld) -> Step {
    begin(world).await?;
    let id = discussion(world)?;
    world.platform().staff.cancel_if_open(&id).await?;
    end_of(world, &id).await?;
    Ok(())
}

fn discussion(world: &GateWorld) -> anyhow::Result<String> {
    world
        .remembered
        .get(DISCUSSION)
        .cloned()
        .context("there is no discussion")
}

#[when(expr = "the member comments {string}")]
async fn member_comments(world: &mut GateWorld, words: String) -> Step {
    let person = world.place()?.member;
    Ok(comment(world, &person, &words).await?)
}

#[when(expr = "an outsider comments {string}")]
async fn outsider_comments(world: &mut GateWorld, words: String) -> Step {
    let person = world.place()?.outsider;
    Ok(comment(world, &person, &words).await?)
}

#[when(expr = "the bot comments {string}")]
async fn bot_comments(world: &mut GateWorld, words: String) -> Step {
    let github = &world.gate.github;
    let person = Person::new(&github.bot_login(), github.as_user(&github.bot_token()));
    Ok(comment(world, &person, &words).await?)
}

#[when("the member closes the Issue")]
async fn member_closes(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    place
        .member
        .edit_issue(
            &place.repository,
            place.issue,
            serde_json::json!({"state": "closed"}),
        )
        .await?;
    Ok(())
}

async fn comment(world: &mut GateWorld, person: &Person, words: &str) -> anyhow::Result<()> {
    let place = world.place()?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    let id = person
        .comment(&place.repository, place.issue, words)
        .await?;
    let delivery = delivery_after(&gate, &place.repository, before, words, |delivery| {
        delivery.event == "issue_comment"
            && delivery.action == "created"
            && delivery.payload["comment"]["id"] == id
    })
    .await?;
    world.deliveries.push(delivery);
    world.take_run();
    let remarks = world.remembered.entry(REMARKS.to_owned()).or_default();
    if !remarks.is_empty() {
        remarks.push(' ');
    }
    remarks.push_str(&id.to_string());
    Ok(())
}

fn remarks(world: &GateWorld) -> anyhow::Result<Vec<u64>> {
    let text = world
        .remembered
        .get(REMARKS)
        .context("nobody has commented")?;
    text.split(' ')
        .map(|id| id.parse().context("a comment's id is a number"))
        .collect()
}

/// The answers of the session, oldest first.
async fn answers(world: &GateWorld) -> anyhow::Result<Vec<String>> {
    let place = world.place()?;
    let comments = comments_of_bot(world, place.issue).await?;
    Ok(comments
        .iter()
        .map(|comment| body(comment).to_owned())
        .filter(|body| body.starts_with(stories::ANSWER))
        .collect())
}

/// What an answer says, in one line without hidden parts.
fn visible(answer: &str) -> String {
    let shown = answer.split("<!--").next().unwrap_or_default();
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn await_answers(world: &GateWorld, count: usize) -> anyhow::Result<Vec<String>> {
    until("the answers of the session", RUN_DEADLINE, async || {
        let answers = answers(world).await?;
        Ok(if answers.len() >= count {
            Reading::Reached(answers)
        } else {
            Reading::NotYet(format!("{} answers", answers.len()))
        })
    })
    .await
}

fn query(world: &GateWorld) -> anyhow::Result<String> {
    let place = world.place()?;
    Ok(format!(
        "GET /repos/{}/issues/{}/comments",
        place.repository, place.issue
    ))
}

#[then("the session opens with a comment of the bot")]
async fn opens(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let seen = await_answers(world, 1).await.map_or_else(
        |error| format!("{error:#}"),
        |answers| {
            let shown: Vec<_> = answers.iter().map(|answer| visible(answer)).collect();
            shown.join(" | ")
        },
    );
    world.equal(
        &["L-105", "L-109"],
        Github,
        "answers under the Issue",
        &query(world)?,
        format!("{} 0", stories::ANSWER),
        seen,
    )?;
    Ok(())
}

#[then("a Pod talks in a leased namespace of its own, without Job, account, Role or quota")]
async fn light_namespace(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let (id, namespace) = (text(&run, "id")?, text(&run, "namespace")?);
    let kube = world.gate.kube.clone();
    let all = ListParams::default();
    let of_run = ListParams::default().labels(&format!("codex-k8s.dev/run-id={id}"));
    let pods: Api<Pod> = Api::namespaced(kube.clone(), &namespace);
    let pods = pods
        .list(&of_run)
        .await
        .context("failed to list Pods")?
        .items;
    let seen: Vec<String> = pods
        .iter()
        .map(|pod| {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.clone())
                .unwrap_or_default();
            let mounts = pod
                .spec
                .as_ref()
                .and_then(|spec| spec.automount_service_account_token)
                .unwrap_or(true);
            let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
            format!(
                "{} {phase}, owners: {}, account token: {mounts}",
                pod.metadata.name.as_deref().unwrap_or("-"),
                owners.len()
            )
        })
        .collect();
    world.equal(
        &["L-105", "R-40", "R-41", "G-108"],
        Kubernetes,
        &format!("Pods of the run in {namespace}"),
        "GET pods, label codex-k8s.dev/run-id",
        format!("codex-k8s-run-{id} Running, owners: 0, account token: false"),
        seen.join("; "),
    )?;
    let jobs: Api<Job> = Api::namespaced(kube.clone(), &namespace);
    let roles: Api<Role> = Api::namespaced(kube.clone(), &namespace);
    let quotas: Api<ResourceQuota> = Api::namespaced(kube.clone(), &namespace);
    let policies: Api<NetworkPolicy> = Api::namespaced(kube.clone(), &namespace);
    let (jobs, roles, quotas, policies) = tokio::try_join!(
        jobs.list(&all),
        roles.list(&all),
        quotas.list(&all),
        policies.list(&all)
    )
    .context("failed to list what is in the namespace")?;
    // The policies are the positive control: the same reading finds what is there.
    world.equal(
        &["R-41"],
        Kubernetes,
        &format!("Jobs, Roles, quotas in {namespace}; network policies there"),
        "GET jobs, roles, resourcequotas, networkpolicies",
        "0, 0, 0; some",
        format!(
            "{}, {}, {}; {}",
            jobs.items.len(),
            roles.items.len(),
            quotas.items.len(),
            if policies.items.is_empty() {
                "none"
            } else {
                "some"
            }
        ),
    )?;
    let namespaces: Api<Namespace> = Api::all(kube);
    let found = namespaces
        .get(&namespace)
        .await
        .context("failed to read the namespace")?;
    let labels = found.metadata.labels.unwrap_or_default();
    let annotations = found.metadata.annotations.unwrap_or_default();
    let of = |key: &str| {
        labels
            .get(&format!("codex-k8s.dev/{key}"))
            .map_or("-", String::as_str)
    };
    let leased = annotations
        .get("codex-k8s.dev/namespace-lease-expires-at")
        .is_some_and(|time| chrono::DateTime::parse_from_rfc3339(time).is_ok());
    world.equal(
        &["R-32", "R-34", "R-41", "R-45"],
        Kubernetes,
        &format!("namespace {namespace}"),
        "GET namespace",
        "purpose run, mode code-only, leased: true",
        format!(
            "purpose {}, mode {}, leased: {leased}",
            of("namespace-purpose"),
            of("runtime-mode")
        ),
    )?;
    Ok(())
}

#[then("the discussion leaves labels, branches and pull requests alone, while a stage makes them")]
async fn leaves_alone(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let other = place
        .member
        .open_issue(&place.repository, "A wish with a document", "")
        .await?;
    place
        .member
        .add_labels(&place.repository, other, &["run:intake"])
        .await?;
    until("the review of the other Issue", RUN_DEADLINE, async || {
        let labels = place.member.labels(&place.repository, other).await?;
        Ok(if labels.contains(&"state:in-review".to_owned()) {
            Reading::Reached(())
        } else {
            Reading::NotYet(labels.join(", "))
        })
    })
    .await?;
    let mut seen = Vec::new();
    let pull_requests = place.member.pull_requests(&place.repository).await?;
    for issue in [place.issue, other] {
        let branch = format!("codex/issue-{issue}");
        let pulls = pull_requests
            .iter()
            .filter(|pull| pull["head"]["ref"] == branch.as_str())
            .count();
        seen.push(format!(
            "labels [{}], branch: {}, pull requests: {pulls}",
            place
                .member
                .labels(&place.repository, issue)
                .await?
                .join(", "),
            place
                .member
                .branch_exists(&place.repository, &branch)
                .await?,
        ));
    }
    world.equal(
        &["L-105", "L-109"],
        Github,
        "the discussed Issue; the Issue of the stage",
        "GET labels, branch, pulls",
        format!(
            "labels [{LABEL}], branch: false, pull requests: 0; labels [state:in-review], branch: true, pull requests: 1"
        ),
        seen.join("; "),
    )?;
    Ok(())
}

/// Reactions of the bot on a comment, in the order in which they were set.
async fn reactions(world: &GateWorld, comment: u64) -> anyhow::Result<Vec<String>> {
    let place = world.place()?;
    let bot = world.gate.github.bot_login();
    let mut found = place
        .member
        .comment_reactions(&place.repository, comment)
        .await?;
    found.retain(|reaction| reaction["user"]["login"] == bot.as_str());
    found.sort_by_key(|reaction| reaction["id"].as_u64());
    Ok(found
        .iter()
        .filter_map(|reaction| reaction["content"].as_str().map(str::to_owned))
        .collect())
}

async fn await_reactions(world: &GateWorld, comment: u64, wanted: &[&str]) -> String {
    let reached = until("the reactions of the session", RUN_DEADLINE, async || {
        let seen = reactions(world, comment).await?;
        Ok(if seen == wanted {
            Reading::Reached(seen.join(", "))
        } else {
            Reading::NotYet(seen.join(", "))
        })
    })
    .await;
    reached.unwrap_or_else(|error| format!("{error:#}"))
}

#[then("every comment of the member was seen first and answered then")]
async fn seen_and_answered(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    for remark in remarks(world)? {
        let seen = await_reactions(world, remark, &["eyes", "+1"]).await;
        world.equal(
            &["L-108"],
            Github,
            &format!("reactions of the bot on comment {remark}, in their order"),
            "GET /repos/…/issues/comments/…/reactions",
            "eyes, +1",
            seen,
        )?;
    }
    Ok(())
}

#[then(expr = "the session has answered {string}")]
async fn has_answered(
    world: &mut GateWorld,
    expected: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    // "0 | 2" are the remarks that each answer heard.
    let count = expected.split('|').count();
    let reached = await_answers(world, count).await;
    if reached.is_ok() {
        fence(world).await?;
    }
    let heard: Vec<String> = answers(world)
        .await?
        .iter()
        .map(|answer| {
            let shown = visible(answer);
            let words = shown.strip_prefix(stories::ANSWER).unwrap_or_default();
            words.split_whitespace().next().unwrap_or("-").to_owned()
        })
        .collect();
    world.equal(
        &["L-108", "E-5"],
        Github,
        "remarks that the answers heard, one number for each answer",
        &query(world)?,
        expected,
        heard.join(" | "),
    )?;
    Ok(())
}

#[then(expr = "an answer holds {string} and none holds {string}")]
async fn holds_and_not(
    world: &mut GateWorld,
    there: String,
    absent: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let reached = until("the answer", RUN_DEADLINE, async || {
        let answers = answers(world).await?;
        Ok(if answers.iter().any(|answer| answer.contains(&there)) {
            Reading::Reached(answers)
        } else {
            Reading::NotYet(format!("{} answers", answers.len()))
        })
    })
    .await;
    let all = reached.unwrap_or_default().join("\n");
    world.equal(
        &["L-108"],
        Github,
        &format!("answers hold {there:?}, {absent:?}"),
        &query(world)?,
        "true, false",
        format!("{}, {}", all.contains(&there), all.contains(&absent)),
    )?;
    Ok(())
}

#[then(expr = "the discussion ends because of {string} and takes its Pod and namespace along")]
async fn ends(world: &mut GateWorld, reason: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = discussion(world)?;
    let run = end_of(world, &id).await?;
    world.equal(
        &["L-106", "L-107"],
        Postgres,
        "end of the discussion",
        "agent_runs.status, finish_reason",
        "canceled (discussion_stopped)",
        format!(
            "{} ({})",
            run["status"].as_str().unwrap_or("-"),
            run["finish_reason"].as_str().unwrap_or("no reason")
        ),
    )?;
    let namespace = text(&run, "namespace")?;
    observe_deletion(world, &["L-106", "L-107"], &namespace).await?;
    let pods: Api<Pod> = Api::namespaced(world.gate.kube.clone(), &namespace);
    let left = pods
        .list(&ListParams::default().labels(&format!("codex-k8s.dev/run-id={id}")))
        .await
        .context("failed to list Pods")?
        .items
        .into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .count();
    let made = world
        .gate
        .audit
        .writes("create", "pods", &format!("codex-k8s-run-{id}"))
        .await?
        .len();
    world.equal(
        &["L-107"],
        Kubernetes,
        "Pods of the discussion: made, left",
        "audit log: create pods; GET pods",
        "1, 0",
        format!("{made}, {left}"),
    )?;
    let platform = world.platform();
    let events = until("the events of the end", DECISION_DEADLINE, async || {
        let events = platform.database.events_of_run(&id).await?;
        let gone = events
            .iter()
            .any(|event| event["event_type"] == "run.namespace.delete_by_system");
        Ok(if gone {
            Reading::Reached(events)
        } else {
            Reading::NotYet(format!("{} events", events.len()))
        })
    })
    .await?;
    world.equal(
        &["L-106", "L-107"],
        Postgres,
        "stop_reason that the Pod reported; run.canceled; run.namespace.delete_by_system",
        "flow_events of the run",
        format!("{reason}; 1; 1"),
        told(&events),
    )?;
    Ok(())
}

fn told(events: &[Value]) -> String {
    let of = |kind: &str| {
        events
            .iter()
            .filter(|event| event["event_type"] == kind)
            .collect::<Vec<_>>()
    };
    let stops: Vec<_> = of("run.agent.status_reported")
        .iter()
        .filter_map(|event| event["payload"]["stop_reason"].as_str())
        .collect();
    format!(
        "{}; {}; {}",
        stops.join(", "),
        of("run.canceled").len(),
        of("run.namespace.delete_by_system").len()
    )
}

#[then("the discussion goes on")]
async fn goes_on(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = discussion(world)?;
    fence(world).await?;
    let before = answers(world).await?.len();
    let member = world.place()?.member;
    comment(world, &member, "Are you still there?").await?;
    let answered = await_answers(world, before + 1).await;
    world.equal(
        &["L-106", "L-107", "L-12"],
        Github,
        "answers to one more comment",
        &query(world)?,
        1,
        answered.map_or(0, |answers| answers.len() - before),
    )?;
    let run = world
        .platform()
        .database
        .run(&id)
        .await?
        .unwrap_or_default();
    world.equal(
        &["L-106", "L-107"],
        Postgres,
        "status of the discussion",
        "agent_runs.status",
        "running",
        run["status"].as_str().unwrap_or("-"),
    )?;
    Ok(())
}

#[then(expr = "agent {string} discusses as {string}")]
async fn agent_discusses(
    world: &mut GateWorld,
    agent: String,
    kind: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let id = text(&run, "id")?;
    world.remembered.insert(DISCUSSION.to_owned(), id.clone());
    world.equal(
        &["L-105", "L-6", "L-7"],
        Postgres,
        "agent, kind, label, mode and mode source of the run",
        "agent_runs, run_payload",
        format!("{agent}, {kind}, {LABEL}, code-only, discussion_mode"),
        format!(
            "{}, {}, {}, {}, {}",
            run["agent_key"].as_str().unwrap_or("-"),
            run["trigger_kind"].as_str().unwrap_or("-"),
            run["trigger_label"].as_str().unwrap_or("-"),
            run["runtime_mode"].as_str().unwrap_or("-"),
            run["run_payload"]["runtime"]["source"]
                .as_str()
                .unwrap_or("-")
        ),
    )?;
    await_event(world, "run.agent.ready").await?;
    let run = current_run(world).await?;
    let pod: Api<Pod> = Api::namespaced(world.gate.kube.clone(), &text(&run, "namespace")?);
    let pod = pod
        .get(&format!("codex-k8s-run-{id}"))
        .await
        .context("failed to read the Pod")?;
    let seen = pod
        .spec
        .map(|spec| spec.containers)
        .unwrap_or_default()
        .iter()
        .flat_map(|container| container.env.clone().unwrap_or_default())
        .find(|variable| variable.name == "CODEXK8S_AGENT_KEY")
        .and_then(|variable| variable.value)
        .unwrap_or_default();
    world.equal(
        &["L-105"],
        Kubernetes,
        "agent of the Pod",
        "GET pod: CODEXK8S_AGENT_KEY",
        agent,
        seen,
    )?;
    Ok(())
}

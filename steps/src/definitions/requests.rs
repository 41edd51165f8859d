//! Requests that are no label click of a permitted member: raw ones, other people, other events; and the fence.

use anyhow::Context;
use cucumber::{then, when};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reports::evidence::ObservationSource::{Answer, Github, Orchestrator, Postgres};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    definitions::comments::await_comment,
    github::Person,
    place::{Delivery, Place, delivery_after, is_labeled, mark},
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// A later, independent delivery that is fully decided (E-5): the member puts `run:intake` on a new Issue. Returns
/// the number of that Issue and the delivery. Its run has shown all it has to by existing, and is cancelled.
pub async fn fence(world: &mut GateWorld) -> anyhow::Result<(u64, Delivery)> {
    let place = world.place()?;
    let gate = world.gate.clone();
    let platform = world.platform();
    let issue = place
        .member
        .open_issue(&place.repository, "A later and independent wish", "")
        .await?;
    let before = mark(&gate, &place.repository);
    place
        .member
        .add_labels(&place.repository, issue, &["run:intake"])
        .await?;
    let delivery = delivery_after(&gate, &place.repository, before, "the fence", |delivery| {
        is_labeled(delivery, "issues", "run:intake") && delivery.payload["issue"]["number"] == issue
    })
    .await?;
    until("the decision of the fence", DECISION_DEADLINE, async || {
        let stored = platform
            .database
            .delivery(&delivery.guid)
            .await?
            .unwrap_or_default();
        Ok(
            if stored["status"]
                .as_str()
                .is_some_and(|status| status != "processing")
            {
                Reading::Reached(())
            } else {
                Reading::NotYet(stored.to_string())
            },
        )
    })
    .await?;
    if let Some(run) = platform.database.run_by_correlation(&delivery.guid).await? {
        platform.staff.cancel_if_open(&text(&run, "id")?).await?;
    }
    Ok((issue, delivery))
}

#[then("a label set on another open Issue still starts a run")]
async fn positive_control(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let (issue, _) = fence(world).await?;
    let runs = world
        .platform()
        .database
        .runs_of_issue(&place.repository, issue)
        .await?;
    world.equal(
        &["L-44", "E-5"],
        Postgres,
        &format!("runs of {}#{issue}", place.repository),
        "agent_runs by repository and Issue",
        1,
        runs.len(),
    )?;
    // A row may be all that came of the label.
    let told = await_comment(world, issue, "the status comment of the control", |_| true).await;
    world.holds(
        &["L-102", "E-5"],
        Github,
        &format!("comments of {}#{issue}", place.repository),
        "GET /repos/…/issues/…/comments",
        "a status comment",
        told.as_ref().map_or_else(
            |error| format!("{error:#}"),
            |comments| format!("{} comment", comments.len()),
        ),
        told.is_ok(),
    )?;
    Ok(())
}

#[when(expr = "a request {word} delivery id reaches the door")]
async fn without_delivery_id(world: &mut GateWorld, _without: String) -> Step {
    let place = world.place()?;
    Ok(post(
        world,
        &place,
        Malformed {
            delivery_id: false,
            ..Malformed::default()
        },
    )
    .await?)
}

#[when(expr = "a request {word} event reaches the door")]
async fn without_event(world: &mut GateWorld, _without: String) -> Step {
    let place = world.place()?;
    Ok(post(
        world,
        &place,
        Malformed {
            event: false,
            ..Malformed::default()
        },
    )
    .await?)
}

#[when(expr = "a request {word} signature reaches the door")]
async fn without_signature(world: &mut GateWorld, _without: String) -> Step {
    let place = world.place()?;
    Ok(post(
        world,
        &place,
        Malformed {
            signature: Signature::Missing,
            ..Malformed::default()
        },
    )
    .await?)
}

#[when("a request with a wrong signature reaches the door")]
async fn wrong_signature(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    Ok(post(
        world,
        &place,
        Malformed {
            signature: Signature::Wrong,
            ..Malformed::default()
        },
    )
    .await?)
}

#[when(expr = "a request of {int} bytes reaches the door")]
async fn too_large(world: &mut GateWorld, bytes: usize) -> Step {
    let place = world.place()?;
    Ok(post(
        world,
        &place,
        Malformed {
            padded_to: Some(bytes),
            ..Malformed::default()
        },
    )
    .await?)
}

#[when("a request with invalid JSON reaches the door")]
async fn invalid_json(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    Ok(post(
        world,
        &place,
        Malformed {
            valid_json: false,
            ..Malformed::default()
        },
    )
    .await?)
}

enum Signature {
    Right,
    Missing,
    Wrong,
}

/// What is wrong with a request; the default is a proper delivery.
struct Malformed {
    delivery_id: bool,
    event: bool,
    signature: Signature,
    padded_to: Option<usize>,
    valid_json: bool,
}

impl Default for Malformed {
    fn default() -> Self {
        Self {
            delivery_id: true,
            event: true,
            signature: Signature::Right,
            padded_to: None,
            valid_json: true,
        }
    }
}

async fn post(world: &mut GateWorld, place: &Place, malformed: Malformed) -> anyhow::Result<()> {
    let guid = uuid::Uuid::new_v4().to_string();
    let mut body =
        labeled_payload(world, place, "run:dev", &place.member.login, "User")?.to_string();
    if let Some(size) = malformed.padded_to {
        body.extend(std::iter::repeat_n(' ', size.saturating_sub(body.len())));
    }
    if !malformed.valid_json {
        body.truncate(body.len() / 2);
    }
    let (status, answer) = send(world, "issues", &guid, body, &malformed).await?;
    world.remembered.insert("guid".to_owned(), guid);
    world.answer = Some((status, answer));
    Ok(())
}

async fn send(
    world: &mut GateWorld,
    event: &str,
    guid: &str,
    body: String,
    malformed: &Malformed,
) -> anyhow::Result<(u16, Value)> {
    let platform = world.platform();
    let mut request = world
        .gate
        .http
        .post(platform.webhook_url())
        .header("Content-Type", "application/json");
    if malformed.delivery_id {
        request = request.header("X-GitHub-Delivery", guid);
    }
    if malformed.event {
        request = request.header("X-GitHub-Event", event);
    }
    request = match malformed.signature {
        Signature::Right => request.header(
            "X-Hub-Signature-256",
            sign(&platform.webhook_secret(), body.as_bytes())?,
        ),
        Signature::Wrong => request.header(
            "X-Hub-Signature-256",
            sign("not the secret", body.as_bytes())?,
        ),
        Signature::Missing => request,
    };
    let response = request
        .body(body)
        .send()
        .await
        .context("failed to reach the door")?;
    let status = response.status().as_u16();
    let answer = response.json().await.unwrap_or(Value::Null);
    Ok((status, answer))
}

fn sign(secret: &str, body: &[u8]) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .context("failed to use the webhook secret")?;
    mac.update(body);
    Ok(format!(
        "sha256={}",
        hex::encode(mac.finalize().into_bytes())
    ))
}

/// An `issues.labeled` payload as GitHub sends it, with a sender of choice.
fn labeled_payload(
    world: &GateWorld,
    place: &Place,
    label: &str,
    login: &str,
    kind: &str,
) -> anyhow::Result<Value> {
    let mut payload = world
        .gate
        .github
        .issue_payload(&place.repository, place.issue, "labeled")?;
    payload["label"] = json!({"id": 1, "node_id": "LA_1", "url": "", "name": label, "color": "1f6feb", "default": false, "description": null});
    if let Some(labels) = payload["issue"]["labels"].as_array_mut() {
        labels.push(payload_label(label));
    }
    payload["sender"]["login"] = json!(login);
    payload["sender"]["type"] = json!(kind);
    Ok(payload)
}

fn payload_label(label: &str) -> Value {
    json!({"id": 1, "node_id": "LA_1", "url": "", "name": label, "color": "1f6feb", "default": false, "description": null})
}

#[then(expr = "it is refused with status {int} and code {string}")]
async fn is_refused(
    world: &mut GateWorld,
    status: u16,
    code: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let (seen, answer) = world.answer.clone().context("there is no answer")?;
    world.equal(
        &["L-20", "L-21", "DA-2"],
        Answer,
        "answer of the door",
        "POST /api/v1/webhooks/github",
        format!("{status} {code}"),
        format!("{seen} {}", answer["code"].as_str().unwrap_or("-")),
    )?;
    Ok(())
}

#[then("nothing was stored for it, while a proper delivery is stored")]
async fn nothing_stored(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let guid = world
        .remembered
        .get("guid")
        .cloned()
        .context("there is no request")?;
    let (_, proper) = fence(world).await?;
    let platform = world.platform();
    let stored = platform.database.delivery(&guid).await?.is_some();
    let events = platform.database.events(&guid).await?.len();
    world.equal(
        &["L-21", "DA-12"],
        Postgres,
        "delivery row and events of the refused request",
        "webhook_deliveries, flow_events by delivery id",
        "stored: false, events: 0",
        format!("stored: {stored}, events: {events}"),
    )?;
    let stored = platform.database.delivery(&proper.guid).await?.is_some();
    world.equal(
        &["L-22", "D-2"],
        Postgres,
        "delivery row of a proper request",
        "webhook_deliveries by delivery id",
        true,
        stored,
    )?;
    Ok(())
}

#[when(expr = "an outsider sets {string} on the Issue")]
async fn an_outsider(world: &mut GateWorld, label: String) -> Step {
    Ok(crate::definitions::labels::outsider_sets(world, &label).await?)
}

#[when(expr = "the platform owner sets {string} on the Issue")]
async fn the_owner(world: &mut GateWorld, label: String) -> Step {
    let owner = world.gate.github.owner_login();
    Ok(as_somebody(world, &owner, &label).await?)
}

#[when(expr = "a bot sets {string} on the Issue")]
async fn a_bot(world: &mut GateWorld, label: String) -> Step {
    let place = world.place()?;
    let suffix: String = uuid::Uuid::new_v4()
        .simple()
        .to_string()
        .chars()
        .take(8)
        .collect();
    let login = format!("robot-{suffix}[bot]");
    world.gate.github.create_bot(&place.repository, &login)?;
    Ok(as_somebody(world, &login, &label).await?)
}

#[when(expr = "a reader sets {string} on the Issue")]
async fn a_reader(world: &mut GateWorld, label: String) -> Step {
    let place = world.place()?;
    let login = known_user(world, &place, Some("read")).await?;
    Ok(as_somebody(world, &login, &label).await?)
}

#[when(expr = "a user of another project sets {string} on the Issue")]
async fn a_foreigner(world: &mut GateWorld, label: String) -> Step {
    let place = world.place()?;
    let login = known_user(world, &place, None).await?;
    Ok(as_somebody(world, &login, &label).await?)
}

/// A platform user with GitHub access to the repository, and a role in the project or none.
pub async fn known_user(
    world: &mut GateWorld,
    place: &Place,
    role: Option<&str>,
) -> anyhow::Result<String> {
    let suffix: String = uuid::Uuid::new_v4()
        .simple()
        .to_string()
        .chars()
        .take(8)
        .collect();
    let login = format!("known-{suffix}");
    world
        .gate
        .github
        .create_collaborator(&place.repository, &login)?;
    let staff = world.platform().staff.clone();
    let user = staff
        .create_user(&crate::place::email_of(&login), &login)
        .await?;
    if let Some(role) = role {
        staff.add_member(&place.project_id, &user, role).await?;
    }
    Ok(login)
}

pub async fn as_somebody(world: &mut GateWorld, login: &str, label: &str) -> anyhow::Result<()> {
    let place = world.place()?;
    let gate = world.gate.clone();
    let token = gate.github.token_of(&place.repository, login)?;
    let person = Person::new(login, gate.github.as_user(&token));
    let before = mark(&gate, &place.repository);
    person
        .add_labels(&place.repository, place.issue, &[label])
        .await?;
    let delivery = delivery_after(&gate, &place.repository, before, label, |delivery| {
        is_labeled(delivery, "issues", label)
    })
    .await?;
    world.deliveries.push(delivery);
    Ok(())
}

#[when(expr = "somebody without a login sets {string} on the Issue")]
async fn without_login(world: &mut GateWorld, label: String) -> Step {
    let place = world.place()?;
    let payload = labeled_payload(world, &place, &label, "", "User")?;
    Ok(deliver(world, "issues", payload).await?)
}

/// Has the stand-in send a payload of our own, signed and journaled like any other.
pub async fn deliver(world: &mut GateWorld, event: &str, payload: Value) -> anyhow::Result<()> {
    let place = world.place()?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    let guid = gate.github.deliver(&place.repository, event, &payload)?;
    let delivery = delivery_after(&gate, &place.repository, before, event, |delivery| {
        delivery.guid == guid
    })
    .await?;
    world.deliveries.push(delivery);
    Ok(())
}

#[when("opening happens to the Issue")]
async fn opening(world: &mut GateWorld) -> Step {
    let mut place = world.place()?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    place.issue = place
        .member
        .open_issue(&place.repository, "One more wish", "")
        .await?;
    let delivery = delivery_after(
        &gate,
        &place.repository,
        before,
        "the opening",
        |delivery| delivery.event == "issues" && delivery.action == "opened",
    )
    .await?;
    world.deliveries.push(delivery);
    world.set_place(place);
    Ok(())
}

#[when("editing happens to the Issue")]
async fn editing(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    place
        .member
        .edit_issue(
            &place.repository,
            place.issue,
            json!({"title": "Greet every visitor"}),
        )
        .await?;
    let delivery = delivery_after(&gate, &place.repository, before, "the edit", |delivery| {
        delivery.event == "issues" && delivery.action == "edited"
    })
    .await?;
    world.deliveries.push(delivery);
    Ok(())
}

#[when(expr = "a label {string} happens to the Issue")]
async fn a_label(world: &mut GateWorld, label: String) -> Step {
    Ok(crate::definitions::labels::set_label(world, &label).await?)
}

#[when(regex = r"^an edit with U\+0000 in the title happens to the Issue$")]
async fn nul_in_title(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    let mut payload = world
        .gate
        .github
        .issue_payload(&place.repository, place.issue, "edited")?;
    payload["issue"]["title"] = json!("Greet\u{0}the visitor");
    Ok(deliver(world, "issues", payload).await?)
}

#[when(expr = "GitHub sends a {string} delivery")]
async fn github_sends(world: &mut GateWorld, event: String) -> Step {
    let place = world.place()?;
    let gate = world.gate.clone();
    let payload = gate.github.example_payload(&place.repository, &event)?;
    Ok(deliver(world, &event, payload).await?)
}

#[when(expr = "one delivery of {string} reaches both replicas at once")]
async fn both_replicas(world: &mut GateWorld, label: String) -> Step {
    let place = world.place()?;
    let platform = world.platform();
    let payload = labeled_payload(world, &place, &label, &place.member.login, "User")?.to_string();
    // The live labels must agree with the payload, as they do when a person has just clicked.
    world
        .gate
        .github
        .set_label_silently(&place.repository, place.issue, &label)
        .await?;
    let guid = uuid::Uuid::new_v4().to_string();
    let signature = sign(&platform.webhook_secret(), payload.as_bytes())?;
    let http = world.gate.http.clone();
    let to = |url: String| {
        let request = http
            .post(url)
            .header("Content-Type", "application/json")
            .header("X-GitHub-Delivery", &guid)
            .header("X-GitHub-Event", "issues")
            .header("X-Hub-Signature-256", &signature)
            .body(payload.clone());
        async move {
            let response = request.send().await.context("failed to reach a replica")?;
            let status = response.status().as_u16();
            let answer: Value = response.json().await.unwrap_or(Value::Null);
            anyhow::Ok((status, answer))
        }
    };
    let urls = platform.webhook_urls();
    let [first, second, ..] = urls.as_slice() else {
        return Err(anyhow::anyhow!("the platform has fewer than two replicas").into());
    };
    let (first, second) = tokio::try_join!(to(first.clone()), to(second.clone()))?;
    world.remembered.insert("guid".to_owned(), guid);
    world.remembered.insert(
        "answers".to_owned(),
        json!([first.1["status"], second.1["status"]]).to_string(),
    );
    Ok(())
}

#[then("it is stored once, one answer is duplicate and the Issue has exactly one run")]
async fn stored_once(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let platform = world.platform();
    let guid = world
        .remembered
        .get("guid")
        .cloned()
        .context("there is no delivery")?;
    let answers = world.remembered.get("answers").cloned().unwrap_or_default();
    let one_of_each =
        answers == "[\"accepted\",\"duplicate\"]" || answers == "[\"duplicate\",\"accepted\"]";
    world.holds(
        &["L-24"],
        Orchestrator,
        "answers of the two replicas",
        "POST /api/v1/webhooks/github on both",
        "one accepted, one duplicate",
        answers,
        one_of_each,
    )?;
    fence(world).await?;
    let rows = platform
        .database
        .rows(
            "SELECT to_jsonb(d.delivery_id) FROM webhook_deliveries d WHERE delivery_id = $1",
            &[&guid],
        )
        .await?
        .len();
    world.equal(
        &["L-24", "D-2"],
        Postgres,
        "rows of the delivery",
        "webhook_deliveries by delivery id",
        1,
        rows,
    )?;
    let runs = platform
        .database
        .runs_of_issue(&place.repository, place.issue)
        .await?;
    if let Some(run) = runs.first() {
        world.set_run(run.clone());
    }
    world.equal(
        &["L-25", "D-1"],
        Postgres,
        "runs of the Issue",
        "agent_runs by repository and Issue",
        1,
        runs.len(),
    )?;
    let comments = crate::definitions::comments::status_comments(world).await?;
    world.equal(
        &["L-24", "L-102"],
        Github,
        "status comments of the run",
        "GET /repos/…/issues/…/comments",
        1,
        comments.len(),
    )?;
    Ok(())
}

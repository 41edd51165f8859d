//! What each role may do (governance 4.1), tried by a person who has it.

use anyhow::Context;
use cucumber::{then, when};
use fixtures::stories;
use reports::evidence::ObservationSource::{Orchestrator, Postgres};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    definitions::{
        namespaces::observe_deletion,
        outcome::{await_event, current_run},
    },
    place::{email_of, unbound_repository},
    staff::Staff,
    world::{GateWorld, Step, text},
};

const ANSWERS: &str = "answers to what people do";
const PERSON: &str = "person with a role";
/// Changes that the person was refused, each of which is told of.
const REFUSALS: &str = "changes refused";
const REFUSED: u16 = 403;

/// One thing that somebody does.
struct Deed {
    /// The right that it needs, as the table has it.
    right: &'static str,
    method: Method,
    path: String,
    body: Option<Value>,
}

fn deed(right: &'static str, method: Method, path: String, body: Option<Value>) -> Deed {
    Deed {
        right,
        method,
        path,
        body,
    }
}

/// Signs in as somebody who has this role in the project, or none.
pub(super) async fn person(
    world: &mut GateWorld,
    who: &str,
    project: &str,
) -> anyhow::Result<(Staff, String)> {
    let platform = world.platform();
    let beginnings = platform.staff_of_beginnings();
    match who {
        "the owner" => {
            let owner = platform
                .database
                .rows(
                    "SELECT to_jsonb(id) FROM users WHERE is_platform_owner",
                    &[],
                )
                .await?
                .pop()
                .context("the platform has no owner")?;
            let owner = owner.as_str().context("an id is a text")?.to_owned();
            Ok((platform.staff.clone(), owner))
        }
        "an administrator of the platform" => {
            let login = format!("somebody-{}", uuid::Uuid::new_v4().simple());
            let email = email_of(&login);
            let body = json!({"email": email, "github_login": login, "is_platform_admin": true});
            let made = platform
                .staff
                .expect_success(Method::POST, "/staff/users", Some(body))
                .await?;
            Ok((platform.staff.as_person(&email), text(&made, "id")?))
        }
        _ => {
            let login = format!("somebody-{}", uuid::Uuid::new_v4().simple());
            let email = email_of(&login);
            let user = beginnings.create_user(&email, &login).await?;
            let role = match who {
                "an administrator of the project" => Some("admin"),
                "a writer" => Some("read_write"),
                "a reader" => Some("read"),
                "an outsider" => None,
                other => anyhow::bail!("nobody is called {other}"),
            };
            if let Some(role) = role {
                beginnings.add_member(project, &user, role).await?;
            }
            Ok((platform.staff.as_person(&email), user))
        }
    }
}

#[when(
    regex = r"^(the owner|an administrator of the platform|an administrator of the project|a writer|a reader|an outsider) does what people do in a project$"
)]
async fn does_everything(world: &mut GateWorld, who: String) -> Step {
    await_event(world, "run.agent.ready").await?;
    let run = text(&current_run(world).await?, "id")?;
    let place = world.place()?;
    let project = format!("/staff/projects/{}", place.project_id);
    let (staff, user) = person(world, &who, &place.project_id).await?;
    let beginnings = world.platform().staff_of_beginnings();
    let newcomer = format!("newcomer-{}", uuid::Uuid::new_v4().simple());
    let newcomer_id = beginnings
        .create_user(&email_of(&newcomer), &newcomer)
        .await?;
    let other = unbound_repository(&world.gate.clone(), stories::works()).await?;
    let (owner, name) = other
        .repository
        .split_once('/')
        .context("a repository has an owner")?;
    let token = world.gate.github.platform_token();
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let deeds = [
        deed("sees", Method::GET, format!("/staff/runs/{run}"), None),
        deed(
            "sees",
            Method::GET,
            format!("/staff/runs/{run}/events"),
            None,
        ),
        deed("sees", Method::GET, format!("/staff/runs/{run}/logs"), None),
        deed(
            "administers",
            Method::POST,
            format!("{project}/members"),
            Some(json!({"user_id": newcomer_id, "role": "read"})),
        ),
        deed(
            "administers",
            Method::POST,
            "/staff/projects".to_owned(),
            Some(json!({"slug": format!("p-{}", &unique[..10]), "name": "Another"})),
        ),
        deed(
            "works",
            Method::POST,
            format!("{project}/repositories"),
            Some(
                json!({"provider": "github", "owner": owner, "name": name, "token": token,
                        "alias": "second", "services_yaml_path": "services.yaml"}),
            ),
        ),
        deed(
            "works",
            Method::POST,
            format!("/staff/runs/{run}/cancel"),
            Some(json!({"reason": "not needed", "abandon": false})),
        ),
        deed(
            "works",
            Method::DELETE,
            format!("/staff/runs/{run}/namespace"),
            None,
        ),
        deed("deletes", Method::DELETE, project, None),
    ];
    let mut answers: Vec<(&str, Vec<u16>)> = Vec::new();
    let mut refusals = 0_usize;
    for deed in deeds {
        let changes = deed.method != Method::GET;
        let (status, answer) = staff.call(deed.method, &deed.path, deed.body).await?;
        let status = status.as_u16();
        if status >= 300 && status != REFUSED {
            let path = deed.path;
            return Err(
                anyhow::anyhow!("{path}: {who} was answered with {status}: {answer}").into(),
            );
        }
        refusals += usize::from(changes && status == REFUSED);
        match answers.last_mut() {
            Some((right, given)) if *right == deed.right => given.push(status),
            _ => answers.push((deed.right, vec![status])),
        }
    }
    let told: Vec<String> = answers
        .iter()
        .map(|(right, given)| {
            let may = given.iter().all(|status| *status != REFUSED);
            let may_not = given.iter().all(|status| *status == REFUSED);
            match (may, may_not) {
                (true, _) => (*right).to_owned(),
                (_, true) => format!("not {right}"),
                _ => format!("{right} in part ({given:?})"),
            }
        })
        .collect();
    world.remembered.insert(ANSWERS.to_owned(), told.join(", "));
    world.remembered.insert(PERSON.to_owned(), user);
    world
        .remembered
        .insert(REFUSALS.to_owned(), refusals.to_string());
    Ok(())
}

#[then(expr = "of all that the person {string}, and each refused change is on record")]
async fn as_the_table_says(
    world: &mut GateWorld,
    expected: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let answers = world.remembered.get(ANSWERS).cloned().unwrap_or_default();
    world.equal(
        &["G-100", "G-102", "G-104", "G-105"],
        Orchestrator,
        "what the person may do and may not do",
        "GET runs, events, logs; POST members, projects; POST repositories, cancel, DELETE namespace; DELETE project",
        &expected,
        answers,
    )?;
    let user = world.remembered.get(PERSON).cloned().unwrap_or_default();
    let refusals = world.remembered.get(REFUSALS).cloned().unwrap_or_default();
    let project = world.place()?.project_id;
    // The owner acts in other scenarios, too; the others are of this one only.
    let told = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(concat_ws(' ', e.payload ->> 'entity', e.payload ->> 'action'))
             FROM flow_events e JOIN users u ON u.id::text = e.actor_id
             WHERE e.event_type = 'access.denied' AND e.actor_id = $1
               AND (e.project_id::text = $2 OR NOT u.is_platform_owner) ORDER BY e.id",
            &[&user, &project],
        )
        .await?;
    let seen = told.len().to_string();
    world.holds(
        &["G-107"],
        Postgres,
        "changes that the person was refused",
        "flow_events access.denied of the person",
        &refusals,
        format!("{seen}: {told:?}"),
        seen == refusals,
    )?;
    Ok(())
}

#[then("the run is canceled, and its namespace goes")]
async fn namespace_goes(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.canceled").await?;
    let run = current_run(world).await?;
    let namespace = text(&run, "namespace")?;
    observe_deletion(world, &["G-102"], &namespace).await?;
    Ok(())
}

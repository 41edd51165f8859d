//! What people other than the member do: the approver, and the member on both threads.

use anyhow::Context;
use cucumber::{given, when};

use crate::{
    github::Person,
    place::{Delivery, delivery_after, mark},
    world::{GateWorld, Step},
};

/// Number of the thread that a sentence names.
///
/// # Errors
/// When the scenario has no such thread.
pub fn thread(world: &GateWorld, name: &str) -> anyhow::Result<u64> {
    match name {
        "pull request" => world
            .pull_request
            .context("the scenario has no pull request"),
        _ => Ok(world.place()?.issue),
    }
}

/// Who a sentence names. The approver is the maintainer of the repository, who becomes an administrator of the project
/// when the scenario first speaks of an approver (L-76).
///
/// # Errors
/// When the staff API refuses.
pub async fn person(world: &mut GateWorld, name: &str) -> anyhow::Result<Person> {
    let place = world.place()?;
    if name != "approver" {
        return Ok(match name {
            "maintainer" => place.maintainer,
            "outsider" => place.outsider,
            _ => place.member,
        });
    }
    let known = format!("approver of {}", place.repository);
    if !world.remembered.contains_key(&known) {
        let staff = world.platform().staff.clone();
        let login = place.maintainer.login.clone();
        let user = staff
            .create_user(&format!("{login}@people.example"), &login)
            .await?;
        staff.add_member(&place.project_id, &user, "admin").await?;
        world.remembered.insert(known, user);
    }
    Ok(place.maintainer)
}

/// Whether the delivery reports this change of a label on this thread.
pub fn reports(delivery: &Delivery, action: &str, number: u64, label: &str) -> bool {
    let thread = match delivery.event.as_str() {
        "issues" => &delivery.payload["issue"],
        "pull_request" => &delivery.payload["pull_request"],
        _ => return false,
    };
    delivery.action == action
        && thread["number"] == number
        && delivery.payload["label"]["name"] == label
}

/// Somebody sets a label on a thread; the scenario looks at its delivery next.
///
/// # Errors
/// When GitHub refuses, or no delivery came.
pub async fn set_by(
    world: &mut GateWorld,
    somebody: &Person,
    number: u64,
    label: &str,
) -> anyhow::Result<()> {
    let place = world.place()?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    somebody
        .add_labels(&place.repository, number, &[label])
        .await?;
    let delivery = delivery_after(&gate, &place.repository, before, label, |delivery| {
        reports(delivery, "labeled", number, label)
    })
    .await?;
    world.deliveries.push(delivery);
    Ok(())
}

/// Somebody removes a label from a thread; the scenario looks at its delivery next.
///
/// # Errors
/// When GitHub refuses, or no delivery came.
pub async fn remove_by(
    world: &mut GateWorld,
    somebody: &Person,
    number: u64,
    label: &str,
) -> anyhow::Result<()> {
    let place = world.place()?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    somebody
        .remove_label(&place.repository, number, label)
        .await?;
    let delivery = delivery_after(&gate, &place.repository, before, label, |delivery| {
        reports(delivery, "unlabeled", number, label)
    })
    .await?;
    world.deliveries.push(delivery);
    Ok(())
}

#[when(regex = r#"^the (approver|maintainer) sets "([^"]+)" on the (Issue|pull request)$"#)]
#[given(regex = r#"^the (approver|maintainer) has set "([^"]+)" on the (Issue|pull request)$"#)]
async fn sets(world: &mut GateWorld, who: String, label: String, on: String) -> Step {
    let somebody = person(world, &who).await?;
    let number = thread(world, &on)?;
    set_by(world, &somebody, number, &label).await?;
    world.leave_run();
    Ok(())
}

/// A refused label stays or has been taken back: it is set anew.
#[when(regex = r#"^the (approver|maintainer) sets "([^"]+)" on the (Issue|pull request) again$"#)]
async fn sets_again(world: &mut GateWorld, who: String, label: String, on: String) -> Step {
    let somebody = person(world, &who).await?;
    let number = thread(world, &on)?;
    let place = world.place()?;
    if somebody
        .labels(&place.repository, number)
        .await?
        .contains(&label)
    {
        remove_by(world, &somebody, number, &label).await?;
    }
    set_by(world, &somebody, number, &label).await?;
    world.leave_run();
    Ok(())
}

/// Beside a run that the scenario goes on looking at.
#[when(expr = "the member sets {string} on the Issue beside the run")]
#[given(expr = "the member has set {string} on the Issue beside the run")]
async fn sets_beside(world: &mut GateWorld, label: String) -> Step {
    let member = person(world, "member").await?;
    let number = thread(world, "Issue")?;
    Ok(set_by(world, &member, number, &label).await?)
}

#[when(expr = "the member replaces {string} by {string} on the Issue")]
async fn replaces(world: &mut GateWorld, removed: String, set: String) -> Step {
    let member = person(world, "member").await?;
    let number = thread(world, "Issue")?;
    remove_by(world, &member, number, &removed).await?;
    set_by(world, &member, number, &set).await?;
    world.leave_run();
    Ok(())
}

#[when(expr = "the member removes {string} from the pull request")]
async fn removes_from_pull_request(world: &mut GateWorld, label: String) -> Step {
    let member = person(world, "member").await?;
    let number = thread(world, "pull request")?;
    Ok(remove_by(world, &member, number, &label).await?)
}

#[when(regex = r"^the (member|approver|outsider) comments on the (Issue|pull request)$")]
async fn comments(world: &mut GateWorld, who: String, on: String) -> Step {
    let somebody = person(world, &who).await?;
    let number = thread(world, &on)?;
    let place = world.place()?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    somebody
        .comment(&place.repository, number, "It is as it should be.")
        .await?;
    let delivery = delivery_after(
        &gate,
        &place.repository,
        before,
        "the comment",
        |delivery| {
            delivery.event == "issue_comment"
                && delivery.payload["issue"]["number"] == number
                && delivery.payload["comment"]["user"]["login"] == somebody.login.as_str()
        },
    )
    .await?;
    world.deliveries.push(delivery);
    Ok(())
}

#[given("the approver has approved the pull request in a review")]
#[when("the approver approves the pull request in a review")]
async fn approves(world: &mut GateWorld) -> Step {
    review(world, "approver", "APPROVE", "This is what we wanted.").await?;
    Ok(())
}

#[when("an outsider requests changes on the pull request")]
async fn outsider_requests_changes(world: &mut GateWorld) -> Step {
    review(world, "outsider", "REQUEST_CHANGES", "I do not like it.").await?;
    world.leave_run();
    Ok(())
}

async fn review(world: &mut GateWorld, who: &str, verdict: &str, text: &str) -> anyhow::Result<()> {
    let somebody = person(world, who).await?;
    let number = thread(world, "pull request")?;
    let place = world.place()?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    somebody
        .review(&place.repository, number, verdict, text)
        .await?;
    let delivery = delivery_after(&gate, &place.repository, before, "the review", |delivery| {
        delivery.event == "pull_request_review" && delivery.action == "submitted"
    })
    .await?;
    world.deliveries.push(delivery);
    Ok(())
}

#[when("the maintainer merges the pull request")]
async fn merges(world: &mut GateWorld) -> Step {
    closing(world, true).await
}

#[given("the maintainer has closed the pull request")]
#[when("the maintainer closes the pull request without merging it")]
async fn closes(world: &mut GateWorld) -> Step {
    closing(world, false).await
}

async fn closing(world: &mut GateWorld, merge: bool) -> Step {
    let number = thread(world, "pull request")?;
    let place = world.place()?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    if merge {
        place.maintainer.merge(&place.repository, number).await?;
    } else {
        place
            .maintainer
            .edit_issue(
                &place.repository,
                number,
                serde_json::json!({"state": "closed"}),
            )
            .await?;
    }
    let delivery = delivery_after(
        &gate,
        &place.repository,
        before,
        "the closing",
        |delivery| delivery.event == "pull_request" && delivery.action == "closed",
    )
    .await?;
    world.deliveries.push(delivery);
    Ok(())
}

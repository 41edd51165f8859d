//! Labels on Issues and pull requests.

use cucumber::{given, then, when};
use reports::evidence::ObservationSource::{Github, Postgres};
use serde_json::Value;

use crate::{
    place::{delivery_after, is_labeled, mark},
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step},
};

fn is_trigger_label(label: &str) -> bool {
    crate::expected::trigger_labels()
        .iter()
        .any(|trigger| trigger == label)
}

/// The member sets `label` on the Issue; remembers the delivery and the run it made, if any.
pub async fn set_label(world: &mut GateWorld, label: &str) -> anyhow::Result<()> {
    let place = world.place()?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    place
        .member
        .add_labels(&place.repository, place.issue, &[label])
        .await?;
    let delivery = delivery_after(&gate, &place.repository, before, label, |delivery| {
        is_labeled(delivery, "issues", label)
    })
    .await?;
    world.deliveries.push(delivery);
    world.leave_run();
    Ok(())
}

#[when(expr = "the member opens another Issue and sets {string} on it")]
async fn sets_on_another(world: &mut GateWorld, label: String) -> Step {
    let mut place = world.place()?;
    place.issue = place
        .member
        .open_issue(&place.repository, "Greet the next visitor", "")
        .await?;
    world.set_place(place);
    world.leave_run();
    set_label(world, &label).await?;
    Ok(())
}

#[when(expr = "the member sets {string} on the Issue")]
async fn member_sets(world: &mut GateWorld, label: String) -> Step {
    Ok(set_label(world, &label).await?)
}

#[when(expr = "the member sets {string} on the first Issue")]
async fn member_sets_on_first(world: &mut GateWorld, label: String) -> Step {
    let mut place = world.place()?;
    place.issue = 1;
    world.set_place(place);
    Ok(set_label(world, &label).await?)
}

#[when(expr = "its member sets {string} on the Issue")]
async fn its_member_sets(world: &mut GateWorld, label: String) -> Step {
    Ok(set_label(world, &label).await?)
}

#[given(expr = "the member has set {string} on the Issue")]
async fn member_has_set(world: &mut GateWorld, label: String) -> Step {
    Ok(set_label(world, &label).await?)
}

#[when(expr = "the member sets the foreign label {string} on the Issue")]
async fn member_sets_foreign(world: &mut GateWorld, label: String) -> Step {
    Ok(set_label(world, &label).await?)
}

#[given(expr = "the member has set the foreign label {string} on the Issue")]
async fn member_has_set_foreign(world: &mut GateWorld, label: String) -> Step {
    Ok(set_label(world, &label).await?)
}

#[when(expr = "the member sets {string} on the Issue again")]
async fn member_sets_again(world: &mut GateWorld, label: String) -> Step {
    world.previous_run = world.take_run();
    let place = world.place()?;
    if place
        .member
        .labels(&place.repository, place.issue)
        .await?
        .contains(&label)
    {
        place
            .member
            .remove_label(&place.repository, place.issue, &label)
            .await?;
    }
    Ok(set_label(world, &label).await?)
}

#[given(expr = "an outsider has set {string} on the Issue")]
async fn outsider_has_set(world: &mut GateWorld, label: String) -> Step {
    Ok(outsider_sets(world, &label).await?)
}

/// The outsider sets `label` on the Issue: it is refused and stays on the Issue.
pub async fn outsider_sets(world: &mut GateWorld, label: &str) -> anyhow::Result<()> {
    let place = world.place()?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    place
        .outsider
        .add_labels(&place.repository, place.issue, &[label])
        .await?;
    let delivery = delivery_after(&gate, &place.repository, before, label, |delivery| {
        is_labeled(delivery, "issues", label)
    })
    .await?;
    world.deliveries.push(delivery);
    Ok(())
}

#[given(expr = "the member has set {string} on the pull request")]
async fn member_has_set_on_pull_request(world: &mut GateWorld, label: String) -> Step {
    Ok(set_label_on_pull_request(world, &label).await?)
}

#[when(expr = "the member sets {string} on the pull request")]
async fn member_sets_on_pull_request(world: &mut GateWorld, label: String) -> Step {
    Ok(set_label_on_pull_request(world, &label).await?)
}

async fn set_label_on_pull_request(world: &mut GateWorld, label: &str) -> anyhow::Result<()> {
    let place = world.place()?;
    let gate = world.gate.clone();
    let number = world
        .pull_request
        .ok_or_else(|| anyhow::anyhow!("the scenario has no pull request"))?;
    let before = mark(&gate, &place.repository);
    place
        .member
        .add_labels(&place.repository, number, &[label])
        .await?;
    let delivery = delivery_after(&gate, &place.repository, before, label, |delivery| {
        is_labeled(delivery, "pull_request", label)
    })
    .await?;
    world.deliveries.push(delivery);
    Ok(())
}

#[when(expr = "the member sets {string} and {string} in one click")]
async fn member_sets_two(world: &mut GateWorld, first: String, second: String) -> Step {
    let place = world.place()?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    place
        .member
        .add_labels(&place.repository, place.issue, &[&first, &second])
        .await?;
    for label in [first, second] {
        let delivery = delivery_after(&gate, &place.repository, before, &label, |delivery| {
            is_labeled(delivery, "issues", &label)
        })
        .await?;
        world.deliveries.push(delivery);
    }
    Ok(())
}

#[when(expr = "the member removes {string} and sets {string} again")]
async fn member_removes_and_sets(world: &mut GateWorld, removed: String, set: String) -> Step {
    let place = world.place()?;
    place
        .member
        .remove_label(&place.repository, place.issue, &removed)
        .await?;
    place
        .member
        .remove_label(&place.repository, place.issue, &set)
        .await?;
    Ok(set_label(world, &set).await?)
}

#[given(expr = "the label {string} of the repository is renamed to {string}")]
async fn label_is_renamed(world: &mut GateWorld, label: String, new_name: String) -> Step {
    let place = world.place()?;
    place
        .maintainer
        .rename_label(&place.repository, &label, &new_name)
        .await?;
    Ok(())
}

#[then("the Issue and the pull request are in review without a trigger label")]
async fn in_review(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let pull_request = crate::definitions::pull_requests::number_of_branch(world).await?;
    for (subject, number) in [("Issue", place.issue), ("pull request", pull_request)] {
        let seen = until(
            &format!("the labels of the {subject}"),
            DECISION_DEADLINE,
            async || {
                let labels = place.member.labels(&place.repository, number).await?;
                let reached = labels.contains(&"state:in-review".to_owned())
                    && !labels.iter().any(|label| is_trigger_label(label));
                Ok(if reached {
                    Reading::Reached(labels)
                } else {
                    Reading::NotYet(labels.join(", "))
                })
            },
        )
        .await;
        let (ok, seen) = match seen {
            Ok(labels) => (true, labels.join(", ")),
            Err(error) => (false, format!("{error:#}")),
        };
        world.holds(
            &["L-72", "L-73"],
            Github,
            &format!("labels of the {subject} {}#{number}", place.repository),
            &format!("GET /repos/{}/issues/{number}/labels", place.repository),
            "state:in-review, no trigger label",
            seen,
            ok,
        )?;
    }
    Ok(())
}

#[then("the trigger label has left the Issue, which is not in review")]
async fn not_in_review(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let run = world.run()?;
    await_labels_settled(world, &run).await?;
    let labels = place.member.labels(&place.repository, place.issue).await?;
    let ok = !labels
        .iter()
        .any(|label| is_trigger_label(label) || label == "state:in-review");
    world.holds(
        &["L-72", "L-73"],
        Github,
        &format!("labels of the Issue {}#{}", place.repository, place.issue),
        &format!(
            "GET /repos/{}/issues/{}/labels",
            place.repository, place.issue
        ),
        "no trigger label, no state:in-review",
        format!("[{}]", labels.join(", ")),
        ok,
    )?;
    Ok(())
}

/// Waits until the label effects of a run's end were performed, so that absence can be read after them.
pub async fn await_labels_settled(world: &mut GateWorld, run: &Value) -> anyhow::Result<()> {
    let platform = world.platform();
    let id = crate::world::text(run, "id")?;
    until("the label effects of the run", DECISION_DEADLINE, async || {
        let open = platform
            .database
            .rows("SELECT to_jsonb(o) FROM outbox_effects o WHERE run_id = $1::text::uuid AND state = 'pending' AND kind LIKE '%label%'", &[&id])
            .await?;
        Ok(if open.is_empty() { Reading::Reached(()) } else { Reading::NotYet(format!("{} pending", open.len())) })
    })
    .await
}

#[then(expr = "the Issue still carries {string}")]
async fn still_carries(world: &mut GateWorld, label: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let labels = place.member.labels(&place.repository, place.issue).await?;
    world.holds(
        &["L-3"],
        Github,
        "labels of the Issue",
        &format!(
            "GET /repos/{}/issues/{}/labels",
            place.repository, place.issue
        ),
        &label,
        labels.join(", "),
        labels.contains(&label),
    )?;
    Ok(())
}

#[then(expr = "the Issue does not carry {string}")]
async fn does_not_carry(
    world: &mut GateWorld,
    label: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let place = world.place()?;
    // The conflict comment comes after any label of the same delivery (L-43); it was read in the step before.
    let labels = place.member.labels(&place.repository, place.issue).await?;
    world.holds(
        &["L-42"],
        Github,
        "labels of the Issue",
        &format!(
            "GET /repos/{}/issues/{}/labels",
            place.repository, place.issue
        ),
        format!("not {label}, but the labels that people set"),
        labels.join(", "),
        !labels.contains(&label) && !labels.is_empty(),
    )?;
    Ok(())
}

#[then(expr = "the pull request carries {string}")]
async fn pull_request_carries(
    world: &mut GateWorld,
    label: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let place = world.place()?;
    let number = world
        .pull_request
        .ok_or_else(|| anyhow::anyhow!("the scenario has no pull request"))?;
    let seen = until(
        "the label of the pull request",
        DECISION_DEADLINE,
        async || {
            let labels = place.member.labels(&place.repository, number).await?;
            Ok(if labels.contains(&label) {
                Reading::Reached(labels.join(", "))
            } else {
                Reading::NotYet(labels.join(", "))
            })
        },
    )
    .await;
    let (ok, seen) = seen.map_or_else(|error| (false, format!("{error:#}")), |seen| (true, seen));
    world.holds(
        &["L-42", "L-59"],
        Github,
        "labels of the pull request",
        &format!("GET /repos/{}/issues/{number}/labels", place.repository),
        &label,
        seen,
        ok,
    )?;
    Ok(())
}

#[then(expr = "the run's trigger is {string}")]
async fn trigger_is(world: &mut GateWorld, label: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = crate::definitions::outcome::current_run(world).await?;
    world.equal(
        &["L-2"],
        Postgres,
        "trigger label of the run",
        "agent_runs.trigger_label",
        label,
        run["trigger_label"].as_str().unwrap_or("-"),
    )?;
    Ok(())
}

#[then(expr = "the run's kind is {string}")]
async fn kind_is(world: &mut GateWorld, kind: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = crate::definitions::outcome::current_run(world).await?;
    world.equal(
        &["L-2", "L-4"],
        Postgres,
        "kind of the run",
        "agent_runs.trigger_kind",
        kind,
        run["trigger_kind"].as_str().unwrap_or("-"),
    )?;
    Ok(())
}

#[when(expr = "the member removes {string} from the Issue")]
async fn member_removes(world: &mut GateWorld, label: String) -> Step {
    let place = world.place()?;
    Ok(crate::definitions::people::remove_by(world, &place.member, place.issue, &label).await?)
}

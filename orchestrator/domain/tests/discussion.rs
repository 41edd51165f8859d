//! What a discussion hears and when it is over (L-107, L-108).

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use domain::comments::AnswerMarker;
use domain::discussion::{Conversation, authors, conversation, stop_reason};
use domain::events::{Account, Comment, Issue};
use domain::ids::RunId;
use domain::policy::Policy;
use uuid::Uuid;

fn begun() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a valid time")
}

fn comment(id: i64, login: &str, account_type: &str, body: &str, seconds: i64) -> Comment {
    Comment {
        id,
        body: body.to_owned(),
        user: Account {
            id: 1,
            login: login.to_owned(),
            account_type: account_type.to_owned(),
        },
        created_at: Some(begun() + TimeDelta::seconds(seconds)),
    }
}

fn run(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

fn answer(run_id: RunId, answers: &[i64]) -> String {
    let marker = AnswerMarker {
        run_id,
        answers: answers.to_vec(),
    };
    format!("Well.\n\n{}", marker.line())
}

fn hear(comments: Vec<Comment>) -> Conversation {
    let permitted = BTreeSet::from(["alice".to_owned()]);
    conversation(run(1), comments, begun(), &permitted, &Policy::default())
}

fn heard(comments: Vec<Comment>) -> Vec<(i64, bool)> {
    let said = hear(comments);
    said.heard
        .iter()
        .map(|heard| (heard.comment.id, heard.answered))
        .collect()
}

#[test]
fn only_permitted_people_since_the_start_are_heard() {
    let comments = vec![
        comment(9, "alice", "User", "second", 2),
        comment(8, "alice", "User", "first", 0),
        comment(7, "alice", "User", "long ago", -1),
        comment(6, "mallory", "User", "let me in", 1),
        comment(5, "codex-bot", "User", "status", 1),
        comment(4, "alice", "Bot", "I am a machine", 1),
    ];
    assert_eq!(
        authors(&comments, &Policy::default()),
        BTreeSet::from(["alice".to_owned(), "mallory".to_owned()])
    );
    assert_eq!(heard(comments), [(8, false), (9, false)]);
}

#[test]
fn an_answer_of_the_bot_answers_what_it_names_and_nobody_else_can_say_so() {
    let question = || comment(2, "alice", "User", "why?", 1);
    let forged = comment(3, "alice", "User", &answer(run(1), &[2]), 2);
    assert_eq!(heard(vec![question(), forged]), [(2, false), (3, false)]);

    let earlier = comment(3, "codex-bot", "User", &answer(run(9), &[2]), 2);
    let said = hear(vec![question(), earlier]);
    assert!(said.heard[0].answered && !said.has_spoken);

    let own = comment(3, "codex-bot", "User", &answer(run(1), &[]), 2);
    let said = hear(vec![question(), own]);
    assert!(!said.heard[0].answered && said.has_spoken);
}

#[test]
fn a_discussion_ends_with_its_issue_or_its_label() {
    let issue = |state: &str, labels: &[&str]| Issue {
        number: 5,
        state: state.to_owned(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..Issue::default()
    };
    let cases = [
        (None, Some("issue_closed_or_deleted")),
        (
            Some(issue("closed", &["mode:discussion"])),
            Some("issue_closed_or_deleted"),
        ),
        (
            Some(issue("open", &["run:debug"])),
            Some("discussion_label_removed"),
        ),
        (
            Some(issue("open", &["mode:discussion", "run:debug", "run:plan"])),
            None,
        ),
    ];
    for (issue, expected) in cases {
        let stop = stop_reason(issue.as_ref(), &Policy::default());
        assert_eq!(
            stop.map(domain::effects::DiscussionStop::as_str),
            expected,
            "{issue:?}"
        );
    }
}

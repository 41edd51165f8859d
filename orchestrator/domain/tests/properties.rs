//! Laws that hold for every input.

mod support;

use std::collections::BTreeMap;

use domain::decide::Outcome;
use domain::effects::{Effect, EffectPlan, LabelOrigin};
use domain::events::Thread;
use domain::labels::{Catalogue, CatalogueError, CatalogueLabel};
use domain::redaction::{REDACTED, Redactor};
use domain::runs::{FinishReason, RunEnd, RunStatus};
use domain::stages::TriggerKind;
use domain::transitions::after_run;
use proptest::prelude::*;
use support::*;

fn any_label() -> impl Strategy<Value = String> {
    let catalogue: Vec<String> = CatalogueLabel::all()
        .into_iter()
        .map(CatalogueLabel::default_name)
        .collect();
    prop_oneof![
        4 => proptest::sample::select(catalogue),
        1 => "[ \\[]?(run|need|ai-model|bug)[:-][a-z-]{1,9}[\\] ]?",
    ]
}

fn any_kind() -> impl Strategy<Value = TriggerKind> {
    proptest::sample::select(TriggerKind::all_labelled().collect::<Vec<_>>())
}

fn any_end() -> impl Strategy<Value = RunEnd> {
    let mut ends: Vec<RunEnd> = FinishReason::ALL
        .iter()
        .map(|reason| RunEnd::Because(*reason))
        .collect();
    ends.push(RunEnd::Succeeded);
    proptest::sample::select(ends)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn canonicalisation_is_idempotent_and_blind_to_case_and_space(label in any_label(), pad in " {0,3}") {
        let catalogue = Catalogue::default();
        let once = catalogue.canonical(&label);
        prop_assert_eq!(&catalogue.canonical(&once), &once);
        let loud = format!("{pad}{}{pad}", label.to_uppercase());
        prop_assert_eq!(catalogue.classify(&loud), catalogue.classify(&label));
    }

    #[test]
    fn a_bot_never_causes_a_run(label in any_label(), on_issue in proptest::collection::vec(any_label(), 0..4)) {
        let mut world = World { user: Some(user(Some("admin"))), ..World::default() };
        world.issue_labels = on_issue;
        world.issue_labels.push(label.clone());
        let mut payload = world.payload("labeled", Some(&label));
        payload["sender"]["login"] = "codex-bot".into();
        prop_assert!(world.decide(&world.event("issues", payload)).outcome.new_run().is_none());
        let mut payload = world.payload("labeled", Some(&label));
        payload["sender"]["type"] = "Bot".into();
        prop_assert!(world.decide(&world.event("issues", payload)).outcome.new_run().is_none());
    }

    #[test]
    fn an_ignored_delivery_has_one_reason_and_one_event(label in any_label(), on_issue in proptest::collection::vec(any_label(), 0..5)) {
        let mut world = World { issue_labels: on_issue, ..World::default() };
        world.issue_labels.push(label.clone());
        let decision = world.decide(&world.labeled(&label));
        let kinds = event_types(&decision);
        let ignored = kinds.iter().filter(|kind| **kind == "webhook.ignored").count();
        let enqueued = kinds.iter().filter(|kind| **kind == "run.enqueued").count();
        match &decision.outcome {
            Outcome::Ignored(_) => prop_assert_eq!((ignored, enqueued), (1, 0)),
            Outcome::Accepted(_) => prop_assert_eq!((ignored, enqueued), (0, 1)),
            Outcome::Received => prop_assert!(false, "a labelled Issue is accepted or ignored"),
        }
        let comments = decision.consequences.effects.iter().filter(|planned| matches!(planned.effect, Effect::CreateComment { .. })).count();
        prop_assert!(comments <= 1);
    }

    #[test]
    fn deciding_twice_is_deciding_once(label in any_label(), on_issue in proptest::collection::vec(any_label(), 0..4)) {
        let world = World { issue_labels: on_issue, ..World::default() };
        let event = world.labeled(&label);
        prop_assert_eq!(world.decide(&event), world.decide(&event));
    }

    #[test]
    fn labels_after_a_run_settle(kind in any_kind(), end in any_end(), pull_request in proptest::option::of(1_i64..50)) {
        let policy = World::default().policy;
        let mut ended = run(kind, RunStatus::Running);
        ended.pr_number = pull_request;
        let after = after_run(&ended, end, &policy);
        let apply = |labels: &BTreeMap<String, bool>| {
            let mut labels = labels.clone();
            for planned in &after.effects {
                match &planned.effect {
                    Effect::AddLabel { thread, label, .. } => labels.insert(format!("{thread} {label}"), true),
                    Effect::RemoveLabel { thread, label, .. } => labels.insert(format!("{thread} {label}"), false),
                    _ => None,
                };
            }
            labels
        };
        let once = apply(&BTreeMap::new());
        prop_assert_eq!(&apply(&once), &once);
        let states = |thread: &str| once.iter().filter(|(name, set)| **set && name.starts_with(thread) && name.contains(" state:")).count();
        prop_assert!(states("issue:") <= 1 && states("pr:") <= 1);
    }

    #[test]
    fn a_terminal_run_stays_terminal(from in proptest::sample::select(RunStatus::ALL), to in proptest::sample::select(RunStatus::ALL)) {
        prop_assert!(!(from.is_terminal() && from.may_become(to)));
        prop_assert!(!from.may_become(RunStatus::Pending));
    }

    #[test]
    fn redaction_is_idempotent(text in "\\PC{0,200}") {
        let redactor = Redactor::new(["hunter22-canary"]);
        let once = redactor.redact(&text);
        prop_assert_eq!(redactor.redact(&once), once);
    }

    #[test]
    fn a_known_value_survives_in_no_form(secret in "[A-Za-z0-9+/=!@#]{12,40}", before in "[a-z ]{0,7}", after in "[a-z ]{0,7}") {
        let redactor = Redactor::new([secret.as_str()]);
        let plain = redactor.redact(&format!("{before}{secret}{after}"));
        prop_assert!(!plain.contains(&secret));
        let hidden = encode(format!("{before}{secret}{after}").as_bytes());
        let clean = redactor.redact(&hidden);
        prop_assert!(clean.contains(REDACTED), "{hidden} -> {clean}");
    }

    #[test]
    fn equal_wishes_have_equal_keys(label in any_label(), scope in "[a-z0-9-]{1,12}") {
        let effect = Effect::AddLabel { thread: Thread::issue(REPOSITORY, 5), label, origin: LabelOrigin::system() };
        let mut plan = EffectPlan::new(scope.as_str());
        prop_assert_eq!(plan.push(effect.clone()), plan.push(effect));
        prop_assert_eq!(plan.into_vec().len(), 1);
    }
}

/// Base64 by the book, so that the redactor's own encoder is not its judge.
fn encode(bytes: &[u8]) -> String {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let alphabet: Vec<char> = ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(['+', '/'])
        .collect();
    let mut encoded = String::new();
    for start in (0..bits.len()).step_by(6) {
        let group = format!("{:0<6}", &bits[start..bits.len().min(start + 6)]);
        encoded.push(alphabet[usize::from_str_radix(&group, 2).expect("binary digits")]);
    }
    while !encoded.len().is_multiple_of(4) {
        encoded.push('=');
    }
    encoded
}

#[test]
fn well_known_forms_are_redacted() {
    let redactor = Redactor::default();
    let token = "A1b2C3d4E5f6G7h8I9j0";
    let forms = [
        format!("remote: https://user:{token}@github.com/acme/shop.git"),
        format!("AUTHORIZATION: Bearer {token}"),
        format!("\"authorization\": \"bearer {token}\""),
        format!("github_pat_{token}"),
        format!("ghp_{token} gho_{token} ghu_{token} ghs_{token} ghr_{token}"),
        format!("key=sk-{token}"),
        format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx{token}.{token}"),
        format!("-----BEGIN RSA PRIVATE KEY-----\n{token}\n-----END RSA PRIVATE KEY-----"),
        format!("-----BEGIN PRIVATE KEY-----\n{token} cut off"),
    ];
    for form in forms {
        let clean = redactor.redact(&form);
        assert!(
            !clean.contains(token) && clean.contains(REDACTED),
            "{form} -> {clean}"
        );
    }
    for harmless in [
        "ask-me-anything-about-this-thing",
        "https://github.com/acme/shop",
        "task sk-1",
        "mail a@b.c",
    ] {
        assert_eq!(redactor.redact(harmless), harmless);
    }
}

#[test]
fn renames_that_cannot_hold_are_refused() {
    let rename =
        |from: &str, to: &str| Catalogue::with_renames(&[(from.to_owned(), to.to_owned())].into());
    assert!(matches!(
        rename("run:nothing", "x"),
        Err(CatalogueError::UnknownLabel(_))
    ));
    assert!(matches!(
        rename("run:dev", " "),
        Err(CatalogueError::BlankName(_))
    ));
    assert!(matches!(
        rename("run:dev", "RUN:plan"),
        Err(CatalogueError::NameTaken(..))
    ));
    let catalogue = Catalogue::default();
    assert_eq!(
        catalogue.canonical("AI-Model-gpt-5.1-codex-mini"),
        "[ai-model-gpt-5.1-codex-mini]"
    );
    assert_eq!(catalogue.classify("[run:dev]"), None);
}

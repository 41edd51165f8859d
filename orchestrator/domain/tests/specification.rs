//! The code against the tables of the specification that it repeats.

use std::collections::{BTreeMap, BTreeSet};

use domain::audit::{AuditEvent, RUN_CALLER_TYPES};
use domain::comments::LabelRejection;
use domain::decide::IgnoreReason;
use domain::labels::{CATALOGUE_SIZE, Catalogue, CatalogueLabel};
use domain::next_steps::{DisplayVariant, matrix_row};
use domain::runs::FinishReason;
use domain::stages::{Stage, TriggerKind, contract};

const DATA: &str = include_str!("../../../docs/spec/data-and-api.md");
const LABELS: &str = include_str!("../../../docs/spec/labels-and-stages.md");
const RUNTIME: &str = include_str!("../../../docs/spec/runtime.md");

fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn cells(row: &str) -> Vec<&str> {
    row.trim()
        .trim_matches('|')
        .split('|')
        .map(str::trim)
        .collect()
}

/// Event types of a catalogue row; `.ready` continues the last full name.
fn types_of(cell: &str) -> Vec<String> {
    let mut types: Vec<String> = Vec::new();
    for name in quoted(cell) {
        match name.strip_prefix('.') {
            None => types.push(name.to_owned()),
            Some(rest) => {
                let base = types.first().cloned().unwrap_or_default();
                types.push(format!(
                    "{}.{rest}",
                    base.rsplit_once('.').map_or("", |(head, _)| head)
                ));
            }
        }
    }
    types
}

/// Keys of a payload cell, without what stands in brackets.
fn keys_of(cell: &str) -> BTreeSet<String> {
    let mut flat = String::new();
    let mut depth = 0_u32;
    for character in cell.chars() {
        match character {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => flat.push(character),
            _ => {}
        }
    }
    let words = flat
        .replace("resumed:", "")
        .replace("rate limit:", "")
        .replace("discussion runs:", "");
    words
        .split([',', ';'])
        .map(|key| key.trim().trim_start_matches("as above + ").trim())
        .filter(|key| !key.is_empty() && !key.starts_with("never ") && *key != "as above")
        .flat_map(|key| match key {
            "requested_by_*" => ["type", "id", "email", "github_login"]
                .map(|end| format!("requested_by_{end}"))
                .to_vec(),
            key => vec![key.to_owned()],
        })
        .collect()
}

fn catalogue_rows() -> Vec<(Vec<String>, String, BTreeSet<String>)> {
    let section = DATA
        .split("## 2. `flow_events` catalogue")
        .nth(1)
        .expect("the section");
    let section = section.split("\n## 3.").next().expect("its end");
    let mut rows: Vec<(Vec<String>, String, BTreeSet<String>)> = Vec::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let cells = cells(line);
        let mut keys = keys_of(cells[2]);
        if cells[2].starts_with("as above") {
            keys.extend(rows.last().expect("a row above").2.clone());
        }
        rows.push((types_of(cells[0]), cells[1].to_owned(), keys));
    }
    rows
}

#[test]
fn every_event_type_of_the_catalogue_has_a_variant_and_no_other_exists() {
    let specified: BTreeSet<String> = catalogue_rows()
        .into_iter()
        .flat_map(|(types, ..)| types)
        .collect();
    let built: BTreeSet<String> = AuditEvent::TYPES
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(specified, built);
    assert!(
        specified.len() > 100,
        "only {} types were read",
        specified.len()
    );
}

#[test]
fn every_payload_has_exactly_the_keys_of_its_row() {
    for (types, _, keys) in catalogue_rows() {
        for event_type in types {
            let built: BTreeSet<String> = AuditEvent::keys_of(&event_type)
                .expect("a known type")
                .iter()
                .map(|key| (*key).to_owned())
                .collect();
            assert_eq!(built, keys, "{event_type}");
        }
    }
}

#[test]
fn a_runner_may_insert_what_df_4_lists() {
    let line = DATA
        .lines()
        .find(|line| line.starts_with("- **DF-4**"))
        .expect("the rule");
    let head = line
        .split(", and only for its own run")
        .next()
        .expect("the list");
    let mut specified = BTreeSet::new();
    let mut agent_prefix = "run.agent";
    for name in quoted(head) {
        if name.starts_with("run.codex") {
            agent_prefix = "run.codex.auth";
        }
        specified.insert(match name.strip_prefix('.') {
            Some(rest) => format!("{agent_prefix}.{rest}"),
            None => name.to_owned(),
        });
    }
    let built: BTreeSet<String> = RUN_CALLER_TYPES
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(specified, built);
}

#[test]
fn the_catalogue_has_the_54_names_of_chapter_1() {
    let section = LABELS
        .split("## 1. Label catalogue")
        .nth(1)
        .expect("the section");
    let section = section.split("### 1.5").next().expect("its end");
    let mut specified = BTreeSet::new();
    for line in section.lines().filter(|line| line.starts_with('|')) {
        let labelled = quoted(line).into_iter().filter(|name| {
            (name.starts_with("run:") && *name != "run:*")
                || name.starts_with("mode:")
                || name.starts_with("[ai-")
                || name.starts_with("state:")
                || name.starts_with("need:")
        });
        specified.extend(labelled.map(str::to_owned));
    }
    let built: BTreeSet<String> = CatalogueLabel::all()
        .into_iter()
        .map(CatalogueLabel::default_name)
        .collect();
    assert_eq!(built.len(), CATALOGUE_SIZE);
    assert_eq!(specified, built);
}

#[test]
fn the_stage_table_is_table_l_6() {
    let section = LABELS
        .split("### 1.1 Trigger labels")
        .nth(1)
        .expect("the section");
    let rows = section
        .lines()
        .filter(|line| line.contains("| `run:"))
        .map(cells)
        .filter(|cells| cells.len() == 9);
    let mut seen = 0;
    for row in rows {
        seen += 1;
        let stage: Stage = row[0].parse().expect("a stage");
        let built = contract(stage);
        assert_eq!(
            quoted(row[1]),
            [CatalogueLabel::work(stage).default_name()],
            "{stage}"
        );
        let revise: Vec<String> = CatalogueLabel::revise(stage)
            .map(CatalogueLabel::default_name)
            .into_iter()
            .collect();
        assert_eq!(quoted(row[2]), revise, "{stage}");
        assert_eq!(quoted(row[3]), [built.role.as_str()], "{stage}");
        assert_eq!(quoted(row[4])[0], built.mode.as_str(), "{stage}");
        assert_eq!(quoted(row[7]), [built.write_scope.as_str()], "{stage}");
    }
    assert_eq!(seen, Stage::ALL.len());
}

#[test]
fn every_reason_of_l_42_has_its_reaction() {
    let section = LABELS.split("- **L-42**").nth(1).expect("the rule");
    let section = section.split("- **L-43**").next().expect("its end");
    let mut specified: BTreeMap<String, (bool, bool, bool)> = BTreeMap::new();
    for row in section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(cells)
    {
        let yes = |cell: &str| cell != "no";
        for reason in quoted(row[0]) {
            specified.insert(reason.to_owned(), (yes(row[1]), yes(row[2]), yes(row[3])));
        }
    }
    let all = [
        IgnoreReason::IssueEventNotTriggerLabel,
        IgnoreReason::PushMainVersionsAutobumped,
        IgnoreReason::RepositoryNotBoundForPushMain,
        IgnoreReason::IssueTriggerLabelConflict,
        IgnoreReason::DiscussionModeTriggerLabelConflict,
        IgnoreReason::RepositoryNotBoundForIssueLabel,
        IgnoreReason::SenderTypeNotPermitted("<type>".to_owned()),
        IgnoreReason::SenderLoginMissing,
        IgnoreReason::SenderNotAllowed,
        IgnoreReason::SenderNotProjectMember,
        IgnoreReason::SenderRoleMissing,
        IgnoreReason::SenderRoleNotPermitted("<role>".to_owned()),
        IgnoreReason::PullRequestReviewStageAmbiguous,
        IgnoreReason::PullRequestReviewStageNotResolved,
        IgnoreReason::IssueTriggerCandidateNotFound,
        IgnoreReason::RepositoryPreflightFailed,
        IgnoreReason::IssueClosed,
        IgnoreReason::IssueActiveRunExists,
        IgnoreReason::AgentNotConfigured,
        IgnoreReason::StageTransitionNotAllowed,
        IgnoreReason::StageGateNotPassed,
        IgnoreReason::IssueStateBlocked,
        IgnoreReason::IssueStateAbandoned,
        IgnoreReason::IssueNeedInputOpen,
    ];
    let built: BTreeMap<String, (bool, bool, bool)> = all
        .iter()
        .map(|reason| {
            (
                reason.to_string(),
                (
                    reason.reaction().comment,
                    reason.reaction().need_input,
                    reason.reaction().journal,
                ),
            )
        })
        .collect();
    assert_eq!(specified, built);
}

#[test]
fn every_label_rejection_is_listed_in_l_19() {
    for rejection in LabelRejection::ALL {
        let row = LABELS.lines().any(|line| {
            line.contains(&format!("`{rejection}`")) && line.contains("`label.rejected`")
        });
        assert!(row, "{rejection}");
    }
}

#[test]
fn the_end_reasons_are_the_table_of_runtime_1_4() {
    let section = RUNTIME
        .split("This is the only table of end reasons")
        .nth(1)
        .expect("the table");
    let section = section.split("\n\n| # |").next().expect("its end");
    let mut specified = BTreeMap::new();
    for row in section
        .lines()
        .filter(|line| line.starts_with("| `") && !line.contains("Status"))
        .map(cells)
    {
        for reason in quoted(row[0]) {
            specified.insert(
                reason.to_owned(),
                (row[1].to_owned(), quoted(row[2])[0].to_owned()),
            );
        }
    }
    let built: BTreeMap<String, (String, String)> = FinishReason::ALL
        .iter()
        .map(|reason| {
            let end = domain::runs::RunEnd::Because(*reason);
            (
                reason.to_string(),
                (end.status().to_string(), end.event_type().to_owned()),
            )
        })
        .collect();
    assert_eq!(specified, built);
}

#[test]
fn the_next_steps_are_matrix_l_92() {
    let section = LABELS.split("- **L-92**").nth(1).expect("the rule");
    let section = section.split("- **L-93**").next().expect("its end");
    let mut seen = 0;
    for row in section
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(cells)
    {
        let Ok(stage) = row[0].parse::<Stage>() else {
            continue;
        };
        seen += 1;
        let built = matrix_row(stage).expect("a row");
        let targets: Vec<String> = quoted(row[2]).into_iter().map(str::to_owned).collect();
        let expected: Vec<String> = built
            .targets
            .iter()
            .flat_map(|(stage, variant)| {
                [
                    CatalogueLabel::work(*stage).default_name(),
                    variant.to_string(),
                ]
            })
            .collect();
        assert_eq!(targets, expected, "{stage}");
        let yes = |cell: &str| cell.starts_with("yes");
        let flags = [
            built.revise,
            built.reviewer,
            built.rethink,
            built.doc_audit,
            built.self_improve,
        ];
        assert_eq!(
            [
                yes(row[1]),
                yes(row[3]),
                yes(row[4]),
                yes(row[5]),
                yes(row[6])
            ],
            flags,
            "{stage}"
        );
    }
    assert_eq!(seen, 14);
    let line = LABELS
        .lines()
        .find(|line| line.starts_with("- **L-93**"))
        .expect("the rule");
    let variants: Vec<&str> = DisplayVariant::ALL
        .iter()
        .map(|variant| variant.as_str())
        .collect();
    assert_eq!(quoted(line), variants);
}

#[test]
fn trigger_kinds_follow_l_4() {
    assert_eq!(TriggerKind::all_labelled().count(), 28);
    let catalogue = Catalogue::default();
    for kind in TriggerKind::all_labelled() {
        let label = catalogue.name(CatalogueLabel::Trigger(kind));
        let expected = label
            .trim_start_matches("run:")
            .replace(":revise", "_revise")
            .replace('-', "_");
        assert_eq!(kind.to_string(), expected);
        assert_eq!(expected.parse(), Ok(kind));
    }
}

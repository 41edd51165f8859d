//! Holds the invariants of docs/ARCHITECTURE.md against the code: 1 (only the domain decides), 6 (the edge is thin),
//! 7 (arrows point one way, the judge shares nothing with the judged) and 8 (no test branches in product code).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Our crates.
const OURS: [&str; 10] = [
    "gonogo",
    "orchestrator",
    "orchestrator-program",
    "nulls",
    "domain",
    "steps",
    "fixtures",
    "bootstrap",
    "reports",
    "reference",
];

/// What the domain may depend on: data, time as a value, digests. Nothing that performs IO.
const DOMAIN_MAY_USE: [&str; 7] = [
    "chrono",
    "hex",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "uuid",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Normal and build dependencies of every crate of the workspace.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    let metadata: Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|package| {
            let names = package["dependencies"]
                .as_array()
                .expect("dependencies")
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| dependency["name"].as_str().expect("name").to_owned())
                .collect();
            (package["name"].as_str().expect("name").to_owned(), names)
        })
        .collect()
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("folder is readable") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "rs") {
                let text = fs::read_to_string(&path).expect("source is readable");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// The text without the test module at its foot.
fn product_part(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

/// Lines of product code under `folder` that contain one of `needles`.
fn offenders(folder: &str, needles: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources(folder) {
        for (index, line) in product_part(&text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or(line);
            if let Some(needle) = needles.iter().find(|needle| code.contains(**needle)) {
                found.push(format!("{}:{}: {needle}", relative(&path), index + 1));
            }
        }
    }
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

#[test]
fn invariant_1_the_domain_reaches_no_io() {
    let used = &dependencies()["domain"];
    let allowed: BTreeSet<String> = DOMAIN_MAY_USE
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    let extra: Vec<_> = used.difference(&allowed).collect();
    assert!(extra.is_empty(), "the domain depends on {extra:?}");
    let io = offenders(
        "orchestrator/domain/src",
        &[
            "std::fs",
            "std::net",
            "std::process",
            "std::env",
            "std::thread",
            "SystemTime::now",
            "Instant::now",
            "Utc::now",
            "Local::now",
            "new_v4()",
            "now_v7()",
            "async fn",
            ".await",
        ],
    );
    assert!(
        io.is_empty(),
        "the domain performs IO or reads a clock:\n{}",
        io.join("\n")
    );
}

#[test]
fn invariant_1_only_the_domain_names_reasons_to_ignore() {
    // The closed set of L-42 has one home; a second place that spells a reason would be a second place that decides.
    let reasons = [
        "\"issue_active_run_exists\"",
        "\"stage_gate_not_passed\"",
        "\"issue_trigger_label_conflict\"",
        "\"sender_not_project_member\"",
    ];
    let found = offenders("orchestrator/src", &reasons);
    assert!(
        found.is_empty(),
        "reasons outside the domain:\n{}",
        found.join("\n")
    );
    let home = offenders("orchestrator/domain/src", &reasons);
    assert!(
        !home.is_empty(),
        "the check looks for reasons that the domain does not spell"
    );
}

#[test]
fn invariant_6_the_edge_holds_no_database_and_no_rule() {
    let found = offenders(
        "orchestrator/src/gateway",
        &[
            "sqlx",
            "PgPool",
            "crate::store",
            "domain::decide",
            "domain::labels",
            "domain::stages",
            "kube::",
            "octocrab",
        ],
    );
    assert!(
        found.is_empty(),
        "the gateway reaches too far:\n{}",
        found.join("\n")
    );
}

#[test]
fn invariant_7_arrows_point_one_way() {
    let dependencies = dependencies();
    let ours = |name: &str| -> BTreeSet<&str> {
        dependencies[name]
            .iter()
            .map(String::as_str)
            .filter(|dependency| OURS.contains(dependency))
            .collect()
    };
    assert_eq!(ours("domain"), BTreeSet::new());
    assert_eq!(ours("orchestrator"), BTreeSet::from(["domain"]));
    assert_eq!(
        ours("orchestrator-program"),
        BTreeSet::from(["orchestrator"])
    );
    assert_eq!(
        ours("nulls"),
        BTreeSet::from(["orchestrator", "domain", "fixtures"])
    );
    assert_eq!(ours("fixtures"), BTreeSet::new());
    assert_eq!(ours("reports"), BTreeSet::new());
    assert_eq!(ours("bootstrap"), BTreeSet::new());
    assert_eq!(
        ours("steps"),
        BTreeSet::from(["fixtures", "bootstrap", "reports", "reference"])
    );
    // The second opinion comes from the specification alone.
    assert_eq!(dependencies["reference"], BTreeSet::new());
    assert_eq!(
        ours("gonogo"),
        BTreeSet::from(["steps", "fixtures", "bootstrap", "reports"])
    );
}

#[test]
fn invariant_8_no_test_branches_in_product_code() {
    let found = offenders(
        "orchestrator/src",
        &["cfg!(test)", "cfg(test)", "GONOGO_", "not(test)"],
    );
    assert!(
        found.is_empty(),
        "product code asks whether it is tested:\n{}",
        found.join("\n")
    );
    for (path, text) in sources("orchestrator/src") {
        for rest in text.split("#[cfg(test)]").skip(1) {
            let next = rest.trim_start();
            assert!(
                next.starts_with("mod "),
                "{}: cfg(test) on something else than a test module",
                relative(&path)
            );
        }
    }
    // What does less than the product lies in `nulls`, with the gate.
    let conducts = offenders("orchestrator/src", &["impl Conduct for"]);
    assert_eq!(
        conducts.len(),
        1,
        "the product has one conduct:\n{}",
        conducts.join("\n")
    );
}

/// Moves of the platform's clock persist nothing of a delivery, a run or an effect.
const NAMELESS_COMMITS: &str = "orchestrator/src/control_plane/clock_routes.rs";

#[test]
fn every_persisted_transition_has_a_name_to_be_killed_at() {
    let folders = ["worker", "control_plane", "deploy", "internal_api"];
    let found: Vec<String> = folders
        .iter()
        .flat_map(|folder| offenders(&format!("orchestrator/src/{folder}"), &[".commit()"]))
        .filter(|place| !place.starts_with(NAMELESS_COMMITS))
        .collect();
    assert!(
        found.is_empty(),
        "a commit without a name is never killed at (E-44):\n{}",
        found.join("\n")
    );
}

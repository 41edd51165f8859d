//! A working day with kubectl, a client that nobody here wrote, against the process node.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::{Command, Output};

use bootstrap::progress::Silent;
use bootstrap::{EmbeddedTarget, UpOptions};

const DAY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubectl/day.yaml");

/// kubectl with the administrator's kubeconfig, in one namespace.
struct Kubectl {
    program: PathBuf,
    first: Vec<String>,
    kubeconfig: PathBuf,
    home: tempfile::TempDir,
}

impl Kubectl {
    fn of(target: &EmbeddedTarget) -> Self {
        let (program, first) = target.assets.component("kubectl");
        Self {
            program,
            first,
            kubeconfig: target.kubeconfig_admin.clone(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn run(&self, arguments: &str) -> Output {
        Command::new(&self.program)
            .args(&self.first)
            .args(arguments.split_whitespace())
            .env_clear()
            .env("HOME", self.home.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .output()
            .unwrap()
    }

    /// What it prints, when it succeeds: blanks between columns made one, ages, addresses and random names made plain.
    #[track_caller]
    fn says(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "kubectl {arguments}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        plain(&text)
    }
}

/// Lines without what differs from day to day.
fn plain(text: &str) -> String {
    text.lines()
        .map(|line| {
            line.split_whitespace()
                .map(plain_word)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// An age such as `12s` or `2m3s`, an address of the loopback network, a name that a controller completed.
fn plain_word(word: &str) -> String {
    let is_age = word.ends_with(['s', 'm'])
        && word.starts_with(|first: char| first.is_ascii_digit())
        && word
            .chars()
            .all(|letter| letter.is_ascii_digit() || matches!(letter, 's' | 'm'));
    if is_age {
        return "AGE".to_owned();
    }
    if word.starts_with("127.") {
        return "ADDRESS".to_owned();
    }
    // Controllers draw their endings from consonants and digits without 0, 1 and 3.
    let is_drawn = |part: &str| {
        (5..=10).contains(&part.len())
            && part
                .chars()
                .all(|letter| "bcdfghjklmnpqrstvwxz2456789".contains(letter))
    };
    let mut parts: Vec<&str> = word.split('-').collect();
    if parts.len() > 1 {
        for part in parts.iter_mut().skip(1) {
            if is_drawn(part) {
                *part = "?";
            }
        }
    }
    parts.join("-")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_working_day_with_kubectl() {
    let target = EmbeddedTarget::up(UpOptions::new(&Silent).unwrap())
        .await
        .unwrap();
    let kubectl = Kubectl::of(&target);
    for step in std::fs::read_to_string("/tmp/day.txt").unwrap().lines() {
        println!("$ kubectl {step}");
        let output = kubectl.run(step);
        println!(
            "{}{}",
            plain(&String::from_utf8_lossy(&output.stdout)),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let report = target.down().await.unwrap();
    assert!(report.is_clean(), "{report:?}");
}

//! Targets to play with: by their names, in the background; and what shells and `man` learn of the program.

mod surroundings;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use bootstrap::process::processes_of;

use surroundings::{Ended, GATE_FAILED, INCONCLUSIVE, Surroundings, USAGE, assert_usage, ended};

/// Takes the target down though an assertion failed: its keeper is nobody's child.
struct TakenDown<'a>(&'a Surroundings);

impl Drop for TakenDown<'_> {
    fn drop(&mut self) {
        ended(self.0.command(&["down", "mine"]));
    }
}

#[test]
fn a_target_in_the_background_is_told_of_and_taken_down_by_its_name() {
    let (here, _turn) = Surroundings::with_target();
    let _taken_down = TakenDown(&here);
    let up = ended(here.command(&["up", "--detach", "--name", "mine", "--output", "json"]));
    assert_eq!(up.code, Some(0), "{up:?}");
    let told: serde_json::Value = serde_json::from_str(&up.stdout).expect("JSON");
    assert_eq!(told["state"], "up");
    let run_id = told["run_id"].as_str().expect("its run");

    let status = ended(here.command(&["status", "mine"]));
    assert_eq!(status.code, Some(0), "{status:?}");
    for key in ["platform", "console", "github", "owner_login"] {
        let value = told["access"][key].as_str().expect("a way in");
        assert!(status.stdout.contains(value), "{key} in {status:?}");
    }
    let token = told["access"]["owner_token"].as_str().expect("a file");
    assert!(status.stdout.contains(token) && !status.stdout.contains(&read(token)));
    assert!(kubernetes_answers(&told));

    let second = ended(here.command(&["up", "--name", "mine"]));
    assert_eq!(second.code, Some(USAGE), "{second:?}");
    assert!(second.stderr.contains("there is one already"), "{second:?}");

    let down = ended(here.command(&["down", "mine"]));
    assert_eq!(down.code, Some(0), "{down:?}");
    assert_eq!(down.stdout, "mine is down, nothing is left\n");
    assert!(processes_of(run_id, &[]).is_empty());
    assert!(here.runs().is_empty());
    assert!(!Path::new(token).exists());
    assert_eq!(ended(here.command(&["status", "mine"])).code, Some(1));
}

#[test]
fn a_kept_target_outlives_its_verdict_and_is_taken_down_by_its_name() {
    let (here, _turn) = Surroundings::with_target();
    let mut run = here.run(&["--keep=mine"]);
    let mut run = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut told = BufReader::new(run.stderr.take().expect("it is piped")).lines();
    let ready = told.any(|line| line.expect("text").contains("`gonogo down mine`"));
    let _taken_down = TakenDown(&here);
    assert!(ready, "the run ended before its target was shown");

    let verdict = std::fs::read_to_string(here.path("bundle/verdict.json")).expect("a verdict");
    let verdict: serde_json::Value = serde_json::from_str(&verdict).expect("JSON");
    assert_eq!(verdict["verdict"], "INCONCLUSIVE");
    let found = verdict["findings"].as_array().expect("findings");
    let named = |check: &str, subject: &str| {
        let same = |item: &serde_json::Value| item["check"] == check && item["subject"] == subject;
        found.iter().any(same)
    };
    assert!(named("phase", "down"), "{found:#?}");
    let status = ended(here.command(&["status", "mine"]));
    assert_eq!(status.code, Some(0), "{status:?}");

    let down = ended(here.command(&["down", "mine"]));
    assert_eq!(down.code, Some(0), "{down:?}");
    let rest: Vec<String> = told.map(|line| line.expect("text")).collect();
    let run: Ended = run.wait_with_output().expect("its end").into();
    assert_eq!(run.code, Some(INCONCLUSIVE), "{run:?} {rest:?}");
    assert!(run.stdout.starts_with("INCONCLUSIVE"), "{run:?}");
    assert!(here.runs().is_empty());
}

#[test]
fn why_a_target_in_the_background_did_not_come_up_is_told() {
    let here = Surroundings::new();
    let mut command = here.command(&["up", "--detach"]);
    command.env("PATH", here.folder.path());
    let up = ended(command);
    assert_eq!(up.code, Some(GATE_FAILED), "{up:?}");
    assert!(
        up.stderr
            .ends_with("gonogo: failed to find git on PATH\n  install git (Debian and Ubuntu: `apt-get install git`)\n"),
        "{up:?}"
    );
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).expect("a file")
}

/// Whether somebody listens where the kubeconfig that was told of leads.
fn kubernetes_answers(told: &serde_json::Value) -> bool {
    let kubeconfig = told["access"]["kubeconfig"].as_str().expect("a file");
    let config: serde_json::Value = serde_json::from_str(&read(kubeconfig)).expect("JSON");
    let server = config["clusters"][0]["cluster"]["server"]
        .as_str()
        .expect("an address")
        .trim_start_matches("https://");
    std::net::TcpStream::connect(server).is_ok()
}

#[test]
fn names_and_targets_that_are_not_there_are_told() {
    let here = Surroundings::new();
    for arguments in [
        &["up", "--name", "Not A Name"][..],
        &["up", "--detach", "--name", "a/b"],
        &["down", "UPPER"],
        &["status", ".."],
    ] {
        assert_usage(here.command(arguments), "as a name of a target");
    }
    let down = ended(here.command(&["down", "nobody"]));
    assert_eq!(down.code, Some(USAGE), "{down:?}");
    assert!(
        down.stderr.contains("no target of this name is up"),
        "{down:?}"
    );
    let status = ended(here.command(&["status"]));
    assert_eq!(
        status.stdout,
        "no target is up; `gonogo up` brings one up\n"
    );
    let status = ended(here.command(&["status", "--output", "json"]));
    assert_eq!(status.stdout, "{\"runs\":[],\"targets\":[]}\n");
}

#[test]
fn shells_and_man_learn_every_command() {
    let here = Surroundings::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = ended(here.command(&["completions", shell]));
        assert_eq!(script.code, Some(0), "{script:?}");
        assert!(script.stdout.contains("selfcheck"), "{shell}");
    }
    let page = ended(here.command(&["man"]));
    assert!(
        page.stdout.starts_with(".ie") && page.stdout.contains("selfcheck"),
        "{page:?}"
    );
    let pages = here.path("man");
    let written = ended(here.command(&["man", "--out", &pages.display().to_string()]));
    assert_eq!(written.code, Some(0), "{written:?}");
    for command in [
        "gonogo",
        "gonogo-run",
        "gonogo-up",
        "gonogo-stand-in-github",
    ] {
        assert!(pages.join(format!("{command}.1")).exists(), "{command}");
    }
}

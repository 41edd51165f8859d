//! What a person sees who makes a mistake, lacks a tool, or stops a run: one sentence, an exit code, nothing left behind.

mod surroundings;

use std::{
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use bootstrap::process::processes_of;

use surroundings::{Ended, GATE_FAILED, INCONCLUSIVE, Surroundings, USAGE, assert_usage, ended};

/// A failure of the gate is told in one line, what to do in a second one, and leaves no run behind. Before them stand
/// only lines of progress, which begin with two blanks.
#[track_caller]
fn assert_gate_failed(surroundings: &Surroundings, command: Command, sentence: &str, advice: &str) {
    let ended = ended(command);
    assert_eq!(ended.code, Some(GATE_FAILED), "{ended:?}");
    let lines: Vec<&str> = ended
        .stderr
        .lines()
        .skip_while(|line| line.starts_with("  "))
        .collect();
    assert_eq!(lines.len(), 2, "{ended:?}");
    assert!(lines[0].contains(sentence), "{ended:?}");
    assert!(lines[1].contains(advice), "{ended:?}");
    assert!(surroundings.runs().is_empty());
}

#[test]
fn flags_that_do_not_exist_or_fit_are_named() {
    let here = Surroundings::new();
    for (arguments, word) in [
        (&["run", "--frobnicate"][..], "--frobnicate"),
        (&["run", "--jobs", "0"], "1..=64"),
        (&["run", "--target", "mars"], "embedded"),
        (&["cleanup", "everything"], "everything"),
        (&["verify"], "BUNDLE"),
        (&["delivery-sweep", "--all", "--plays", "3"], "--plays"),
        (&["delivery-sweep", "--jobs", "0"], "1..=64"),
    ] {
        let ended = ended(here.command(arguments));
        assert_eq!(ended.code, Some(USAGE), "{ended:?}");
        assert!(ended.stderr.contains(word), "{ended:?}");
    }
}

#[test]
fn the_exit_codes_are_printed_by_help() {
    let here = Surroundings::new();
    let help = ended(here.command(&["help", "exit-codes"]));
    assert_eq!(help.code, Some(0));
    assert!(
        help.stdout.contains("3  INCONCLUSIVE")
            && help.stdout.contains("4  the gate itself failed")
    );
}

#[test]
fn a_tag_expression_that_cannot_be_read_is_refused() {
    assert_usage(
        Surroundings::new().command(&["run", "--tags", "@a and and"]),
        "the tag expression \"@a and and\" is not valid",
    );
}

#[test]
fn feature_files_that_cannot_be_played_are_named() {
    let here = Surroundings::new();
    let play = |path: &str| here.command(&["run", "--features", path]);
    assert_usage(play("/nowhere"), "failed to find /nowhere");
    let file = here.write(
        "syntax/s.feature",
        "Feature: x\n  @LC-01\n  Scenario: y\n    Given z\n    Whatever this is\n",
    );
    assert_usage(
        play(&file),
        "s.feature is not valid Gherkin near line 6: Unknown keyword",
    );
    let file = here.write("none/n.feature", "Feature: x\n");
    assert_usage(play(&file), "yields no scenario (E-7)");
    let file = here.write("id/i.feature", "Feature: x\n  Scenario: y\n    Given z\n");
    assert_usage(play(&file), "i.feature:2 has no scenario id");
    here.write("empty/readme.txt", "no feature");
    assert_usage(
        play(&here.path("empty").display().to_string()),
        "holds no feature file",
    );
    assert!(!here.path("target").exists(), "no bundle was begun");
}

#[test]
fn an_empty_selection_is_refused() {
    let here = Surroundings::new();
    let features = here.write(
        "x.feature",
        "Feature: x\n  @LC-01\n  Scenario: y\n    Given z\n",
    );
    assert_usage(
        here.command(&["run", "--features", &features, "--tags", "@nothing"]),
        "nothing is selected",
    );
}

#[test]
fn criteria_that_cannot_be_used_are_refused() {
    let here = Surroundings::new();
    assert_usage(
        here.run(&["--criteria", "/nowhere"]),
        "failed to read the criteria /nowhere",
    );
    let criteria = here.write("criteria.yaml", "unheard: of\n");
    assert_usage(
        here.run(&["--criteria", &criteria]),
        "unknown field `unheard`",
    );
}

#[test]
fn a_baseline_that_is_no_bundle_is_refused() {
    let here = Surroundings::new();
    assert_usage(
        here.run(&["--baseline", "/nowhere"]),
        "failed to compare with /nowhere: the bundle does not hold: manifest.json",
    );
}

#[test]
fn a_folder_that_cannot_hold_a_bundle_is_refused() {
    let here = Surroundings::new();
    here.write("bundle/something", "");
    assert_usage(here.run(&[]), "the folder is not empty");
    let here = Surroundings::new();
    here.write("bundle", "");
    assert_usage(here.run(&[]), "Not a directory");
}

#[test]
fn a_bundle_that_is_not_there_cannot_be_verified() {
    assert_usage(
        Surroundings::new().command(&["verify", "/nowhere"]),
        "failed to find a bundle in /nowhere",
    );
}

#[test]
fn missing_git_is_told_before_anything_is_built() {
    let here = Surroundings::new();
    let mut command = here.run(&[]);
    command.env("PATH", here.folder.path());
    assert_gate_failed(&here, command, "failed to find git on PATH", "install git");
    let mut doctor = here.command(&["doctor"]);
    doctor.env("PATH", here.folder.path());
    let doctor = ended(doctor);
    assert_eq!(doctor.code, Some(1));
    assert!(doctor.stdout.contains("missing  git"), "{doctor:?}");
}

#[test]
fn without_go_and_cache_there_is_no_kubernetes() {
    let here = Surroundings::new();
    std::fs::create_dir(here.path("bin")).expect("a folder");
    symlink(program("git"), here.path("bin/git")).expect("a link");
    let mut command = here.run(&[]);
    command
        .env("PATH", here.path("bin"))
        // Whether this machine has a database server does not matter here.
        .env("GONOGO_POSTGRES_URL", "postgres://nobody@127.0.0.1:1/none");
    assert_gate_failed(
        &here,
        command,
        "failed to get the Kubernetes programs",
        "install Go 1.24",
    );
    let bundle = std::fs::read_to_string(here.path("bundle/verdict.json")).expect("a verdict");
    assert!(bundle.contains("INCONCLUSIVE"));
}

#[test]
fn without_a_database_server_and_network_there_is_no_database() {
    let here = Surroundings::new();
    let mut command = here.run(&[]);
    // Nobody listens there, so no registry is reached.
    for name in ["HTTPS_PROXY", "https_proxy"] {
        command.env(name, "http://127.0.0.1:1");
    }
    command.env("GONOGO_POSTGRES", "fetched");
    assert_gate_failed(
        &here,
        command,
        "failed to find a PostgreSQL server on this machine, and to download one",
        "install the server",
    );
}

#[test]
fn an_unknown_way_to_a_database_is_named() {
    let here = Surroundings::new();
    let mut command = here.run(&[]);
    command.env("GONOGO_POSTGRES", "by hand");
    assert_gate_failed(
        &here,
        command,
        "failed to understand GONOGO_POSTGRES=by hand",
        "unset GONOGO_POSTGRES",
    );
}

#[test]
fn kubernetes_programs_that_are_not_there_are_named() {
    let here = Surroundings::new();
    let mut command = here.run(&[]);
    command
        .env("GONOGO_KUBE_ASSETS", "/nowhere")
        .env("GONOGO_POSTGRES_URL", "postgres://nobody@127.0.0.1:1/none");
    assert_gate_failed(
        &here,
        command,
        "failed to find etcd in /nowhere",
        "unset GONOGO_KUBE_ASSETS",
    );
}

#[test]
fn a_cache_that_is_no_folder_is_named() {
    let here = Surroundings::new();
    here.write("cache", "");
    let mut command = here.run(&[]);
    command.env("GONOGO_POSTGRES_URL", "postgres://nobody@127.0.0.1:1/none");
    assert_gate_failed(&here, command, "failed to create", "set GONOGO_CACHE");
    assert_gate_failed(
        &here,
        here.command(&["cleanup"]),
        "failed to read",
        "set GONOGO_CACHE",
    );
}

#[test]
fn nothing_to_clean_up_is_said() {
    let cleaned = ended(Surroundings::new().command(&["cleanup"]));
    assert_eq!(
        (cleaned.code, cleaned.stdout.as_str()),
        (Some(0), "nothing to clean up\n")
    );
}

#[test]
fn a_reader_who_has_seen_enough_ends_nothing() {
    let here = Surroundings::new();
    let mut command = here.command(&["exit-codes"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    command.stdout(writer);
    let ended = ended(command);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_killed_run_is_cleaned_up_and_nothing_is_left() {
    let (here, _turn) = Surroundings::with_target();
    let mut gate = start(here.run(&[]));
    wait_for(&mut gate, "target up");
    gate.kill().expect("it is killed");
    gate.wait().expect("its end");
    let found = here.runs();
    let state = found[0].state.clone().expect("its state");
    assert_eq!(found.len(), 1);
    assert!(!found[0].alive);
    let mut folders = state.folders.clone();
    folders.push(found[0].folder.clone());
    assert!(!processes_of(&state.run_id, &folders).is_empty());

    let cleaned = ended(here.command(&["cleanup"]));

    assert_eq!(cleaned.code, Some(0), "{cleaned:?}");
    assert!(cleaned.stdout.contains(&state.run_id), "{cleaned:?}");
    assert!(cleaned.stdout.contains("0 processes left"), "{cleaned:?}");
    assert!(processes_of(&state.run_id, &folders).is_empty());
    assert!(folders.iter().all(|folder| !folder.exists()));
    assert_eq!(
        listeners(&state.network.expect("its network")),
        Vec::<String>::new()
    );
    assert!(here.runs().is_empty());
    let again = ended(here.command(&["cleanup"]));
    assert_eq!(again.stdout, "nothing to clean up\n");
}

#[test]
fn an_interrupted_run_writes_an_inconclusive_bundle_and_leaves_nothing() {
    let (here, _turn) = Surroundings::with_target();
    let mut gate = start(here.run(&[]));
    wait_for(&mut gate, "target up");
    let state = here.runs()[0].state.clone().expect("its state");
    press_ctrl_c(&gate);
    let ended: Ended = gate.wait_with_output().expect("its end").into();
    assert_eq!(ended.code, Some(INCONCLUSIVE), "{ended:?}");
    assert!(
        ended
            .stdout
            .starts_with("interrupted by Ctrl-C\nINCONCLUSIVE"),
        "{ended:?}"
    );
    let verdict = std::fs::read_to_string(here.path("bundle/verdict.json")).expect("a verdict");
    assert!(verdict.contains("INCONCLUSIVE"));
    let bundle = here.path("bundle").display().to_string();
    assert_eq!(
        self::ended(here.command(&["verify", &bundle])).code,
        Some(0)
    );
    assert!(here.runs().is_empty());
    assert!(processes_of(&state.run_id, &state.folders).is_empty());
    assert!(state.folders.iter().all(|folder| !folder.exists()));
}

/// Starts a gate whose output is read here.
fn start(mut command: Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

fn press_ctrl_c(gate: &Child) {
    let sent = Command::new("sh")
        .arg("-c")
        .arg(format!("kill -INT {}", gate.id()))
        .status()
        .expect("a shell");
    assert!(sent.success());
}

/// Reads what the gate tells until a line contains `words`.
#[track_caller]
fn wait_for(gate: &mut Child, words: &str) {
    let mut told = String::new();
    let stderr = gate.stderr.take().expect("it is piped");
    for line in BufReader::new(stderr).lines() {
        let line = line.expect("text");
        if line.contains(words) {
            return;
        }
        told.push_str(&line);
        told.push('\n');
    }
    panic!("the gate ended before it told {words:?}:\n{told}");
}

/// Where a program of this machine lies.
fn program(name: &str) -> PathBuf {
    std::env::split_paths(&std::env::var_os("PATH").expect("PATH"))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .expect("the program is on PATH")
}

/// Listening sockets in a network `127.A.B.0/24`, as the kernel's table writes them.
fn listeners(network: &str) -> Vec<String> {
    const LISTENING: &str = "0A";
    let octets: Vec<u8> = network
        .trim_end_matches("/24")
        .split('.')
        .map(|octet| octet.parse().expect("an octet"))
        .collect();
    // The kernel writes the lowest octet first.
    let written = format!("{:02X}{:02X}{:02X}", octets[2], octets[1], octets[0]);
    std::fs::read_to_string("/proc/net/tcp")
        .expect("the kernel's table")
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            (fields[3] == LISTENING && fields[1][2..8] == written).then(|| fields[1].to_owned())
        })
        .collect()
}

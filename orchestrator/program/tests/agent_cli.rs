//! The runner of a Job with an agent CLI: here a double of it, a shell script that keeps what it was given, writes a
//! session as the CLI does, and says what the test wants. The gate plays the same with the real CLI (`@needs-codex`).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent_support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use agent_support::World;
use serde_json::{Value, json};

const SESSION_ID: &str = "01a202d1-c086-7de3-9107-2ad57338529b";
const SESSION_FILE: &str =
    "2026/11/22/rollout-2026-11-22T10-33-50-01a202d1-c086-7de3-9107-2ad57338529b.jsonl";

const CLI: &str = r#"#!/bin/sh
set -e
seen="$HOME/cli"
mkdir -p "$seen"
turn=$(($(ls "$seen" | grep -c '^prompt-' || true) + 1))
cat > "$seen/prompt-$turn"
echo "$@" > "$seen/arguments-$turn"
stat -c %a "$CODEX_HOME/config.toml" > "$seen/mode-$turn"
cp "$CODEX_HOME/config.toml" "$seen/config-$turn"
session="$CODEX_HOME/sessions/@FILE@"
mkdir -p "$(dirname "$session")"
[ -e "$session" ] || echo '{"type":"session_meta","payload":{"id":"@ID@"}}' > "$session"
echo "{\"type\":\"turn\",\"payload\":$turn}" >> "$session"
cp "$session" "$seen/session-$turn"
echo '{"type":"thread.started","thread_id":"@ID@"}'
. "$HOME/turn-$turn"
"#;

/// A world whose CLI ends its turns by these shell lines.
async fn world(turns: &[&str]) -> World {
    let mut world = World::new("not looked at").await;
    let programs = world.folder.path().join("bin");
    std::fs::create_dir_all(&programs).unwrap();
    let program = programs.join("codex");
    let script = CLI
        .replace("@ID@", SESSION_ID)
        .replace("@FILE@", SESSION_FILE);
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    for (index, lines) in turns.iter().enumerate() {
        let path = world.folder.path().join(format!("turn-{}", index + 1));
        std::fs::write(path, lines).unwrap();
    }
    world.set("AGENT_ADAPTER", "codex");
    world.set("AGENT_REASONING_EFFORT", "xhigh");
    world.set("OPENAI_API_KEY", "model-key-value");
    world.set("OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
    world
}

fn says(message: &Value, input: u32, output: u32) -> String {
    let message = json!({"type": "item.completed", "item": {"type": "agent_message", "text": message.to_string()}});
    let usage = json!({"type": "turn.completed", "usage": {"input_tokens": input, "output_tokens": output}});
    format!("echo \"// by the CLI\" > cart.rs\necho '{message}'\necho '{usage}'\n")
}

#[tokio::test]
async fn a_limit_that_the_cli_meets_stops_it_and_is_left_to_the_platform() {
    let limited = json!({"type": "item.completed", "item": {
        "id": "1", "type": "command_execution", "command": "gh pr list", "exit_code": 1,
        "aggregated_output": "gh: You have exceeded a secondary rate limit. (HTTP 403)",
    }});
    // It would go on for longer than the test lasts.
    let world = world(&[&format!("echo '{limited}'\nexec sleep 600\n")]).await;
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 0, "{log}");
    let told = world.with(|seen| seen.limits.clone());
    assert_eq!(
        told[0]["answer"]["message"],
        "gh: You have exceeded a secondary rate limit. (HTTP 403)"
    );
    let stored = world.last_session();
    assert_eq!(
        (&stored["status"], &stored["session_id"]),
        (&json!("running"), &json!(SESSION_ID))
    );
    assert_eq!(stored["agent_session_json"]["file"], SESSION_FILE);
}

fn report() -> Value {
    json!({"summary": "A cart", "diagnosis": "", "action_items": [], "evidence_refs": [], "tool_gaps": []})
}

fn given(world: &World, name: &str) -> String {
    let path: PathBuf = world.folder.path().join("cli").join(name);
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_turn_of_the_cli_becomes_a_pull_request() {
    let world = world(&[&says(&report(), 900, 40)]).await;
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 0, "{log}");
    assert_eq!(
        world.remote(&["show", "codex/issue-7:cart.rs"]),
        "// by the CLI"
    );
    assert_eq!(given(&world, "prompt-1"), "do it");
    assert_eq!(given(&world, "mode-1"), "600");
    let arguments = given(&world, "arguments-1");
    assert!(
        arguments.starts_with("exec --json")
            && !arguments.contains("resume")
            && arguments.ends_with(" -"),
        "{arguments}"
    );
    let config = given(&world, "config-1");
    for line in [
        "model = \"gpt-5.4\"",
        "model_reasoning_effort = \"xhigh\"",
        "approval_policy = \"never\"",
        "sandbox_mode = \"danger-full-access\"",
        "base_url = \"http://127.0.0.1:9/v1\"",
        "bearer_token_env_var = \"CODEXK8S_MCP_BEARER_TOKEN\"",
        "tool_timeout_sec = 180",
    ] {
        assert!(
            config.lines().any(|found| found == line),
            "{line} is not in {config}"
        );
    }
    assert!(!config.contains("model-key-value") && !config.contains("run-token-value"));
    let pull = world.with(|seen| seen.pulls[0].clone());
    assert!(
        pull["body"].as_str().unwrap().starts_with("A cart"),
        "{pull}"
    );
    assert_eq!(
        world.with(|seen| seen.usage.clone()),
        [json!({
            "session_id": SESSION_ID, "turn_no": 1, "model": "gpt-5.4",
            "prompt_tokens": 900, "completion_tokens": 40, "total_tokens": 940,
        })]
    );
    let stored = world.last_session();
    assert_eq!(stored["session_id"], SESSION_ID);
    assert_eq!(stored["agent_session_json"]["file"], SESSION_FILE);
    assert_eq!(
        stored["agent_session_json"]["lines"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(world.leftovers(), 0);
}

#[tokio::test]
async fn a_turn_without_a_report_is_followed_by_one_that_asks_for_it() {
    let world = world(&[&says(&json!("All done!"), 10, 1), &says(&report(), 30, 3)]).await;
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 0, "{log}");
    assert!(given(&world, "prompt-2").contains("is not the report"));
    assert!(given(&world, "arguments-2").contains(&format!("resume {SESSION_ID}")));
    assert_eq!(world.with(|seen| seen.usage[0]["total_tokens"].clone()), 33);
}

#[tokio::test]
async fn two_turns_without_a_report_fail_the_run() {
    let silent = "echo '{\"type\":\"turn.completed\",\"usage\":{}}'\n";
    let world = world(&[silent, &says(&json!("Still done!"), 0, 0)]).await;
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 1, "{log}");
    assert!(
        log.contains("the agent's last message is no report"),
        "{log}"
    );
    assert_eq!(world.remote_branches(), ["main"]);
}

#[tokio::test]
async fn a_stored_session_is_continued_in_its_own_file() {
    let mut world = world(&[&says(&report(), 100, 10), &says(&report(), 250, 15)]).await;
    assert_eq!(world.run(&[]).await.0, 0);
    let stored = world.last_session();
    world.with(|seen| {
        seen.sessions.clear();
        seen.context["session"] = json!({
            "snapshot_version": 2, "session_id": stored["session_id"],
            "agent_session_json": stored["agent_session_json"],
        });
    });
    world.set("PROMPT_TEMPLATE_KIND", "revise");
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 0, "{log}");
    assert!(given(&world, "arguments-2").contains(&format!("resume {SESSION_ID}")));
    assert_eq!(given(&world, "session-2").lines().count(), 3);
    let restored = world.event_payload("run.agent.session.restored");
    assert!(
        restored["restored_session_path"]
            .as_str()
            .unwrap()
            .ends_with(SESSION_FILE),
        "{restored}"
    );
    let usage = world.with(|seen| seen.usage[1].clone());
    assert_eq!(
        (usage["turn_no"].clone(), usage["total_tokens"].clone()),
        (json!(2), json!(155))
    );
}

#[tokio::test]
async fn a_session_that_is_not_the_clis_begins_anew() {
    let strange = [
        json!({"adapter": "script", "runs": []}),
        json!({"adapter": "codex", "session_id": SESSION_ID, "file": "../../out.jsonl", "lines": [], "turns": 1, "usage": {}}),
    ];
    for state in strange {
        let world = world(&[&says(&report(), 1, 1)]).await;
        world.with(|seen| {
            seen.sessions
                .push(json!({"session_id": "7", "agent_session_json": state}))
        });
        let (code, log) = world.run(&[]).await;
        assert_eq!(code, 0, "{log}");
        assert!(!given(&world, "arguments-1").contains("resume"));
        assert!(
            !world
                .event_names()
                .contains(&"run.agent.session.restored".to_owned())
        );
    }
}

#[tokio::test]
async fn a_turn_that_fails_ends_the_run_with_its_words() {
    let fails =
        "echo '{\"type\":\"turn.failed\",\"error\":{\"message\":\"no such model\"}}'\nexit 1\n";
    let world = world(&[fails]).await;
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 1);
    assert!(log.contains("no such model"), "{log}");
    assert_eq!(world.last_session()["status"], "failed");
}

#[tokio::test]
async fn sigterm_in_the_middle_of_a_turn_keeps_what_the_cli_wrote() {
    let lingers = "printf '{\"type\":\"half\"' >> \"$session\"\necho lingering\nexec sleep 600\n";
    let world = world(&[lingers]).await;
    let mut child = world.start(&[]);
    world.logged("lingering").await;
    let pid = rustix::process::Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(143));
    let stored = world.last_session();
    assert_eq!(
        (stored["status"].as_str(), stored["session_id"].as_str()),
        (Some("running"), Some(SESSION_ID))
    );
    let lines = stored["agent_session_json"]["lines"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(world.leftovers(), 0);
}

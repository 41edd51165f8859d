//! The runner of a Job against a real git and small doubles of the control plane and GitHub.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent_support;

use agent_support::{BOT_TOKEN, RUN_ID, World};
use serde_json::json;

const WRITES_A_FILE: &str = "
stories:
  - when: {}
    steps:
      - status: {text: \"working on ${ISSUE_NUMBER}\"}
      - write: {path: src/cart.rs, content: \"// ${MODEL} on ${BRANCH}\\n\"}
      - print: {text: \"token bot-token-value\"}
    report: {summary: \"A cart\"}
";

fn one_step(step: &str) -> String {
    format!("stories:\n  - steps:\n      - {step}\n")
}

#[tokio::test]
async fn a_work_run_makes_a_branch_a_commit_and_one_pull_request() {
    let world = World::new(WRITES_A_FILE).await;
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 0, "{log}");
    assert_eq!(
        world.event_names(),
        [
            "run.agent.started",
            "run.agent.ready",
            "run.agent.status_reported",
            "run.agent.session.saved",
            "run.pr.created",
            "run.agent.session.saved",
        ]
    );
    assert_eq!(
        world.remote(&["show", "codex/issue-7:src/cart.rs"]),
        "// gpt-5.4 on codex/issue-7"
    );
    assert_eq!(
        world.remote(&["log", "-1", "--format=%an <%ae> %s", "codex/issue-7"]),
        "codex-bot <bot@example.test> Add a cart"
    );
    let created = world.event_payload("run.pr.created");
    assert_eq!(
        created["head_sha"],
        world.remote(&["rev-parse", "codex/issue-7"]).as_str()
    );
    assert_eq!(created["pr_number"], 10);
    assert_eq!(
        world.event_payload("run.agent.status_reported")["status_text"],
        "working on 7"
    );
    let pull = world.with(|seen| seen.pulls[0].clone());
    assert_eq!(
        (pull["title"].as_str(), pull["base"].as_str()),
        (Some("Add a cart"), Some("main"))
    );
    assert!(pull["body"].as_str().unwrap().contains("#7"));
    let session = world.last_session();
    assert_eq!(
        (session["status"].as_str(), session["pr_number"].as_u64()),
        (Some("succeeded"), Some(10))
    );
    assert_eq!(session["agent_session_json"]["runs"], json!([RUN_ID]));
    let logs = world.with(|seen| serde_json::to_string(&seen.logs).unwrap());
    assert!(logs.contains("[REDACTED]") && !logs.contains(BOT_TOKEN));
    assert_eq!(world.leftovers(), 0);
}

#[tokio::test]
async fn a_second_run_updates_the_same_pull_request() {
    let world = World::new(WRITES_A_FILE).await;
    assert_eq!(world.run(&[]).await.0, 0);
    let first_head = world.remote(&["rev-parse", "codex/issue-7"]);
    world.with(|seen| (seen.events.clear(), seen.sessions.clear()));
    assert_eq!(world.run(&[]).await.0, 0);
    assert_eq!(
        world.event_payload("run.pr.updated")["head_sha"],
        first_head.as_str()
    );
    assert!(!world.event_names().contains(&"run.pr.created".to_owned()));
    assert_eq!(world.with(|seen| seen.pulls.len()), 1);
}

#[tokio::test]
async fn a_limit_of_github_is_left_to_the_platform_once() {
    let world = World::new(WRITES_A_FILE).await;
    world.with(|seen| seen.limited = 2);
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 0, "{log}");
    let told = world.with(|seen| seen.limits.clone());
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (
            &told[0]["answer"]["status"],
            &told[0]["answer"]["retry_after_seconds"]
        ),
        (&json!(403), &json!(60))
    );
    assert_eq!(world.with(|seen| (seen.limited, seen.pulls.len())), (1, 0));
    let session = world.last_session();
    assert_eq!(session["status"], "running");
    assert_eq!(session["agent_session_json"]["runs"], json!([RUN_ID]));
    assert_eq!(world.leftovers(), 0);
}

#[tokio::test]
async fn a_limit_in_what_the_agent_runs_is_left_to_the_platform() {
    let words = "gh: API rate limit exceeded for user ID 7. (HTTP 403)";
    let fails = |words: &str| {
        one_step(&format!(
            "run: {{command: [sh, -c, \"echo '{words}' >&2; exit 1\"]}}"
        ))
    };
    let world = World::new(&fails(words)).await;
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 0, "{log}");
    let told = world.with(|seen| seen.limits.clone());
    assert_eq!(told[0]["answer"]["message"], words);
    assert_eq!(
        world.last_session()["agent_session_json"]["runs"],
        json!([RUN_ID])
    );

    let world = World::new(&fails("registry: 429 Too Many Requests")).await;
    assert_eq!(world.run(&[]).await.0, 1);
    assert!(world.with(|seen| seen.limits.is_empty()));
}

#[tokio::test]
async fn a_limit_that_nobody_waits_out_fails_the_run() {
    let world = World::new(WRITES_A_FILE).await;
    world.with(|seen| (seen.limited, seen.limits_are_failures) = (1, true));
    assert_eq!(world.run(&[]).await.0, 1);
    assert_eq!(world.last_session()["status"], "failed");
}

#[tokio::test]
async fn a_run_that_goes_on_is_told_how_its_wait_ended() {
    let mut world = World::new(WRITES_A_FILE).await;
    world.set("CORRELATION_ID", "github-rate-limit-resume:1");
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("nothing is known of how that ended"), "{log}");

    world.with(|seen| seen.resume_payload = Some(json!({"kind": "github_rate_limit"})));
    assert_eq!(world.run(&[]).await.0, 5, "without a session");

    world.with(|seen| {
        seen.context["session"] = json!({
            "snapshot_version": 1, "session_id": "s", "agent_session_json": {"adapter": "script", "runs": ["before"]},
        });
    });
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 0, "{log}");
    let said = world.with(|seen| serde_json::to_string(&seen.logs).unwrap());
    assert!(said.contains("goes on after github_rate_limit"), "{said}");
    assert_eq!(
        world.last_session()["agent_session_json"]["runs"],
        json!(["before", RUN_ID])
    );
}

#[tokio::test]
async fn what_the_agent_leaves_running_cannot_hold_the_run_up() {
    // It holds the output open; without its end the runner would wait for ten minutes.
    let world = World::new(&one_step(
        "run: {command: [sh, -c, \"sleep 600 & echo $! > left.txt\"]}",
    ))
    .await;
    let ended = tokio::time::timeout(std::time::Duration::from_secs(120), world.run(&[]));
    let (code, log) = ended.await.expect("the run ends");
    assert_eq!(code, 0, "{log}");
    let left = world.remote(&["show", "codex/issue-7:left.txt"]);
    let state = std::fs::read_to_string(format!("/proc/{left}/stat"));
    assert!(
        state.is_err() || state.is_ok_and(|stat| stat.contains(" Z ")),
        "process {left} is alive"
    );
}

#[tokio::test]
async fn a_tool_that_the_image_lacks_is_told_of_and_fails_nothing() {
    let world = World::new(
        "
stories:
  - steps:
      - run: {command: [sh, -c, \"no-such-tool --version || echo none > docs.md\"]}
    report: {summary: \"Done without it\", tool_gaps: [no-such-tool, helm]}
",
    )
    .await;
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 0, "{log}");
    assert_eq!(
        world.event_payload("run.toolchain.gap_detected"),
        json!({"tool_gaps": ["no-such-tool", "helm"], "sources": ["output", "report"]})
    );
}

#[tokio::test]
async fn a_tree_without_its_repository_is_told_of() {
    let world = World::new(&one_step("run: {command: [rm, -rf, .git]}")).await;
    assert_eq!(world.run(&[]).await.0, 1);
    let session = world.last_session();
    assert_eq!(session["status"], "failed");
    let error = session["error"].as_str().unwrap();
    assert!(error.contains("deleted the git repository"), "{error}");
}

#[tokio::test]
async fn what_is_told_of_a_failure_holds_no_secret() {
    let world = World::new(&one_step(&format!("run: {{command: [\"{BOT_TOKEN}\"]}}"))).await;
    assert_eq!(world.run(&[]).await.0, 1);
    let error = world.last_session()["error"].as_str().unwrap().to_owned();
    assert!(
        error.contains("[REDACTED]") && !error.contains(BOT_TOKEN),
        "{error}"
    );
}

#[tokio::test]
async fn a_full_env_run_works_in_the_prepared_tree() {
    let mut world = World::new(WRITES_A_FILE).await;
    let start = world.remote(&["rev-parse", "main"]);
    world.set("RUNTIME_MODE", "full-env");
    world.set("RUNTIME_BUILD_REF", &start);
    std::fs::create_dir_all(world.workspace()).unwrap();
    std::fs::write(world.workspace().join("left-over"), "x").unwrap();
    assert_eq!(world.run(&["source"]).await.0, 0);
    assert!(!world.workspace().join("left-over").exists());
    assert_eq!(world.event_names(), [""; 0]);
    assert_eq!(world.run(&[]).await.0, 0);
    assert_eq!(world.remote(&["rev-parse", "codex/issue-7~1"]), start);

    // The next run finds the tree on a branch and prepares it again.
    std::fs::write(world.workspace().join("left-over"), "x").unwrap();
    let head = world.remote(&["rev-parse", "codex/issue-7"]);
    world.set("RUNTIME_BUILD_REF", &head);
    assert_eq!(world.run(&["source"]).await.0, 0);
    assert!(!world.workspace().join("left-over").exists());
    assert!(world.workspace().join("src/cart.rs").exists());
    let config = std::fs::read_to_string(world.workspace().join(".git/config")).unwrap();
    assert!(!config.contains(BOT_TOKEN));
}

#[tokio::test]
async fn a_write_outside_the_scope_ends_with_42_and_pushes_nothing() {
    let world = World::new(WRITES_A_FILE).await;
    world.with(|seen| seen.context["run"]["write_scope"] = json!("markdown_only"));
    assert_eq!(world.run(&[]).await.0, 42);
    let session = world.last_session();
    assert_eq!(session["status"], "failed_precondition");
    assert_eq!(session["error_paths"], json!(["src/cart.rs"]));
    assert!(session["error"].as_str().unwrap().contains("src/cart.rs"));
    assert_eq!(world.remote_branches(), ["main"]);
    assert_eq!(world.with(|seen| seen.pulls.len()), 0);
    assert_eq!(
        world.event_names().last().map(String::as_str),
        Some("run.agent.session.saved")
    );
}

#[tokio::test]
async fn a_commit_of_the_agent_itself_counts_for_the_scope() {
    let script = "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x";
    let world = World::new(&one_step(&format!(
        "run: {{command: [sh, -c, \"{script}\"]}}"
    )))
    .await;
    world.with(|seen| seen.context["run"]["write_scope"] = json!("no_repo_changes"));
    assert_eq!(world.run(&[]).await.0, 42);
    assert!(
        world.last_session()["error"]
            .as_str()
            .unwrap()
            .contains("made a commit")
    );
}

#[tokio::test]
async fn a_revise_run_continues_the_session_on_the_same_pull_request() {
    let mut world = World::new(WRITES_A_FILE).await;
    assert_eq!(world.run(&[]).await.0, 0);
    let stored = world.last_session();
    world.with(|seen| {
        seen.events.clear();
        seen.sessions.clear();
        seen.context["session"] = json!({
            "snapshot_version": 3, "session_id": stored["session_id"],
            "agent_session_json": stored["agent_session_json"],
        });
    });
    world.set("PROMPT_TEMPLATE_KIND", "revise");
    world.set("RUN_TRIGGER_KIND", "dev_revise");
    world.set("AGENT_MODEL", "gpt-5.2");
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 0, "{log}");
    let names = world.event_names();
    assert!(names.contains(&"run.agent.session.restored".to_owned()));
    assert!(names.contains(&"run.agent.resume.used".to_owned()));
    assert_eq!(world.event_payload("run.pr.updated")["pr_number"], 10);
    assert_eq!(world.last_session()["session_id"], stored["session_id"]);
    assert_eq!(
        world.last_session()["agent_session_json"]["runs"],
        json!([RUN_ID, RUN_ID])
    );
    assert_eq!(
        world.remote(&["rev-list", "--count", "main..codex/issue-7"]),
        "2"
    );
}

#[tokio::test]
async fn revise_without_branch_or_pull_request_ends_with_42() {
    let mut world = World::new(WRITES_A_FILE).await;
    world.set("PROMPT_TEMPLATE_KIND", "revise");
    assert_eq!(world.run(&[]).await.0, 42);
    assert_eq!(
        world.event_payload("run.revise.pr_not_found"),
        json!({"branch": "codex/issue-7", "reason": "branch_not_found"})
    );
    assert_eq!(world.last_session()["status"], "failed_precondition");

    world.remote(&["branch", "codex/issue-7", "main"]);
    world.with(|seen| (seen.events.clear(), seen.sessions.clear()));
    assert_eq!(world.run(&[]).await.0, 42);
    assert_eq!(
        world.event_payload("run.revise.pr_not_found")["reason"],
        "pr_not_found"
    );
}

#[tokio::test]
async fn a_branch_that_vanishes_during_the_run_is_not_pushed_again() {
    let mut world = World::new(
        "stories:\n  - steps:\n      - write: {path: a.rs, content: x}\n      - delete_remote_branch: {}\n",
    )
    .await;
    world.remote(&["branch", "codex/issue-7", "main"]);
    world.with(|seen| {
        seen.pulls
            .push(json!({"number": 10, "head": "codex/issue-7", "html_url": "u"}))
    });
    world.set("PROMPT_TEMPLATE_KIND", "revise");
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 42, "{log}");
    assert_eq!(
        world.event_payload("run.revise.pr_not_found")["reason"],
        "branch_not_found"
    );
    assert_eq!(world.remote_branches(), ["main"]);
}

#[tokio::test]
async fn failures_of_the_agent_end_with_1_and_say_why() {
    for (story, reason) in [
        (one_step("exit: {code: 3}"), "exit code 3"),
        (
            one_step("delete: {path: missing}"),
            "step 1 of the story failed",
        ),
        (
            one_step("write: {path: ../x, content: x}"),
            "leaves the tree",
        ),
        (one_step("print: {bytes: 10}"), "changed nothing"),
        ("stories: []".to_owned(), "no story matches"),
    ] {
        let world = World::new(&story).await;
        let (code, log) = world.run(&[]).await;
        assert_eq!(code, 1, "{reason}: {log}");
        assert!(log.contains(reason), "{reason}: {log}");
        assert_eq!(world.last_session()["status"], "failed");
        assert_eq!(world.remote_branches(), ["main"]);
    }
}

#[tokio::test]
async fn a_documentation_audit_may_change_nothing() {
    let mut world = World::new(&one_step("print: {bytes: 10}")).await;
    world.set("RUN_TRIGGER_KIND", "doc_audit");
    assert_eq!(world.run(&[]).await.0, 0);
    assert_eq!(world.last_session()["status"], "succeeded");
    assert_eq!(world.with(|seen| seen.pulls.len()), 0);
    // A replacement Pod says it no second time.
    assert_eq!(world.run(&[]).await.0, 0);
    assert_eq!(world.with(|seen| seen.comments.len()), 1);
}

#[tokio::test]
async fn a_self_improvement_needs_evidence_and_pushes_nothing_without() {
    let report = |evidence: &str| {
        format!(
            "stories: [{{steps: [{{write: {{path: a.md, content: x}}}}], report: {{summary: s, diagnosis: d, \
             action_items: [a], evidence_refs: [{evidence}]}}}}]"
        )
    };
    let mut world = World::new(&report("")).await;
    world.set("RUN_TRIGGER_KIND", "self_improve");
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 1);
    assert!(log.contains("lacks evidence_refs"), "{log}");
    assert_eq!(world.remote_branches(), ["main"]);

    let mut world = World::new(&report("e")).await;
    world.set("RUN_TRIGGER_KIND", "self_improve");
    assert_eq!(world.run(&[]).await.0, 0);
    let payload = world.event_payload("run.self_improve.diagnosis_ready");
    assert_eq!(
        (&payload["diagnosis"], &payload["evidence_refs"]),
        (&json!("d"), &json!(["e"]))
    );

    // Its revise may leave the report out (L-110).
    let mut world = World::new(&one_step("write: {path: a.md, content: x}")).await;
    world.set("RUN_TRIGGER_KIND", "self_improve_revise");
    assert_eq!(world.run(&[]).await.0, 0);
}

#[tokio::test]
async fn a_repair_goes_to_the_base_branch_and_is_told_under_the_issue() {
    let mut world = World::new(&one_step("write: {path: a.rs, content: x}")).await;
    world.set("RUN_TRIGGER_KIND", "ai_repair");
    let before = world.remote(&["rev-parse", "main"]);
    assert_eq!(world.run(&[]).await.0, 0);
    assert_ne!(world.remote(&["rev-parse", "main"]), before);
    assert_eq!(world.remote_branches(), ["main"]);
    assert_eq!(
        world.with(|seen| (seen.pulls.len(), seen.comments.len())),
        (0, 1)
    );
    let payload = world.event_payload("run.agent.status_reported");
    assert_eq!(payload["main_direct"], true);
}

/// A discussion that looks at these states of its thread, one after the other.
async fn discussion(story: &str, looks: serde_json::Value) -> World {
    let mut world = World::new(story).await;
    world.set("PROMPT_TEMPLATE_KIND", "discussion");
    world.set("DISCUSSION_POLL_INTERVAL_MS", "1");
    world.with(|seen| {
        seen.context["run"]["write_scope"] = json!("discussion");
        seen.discussions = looks.as_array().cloned().unwrap();
    });
    world
}

const ANSWERS: &str = "stories: [{steps: [], report: {summary: \"${REMARK_COUNT}: ${REMARKS}\"}}]";

#[tokio::test]
async fn a_discussion_answers_several_remarks_at_once_and_ends_when_it_is_told() {
    let remark = |id: i64, answered: bool| json!({"id": id, "author": "alice", "body": format!("r{id}"), "answered": answered});
    // GitHub shows the answer late: the third look still calls both remarks unanswered.
    let world = discussion(
        ANSWERS,
        json!([
            {"comments": [], "has_spoken": false},
            {"comments": [remark(1, false), remark(2, false)], "has_spoken": true},
            {"comments": [remark(1, false), remark(2, false)], "has_spoken": true},
            {"stop_reason": "discussion_label_removed"},
        ]),
    )
    .await;
    assert_eq!(world.run(&[]).await.0, 0);
    let said: Vec<String> = world.with(|seen| {
        seen.comments
            .iter()
            .map(|comment| {
                comment["body"]
                    .as_str()
                    .unwrap()
                    .lines()
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    });
    assert_eq!(said, ["0: ", "2: alice: r1"]);
    let reactions: Vec<String> = world.with(|seen| {
        seen.reactions
            .iter()
            .map(|(comment, content)| format!("{comment} {content}"))
            .collect()
    });
    assert_eq!(reactions, ["1 eyes", "2 eyes", "1 +1", "2 +1"]);
    let stops: Vec<serde_json::Value> = world.with(|seen| {
        seen.events
            .iter()
            .filter_map(|(_, payload)| payload.get("stop_reason").cloned())
            .collect()
    });
    assert_eq!(stops, ["discussion_label_removed"]);
    assert_eq!(world.remote_branches(), ["main"]);
}

#[tokio::test]
async fn a_later_session_says_nothing_twice() {
    let answered = json!({"id": 1, "author": "alice", "body": "r1", "answered": true});
    let world = discussion(
        ANSWERS,
        json!([
            {"comments": [answered], "has_spoken": true},
            {"stop_reason": "issue_closed_or_deleted"},
        ]),
    )
    .await;
    assert_eq!(world.run(&[]).await.0, 0);
    assert_eq!(world.with(|seen| seen.comments.len()), 0);
    // An answer whose thanks were lost with its session is thanked for again: GitHub keeps one.
    assert_eq!(
        world.with(|seen| seen.reactions.clone()),
        [(1, "+1".to_owned())]
    );
}

#[tokio::test]
async fn a_discussion_that_writes_violates_its_scope() {
    let world = discussion(
        &one_step("write: {path: a.md, content: x}"),
        json!([{"comments": [], "has_spoken": false}]),
    )
    .await;
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 42, "{log}");
    assert_eq!(world.with(|seen| seen.comments.len()), 0);
    assert_eq!(world.last_session()["status"], "failed_precondition");
}

#[tokio::test]
async fn nothing_is_written_before_the_settings_are_complete() {
    let mut world = World::new(WRITES_A_FILE).await;
    world.environment.remove("CODEXK8S_AGENT_KEY");
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 1);
    assert!(log.contains("CODEXK8S_AGENT_KEY"), "{log}");
    assert_eq!(world.with(|seen| seen.requests), 0);
    assert!(!world.workspace().exists());
}

#[tokio::test]
async fn a_restarting_control_plane_is_waited_for() {
    let world = World::new(WRITES_A_FILE).await;
    world.with(|seen| seen.unavailable = 3);
    assert_eq!(world.run(&[]).await.0, 0);
    assert_eq!(world.with(|seen| seen.requests), 4);
}

#[tokio::test]
async fn one_stale_snapshot_is_reloaded_and_two_end_the_run() {
    let world = World::new(WRITES_A_FILE).await;
    world.with(|seen| seen.conflicts = 1);
    assert_eq!(world.run(&[]).await.0, 0);
    world.with(|seen| seen.conflicts = 2);
    let (code, log) = world.run(&[]).await;
    assert_eq!(code, 1);
    assert!(log.contains("changed by someone else"), "{log}");
}

#[tokio::test]
async fn sigterm_stores_the_session_and_removes_the_credentials() {
    let world = World::new(&format!(
        "stories:\n  - steps:\n      - status: {{text: waiting}}\n      - gate: {{file: \"{}\"}}\n",
        "/nonexistent/gate"
    ))
    .await;
    let mut child = world.start(&[]);
    world.event_reported("run.agent.status_reported").await;
    assert_eq!(world.leftovers(), 1);
    let pid = rustix_pid(child.id().unwrap());
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = child.wait().await.unwrap();
    assert_eq!(status.code(), Some(143));
    let session = world.last_session();
    assert_eq!(session["status"], "running");
    assert_eq!(session["agent_session_json"]["runs"], json!([RUN_ID]));
    assert_eq!(world.leftovers(), 0);
}

fn rustix_pid(id: u32) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(id.cast_signed()).unwrap()
}

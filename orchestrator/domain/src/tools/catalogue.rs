//! The effective catalogue: which run sees which tool (G-14 to G-21).

use serde::{Deserialize, Serialize};

use crate::stages::{Stage, TriggerKind, spelled};

spelled!(
    /// A tool by its canonical name, in the order of `tools/list`.
    ToolName {
        /// A database of the project.
        DatabaseLifecycle = "database.lifecycle",
        /// Sets labels.
        LabelsAdd = "github_labels_add",
        /// Reads labels.
        LabelsList = "github_labels_list",
        /// Takes labels off.
        LabelsRemove = "github_labels_remove",
        /// Takes labels off and sets others in their place.
        LabelsTransition = "github_labels_transition",
        /// A question to the owner.
        OwnerFeedback = "owner.feedback.request",
        /// What the agent is doing.
        StatusReport = "run_status_report",
        /// A secret on GitHub and in the cluster.
        SecretSync = "secret.sync.github_k8s",
        /// One run of the project.
        SelfImproveRunLookup = "self_improve_run_lookup",
        /// The runs of the project.
        SelfImproveRunsList = "self_improve_runs_list",
        /// The session of a run.
        SelfImproveSessionGet = "self_improve_session_get",
        /// A question to whom the run works for.
        UserDecision = "user.decision.request",
        /// A word to whom the run works for.
        UserNotify = "user.notify",
    }
);

spelled!(
    /// What a call may do to the world (1.3).
    ToolCategory {
        /// Nothing.
        Read = "read",
        /// Something that a later call undoes.
        Write = "write",
        /// Something that needs somebody's word.
        Privileged = "privileged",
    }
);

/// What the catalogue depends on; none of it changes while the run lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolRun {
    /// `agents.agent_key`.
    pub agent_key: String,
    /// What kind of work the run does.
    pub trigger_kind: TriggerKind,
    /// Whether it only talks.
    pub discussion: bool,
    /// `full-env` or `code-only`.
    pub runtime_mode: String,
}

impl ToolName {
    /// The tool that a call names: its name, or an alias that is never listed (G-18).
    pub fn called(name: &str) -> Option<Self> {
        match name {
            "secret.sync.k8s" => Some(ToolName::SecretSync),
            name => ToolName::from_text(name),
        }
    }

    /// The category of 1.3.
    pub fn category(self) -> ToolCategory {
        match self {
            ToolName::LabelsList
            | ToolName::SelfImproveRunLookup
            | ToolName::SelfImproveRunsList
            | ToolName::SelfImproveSessionGet => ToolCategory::Read,
            ToolName::LabelsAdd
            | ToolName::LabelsRemove
            | ToolName::LabelsTransition
            | ToolName::StatusReport
            | ToolName::UserDecision
            | ToolName::UserNotify => ToolCategory::Write,
            ToolName::DatabaseLifecycle | ToolName::OwnerFeedback | ToolName::SecretSync => {
                ToolCategory::Privileged
            }
        }
    }

    /// Whether the run may call the tool now: the rows G-14 to G-18.
    pub fn is_open_to(self, run: &ToolRun) -> bool {
        let improves = run.trigger_kind.stage() == Some(Stage::SelfImprove);
        match self {
            ToolName::StatusReport => true,
            ToolName::LabelsAdd
            | ToolName::LabelsList
            | ToolName::LabelsRemove
            | ToolName::LabelsTransition => !run.discussion,
            ToolName::UserDecision | ToolName::UserNotify => !improves,
            ToolName::SelfImproveRunLookup
            | ToolName::SelfImproveRunsList
            | ToolName::SelfImproveSessionGet => improves,
            ToolName::OwnerFeedback => !improves && !run.discussion && run.agent_key != "reviewer",
            ToolName::DatabaseLifecycle | ToolName::SecretSync => {
                let repairs = run.trigger_kind.stage() == Some(Stage::AiRepair);
                let works = matches!(run.trigger_kind.stage(), Some(Stage::Dev | Stage::Ops))
                    && run.runtime_mode == "full-env";
                let by_role = matches!(run.agent_key.as_str(), "dev" | "sre");
                by_role && !run.discussion && (repairs || works)
            }
        }
    }
}

/// What the run sees, sorted by name.
pub fn effective(run: &ToolRun) -> Vec<ToolName> {
    let mut tools: Vec<ToolName> = ToolName::ALL
        .iter()
        .copied()
        .filter(|tool| tool.is_open_to(run))
        .collect();
    tools.sort_by_key(|tool| tool.as_str());
    tools
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kind: TriggerKind) -> ToolRun {
        ToolRun {
            agent_key: "dev".to_owned(),
            trigger_kind: kind,
            discussion: false,
            runtime_mode: "full-env".to_owned(),
        }
    }

    fn names(run: &ToolRun) -> Vec<&'static str> {
        effective(run).into_iter().map(ToolName::as_str).collect()
    }

    #[test]
    fn every_run_but_a_discussion_may_label() {
        let dev = run(TriggerKind::Work(Stage::Dev));
        assert_eq!(
            names(&dev),
            [
                "database.lifecycle",
                "github_labels_add",
                "github_labels_list",
                "github_labels_remove",
                "github_labels_transition",
                "owner.feedback.request",
                "run_status_report",
                "secret.sync.github_k8s",
                "user.decision.request",
                "user.notify"
            ]
        );
        let talk = ToolRun {
            discussion: true,
            ..dev
        };
        assert_eq!(
            names(&talk),
            ["run_status_report", "user.decision.request", "user.notify"]
        );
        for kind in [
            TriggerKind::Work(Stage::SelfImprove),
            TriggerKind::Revise(Stage::SelfImprove),
        ] {
            assert_eq!(
                names(&run(kind)),
                [
                    "github_labels_add",
                    "github_labels_list",
                    "github_labels_remove",
                    "github_labels_transition",
                    "run_status_report",
                    "self_improve_run_lookup",
                    "self_improve_runs_list",
                    "self_improve_session_get"
                ]
            );
        }
    }

    #[test]
    fn the_owner_is_asked_by_those_who_work_on_a_stage() {
        let dev = run(TriggerKind::Work(Stage::Dev));
        let reviewer = ToolRun {
            agent_key: "reviewer".to_owned(),
            ..dev.clone()
        };
        let talk = ToolRun {
            discussion: true,
            ..dev.clone()
        };
        let cases = [
            (dev, true),
            (run(TriggerKind::Revise(Stage::Plan)), true),
            (run(TriggerKind::Work(Stage::SelfImprove)), false),
            (reviewer, false),
            (talk, false),
        ];
        for (run, expected) in cases {
            let seen = ToolName::OwnerFeedback.is_open_to(&run);
            assert_eq!(seen, expected, "{run:?}");
        }
    }

    #[test]
    fn privileged_tools_are_meant_for_those_who_build_or_operate() {
        let cases = [
            ("dev", TriggerKind::Work(Stage::Dev), "full-env", true),
            ("dev", TriggerKind::Revise(Stage::Dev), "full-env", true),
            ("sre", TriggerKind::Work(Stage::Ops), "full-env", true),
            ("dev", TriggerKind::Work(Stage::Dev), "code-only", false),
            ("sre", TriggerKind::Work(Stage::AiRepair), "code-only", true),
            ("qa", TriggerKind::Work(Stage::Qa), "full-env", false),
            ("qa", TriggerKind::Work(Stage::Dev), "full-env", false),
        ];
        for (agent, kind, mode, expected) in cases {
            let run = ToolRun {
                agent_key: agent.to_owned(),
                runtime_mode: mode.to_owned(),
                ..run(kind)
            };
            let meant = ToolName::SecretSync.is_open_to(&run);
            assert_eq!(meant, expected, "{agent} {kind} {mode}");
        }
    }

    #[test]
    fn an_alias_is_the_tool_and_other_names_are_unknown() {
        assert_eq!(
            ToolName::called("secret.sync.k8s"),
            Some(ToolName::SecretSync)
        );
        for unknown in ["github_issue_get", "k8s_pods_list", "RUN_STATUS_REPORT", ""] {
            assert_eq!(ToolName::called(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn the_names_are_spelled_in_the_order_in_which_they_are_listed() {
        let mut sorted = ToolName::ALL.to_vec();
        sorted.sort_by_key(|tool| tool.as_str());
        assert_eq!(sorted, ToolName::ALL);
    }
}

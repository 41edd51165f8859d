//! The file format of the script adapter: stories with conditions, each a list of steps.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// All stories of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stories {
    pub(super) stories: Vec<Story>,
}

/// What one kind of run does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Story {
    #[serde(default)]
    pub(super) when: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) steps: Vec<Step>,
    #[serde(default)]
    pub(super) report: Option<Report>,
}

/// The agent's report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Report {
    #[serde(default)]
    pub(super) summary: String,
    #[serde(default)]
    pub(super) pull_request: Option<u64>,
    #[serde(default)]
    pub(super) diagnosis: String,
    #[serde(default)]
    pub(super) action_items: Vec<String>,
    #[serde(default)]
    pub(super) evidence_refs: Vec<String>,
    #[serde(default)]
    pub(super) tool_gaps: Vec<String>,
    #[serde(default)]
    pub(super) risk_signals: Vec<String>,
}

/// One step: a mapping with exactly one key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) write: Option<WriteFile>,
    pub(super) delete: Option<DeleteFile>,
    pub(super) run: Option<RunCommand>,
    pub(super) status: Option<Status>,
    pub(super) tool: Option<CallTool>,
    pub(super) gate: Option<Gate>,
    pub(super) review: Option<Review>,
    pub(super) delete_remote_branch: Option<Empty>,
    pub(super) exit: Option<Exit>,
    pub(super) print: Option<Print>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WriteFile {
    pub(super) path: String,
    pub(super) content: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteFile {
    pub(super) path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunCommand {
    pub(super) command: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Status {
    pub(super) text: String,
}

/// A call of one of the platform's tools; a refusal is an answer, with which the story goes on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallTool {
    pub(super) name: String,
    #[serde(default)]
    pub(super) arguments: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gate {
    pub(super) file: String,
}

/// A review of the run's pull request, as the agent itself would submit it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Review {
    pub(super) text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exit {
    pub(super) code: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Print {
    #[serde(default)]
    pub(super) bytes: usize,
    #[serde(default)]
    pub(super) text: String,
}

impl Stories {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let stories: Self = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        for story in &stories.stories {
            for (index, step) in story.steps.iter().enumerate() {
                if step.actions() != 1 {
                    return Err(format!("step {} must have exactly one action", index + 1));
                }
            }
        }
        Ok(stories)
    }

    /// The first story whose conditions all hold.
    pub(super) fn select(&self, facts: &BTreeMap<&str, String>) -> Option<&Story> {
        self.stories.iter().find(|story| {
            story
                .when
                .iter()
                .all(|(key, value)| facts.get(key.as_str()).is_some_and(|fact| fact == value))
        })
    }
}

impl Step {
    fn actions(&self) -> usize {
        [
            self.write.is_some(),
            self.delete.is_some(),
            self.run.is_some(),
            self.status.is_some(),
            self.tool.is_some(),
            self.gate.is_some(),
            self.review.is_some(),
            self.delete_remote_branch.is_some(),
            self.exit.is_some(),
            self.print.is_some(),
        ]
        .into_iter()
        .filter(|present| *present)
        .count()
    }
}

/// Replaces `${NAME}`; unknown names stay.
pub(super) fn expand(text: &str, variables: &[(&str, String)]) -> String {
    let mut result = text.to_owned();
    for (name, value) in variables {
        result = result.replace(&format!("${{{name}}}"), value);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORIES: &str = "
stories:
  - when: {trigger_kind: dev, agent: dev}
    steps:
      - write: {path: src/lib.rs, content: \"// issue ${ISSUE_NUMBER}\\n\"}
      - delete_remote_branch: {}
      - review: {text: ready}
      - exit: {code: 3}
    report: {summary: done}
  - when: {}
    steps: []
";

    #[test]
    fn the_first_matching_story_is_played() {
        let stories = Stories::parse(STORIES).expect("well formed");
        let facts = |kind: &str| {
            BTreeMap::from([
                ("trigger_kind", kind.to_owned()),
                ("agent", "dev".to_owned()),
            ])
        };
        assert_eq!(
            stories.select(&facts("dev")).expect("a story").steps.len(),
            4
        );
        assert_eq!(
            stories.select(&facts("plan")).expect("a story").steps.len(),
            0
        );
    }

    #[test]
    fn a_step_has_exactly_one_known_action() {
        let two = "stories: [{steps: [{exit: {code: 1}, status: {text: x}}]}]";
        assert_eq!(
            Stories::parse(two),
            Err("step 1 must have exactly one action".to_owned())
        );
        assert!(Stories::parse("stories: [{steps: [{dance: {}}]}]").is_err());
    }

    #[test]
    fn variables_are_expanded() {
        assert_eq!(
            expand("a ${RUN_ID} ${X}", &[("RUN_ID", "7".to_owned())]),
            "a 7 ${X}"
        );
    }
}

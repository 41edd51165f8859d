//! Playing against a null orchestrator (E-40): every `Given` meets the product, and from its first `When` or `Then` on
//! a scenario's repositories meet the null. The turn is a step of its own, so that it shows in the results.

use std::path::{Path, PathBuf};

use cucumber::{
    cli,
    parser::{self, Parser},
};
use futures::{Stream, StreamExt as _};
use gherkin::{Scenario, StepType};

/// The sentence of the turn; `definitions::null` matches it.
pub(crate) const TURN: &str = "the orchestrator does less from here on";

/// Which part of a scenario meets the null.
#[derive(Clone, Debug)]
pub enum NullPlay {
    /// All of it.
    FromTheStart,
    /// What comes after the last `Given`.
    FromTheTurn(Switches),
}

impl NullPlay {
    pub(crate) fn switches(&self) -> Option<&Switches> {
        match self {
            Self::FromTheStart => None,
            Self::FromTheTurn(switches) => Some(switches),
        }
    }
}

/// A folder that the null orchestrator looks into: a repository whose file is there meets the null.
#[derive(Clone, Debug)]
pub struct Switches {
    folder: PathBuf,
}

impl Switches {
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Lets `owner/name` meet the null from now on.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn turn(&self, repository: &str) -> std::io::Result<()> {
        let file = self.folder.join(repository.to_lowercase());
        std::fs::create_dir_all(file.parent().unwrap_or(&self.folder))?;
        std::fs::write(file, "")
    }
}

/// Reads feature files as cucumber does, and inserts the turn where it is asked to.
pub(crate) struct Turning {
    inner: parser::Basic,
    turns: bool,
}

impl Turning {
    pub(crate) fn new(turns: bool) -> Self {
        Self {
            inner: parser::Basic::new(),
            turns,
        }
    }
}

impl<I: AsRef<Path>> Parser<I> for Turning {
    type Cli = cli::Empty;
    type Output = std::pin::Pin<Box<dyn Stream<Item = parser::Result<gherkin::Feature>>>>;

    fn parse(self, input: I, _: Self::Cli) -> Self::Output {
        let turns = self.turns;
        let features = self.inner.parse(input, parser::basic::Cli::default());
        Box::pin(features.map(move |feature| {
            feature.map(|mut feature| {
                let of_rules = feature
                    .rules
                    .iter_mut()
                    .flat_map(|rule| &mut rule.scenarios);
                for scenario in feature.scenarios.iter_mut().chain(of_rules) {
                    if turns {
                        insert_turn(scenario);
                    }
                }
                feature
            })
        }))
    }
}

fn insert_turn(scenario: &mut Scenario) {
    let first = scenario
        .steps
        .iter()
        .position(|step| step.ty != StepType::Given);
    let Some(first) = first else { return };
    let mut turn = scenario.steps[first].clone();
    turn.keyword = "Given ".to_owned();
    turn.ty = StepType::Given;
    turn.value = TURN.to_owned();
    turn.docstring = None;
    turn.table = None;
    scenario.steps.insert(first, turn);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEATURE: &str = "Feature: F
  Scenario: S
    Given a
    And b
    When c
    And d
    Then e
    When f
  Scenario Outline: O
    Then <x>
    Examples:
      | x |
      | 1 |
";

    async fn steps(turns: bool) -> Vec<Vec<String>> {
        let folder = std::env::temp_dir().join(uuid::Uuid::new_v4().to_string());
        std::fs::create_dir(&folder).expect("a folder");
        let file = folder.join("f.feature");
        std::fs::write(&file, FEATURE).expect("a file");
        let features: Vec<_> = Turning::new(turns)
            .parse(&file, cli::Empty::default())
            .collect()
            .await;
        std::fs::remove_dir_all(&folder).expect("removed");
        features
            .into_iter()
            .flat_map(|feature| feature.expect("valid").scenarios)
            .map(|scenario| {
                let sentence = |step: &gherkin::Step| format!("{}{}", step.keyword, step.value);
                scenario.steps.iter().map(sentence).collect()
            })
            .collect()
    }

    #[tokio::test]
    async fn the_turn_comes_after_the_last_given_before_anything_else() {
        let turn = format!("Given {TURN}");
        assert_eq!(
            steps(true).await,
            [
                vec![
                    "Given a", "And b", &turn, "When c", "And d", "Then e", "When f"
                ],
                vec![&turn, "Then 1"],
            ]
        );
    }

    #[tokio::test]
    async fn the_product_is_played_as_it_is_written() {
        assert_eq!(steps(false).await[0].len(), 6);
        assert_eq!(steps(false).await[1], ["Then 1"]);
    }

    #[test]
    fn a_switch_is_a_file_named_after_its_repository() {
        let folder = std::env::temp_dir().join(uuid::Uuid::new_v4().to_string());
        let switches = Switches::new(folder.clone());
        switches.turn("Shop-1/app").expect("a switch");
        assert!(folder.join("shop-1/app").is_file());
        assert!(!folder.join("shop-2").exists());
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}

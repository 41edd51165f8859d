//! Reads feature files as cucumber does, and puts in the place of each scenario its plays.
use std::{path::Path, sync::Arc};

use cucumber::{
    cli,
    parser::{self, Parser},
};
use futures::{Stream, StreamExt as _};
use gherkin::{Scenario, Step, StepType};

use super::{Disturbance, Plays};
use crate::selection::feature_name;

/// The sentence in the place of `Then`s that a further `Given` or `When` follows.
const REST: &str = "the platform has come to rest";
/// The sentence before the first `When` of a play with a death.
const ARM: &str = "a process may die from now on";
/// The last sentence of a play.
const END: &str = "the end state is taken";
/// Begins the tag that holds the number of a play.
const NUMBER: &str = "play-";

/// The number of the play among a scenario's tags.
pub(crate) fn number_in(tags: &[String]) -> Option<u32> {
    tags.iter()
        .find_map(|tag| tag.strip_prefix(NUMBER)?.parse().ok())
}

pub(super) struct Replaying {
    inner: parser::Basic,
    plays: Arc<Plays>,
}

impl Replaying {
    pub(super) fn new(plays: Arc<Plays>) -> Self {
        Self {
            inner: parser::Basic::new(),
            plays,
        }
    }
}

impl<I: AsRef<Path>> Parser<I> for Replaying {
    type Cli = cli::Empty;
    type Output = std::pin::Pin<Box<dyn Stream<Item = parser::Result<gherkin::Feature>>>>;

    fn parse(self, input: I, _: Self::Cli) -> Self::Output {
        let plays = self.plays;
        let features = self.inner.parse(input, parser::basic::Cli::default());
        Box::pin(features.map(move |feature| {
            feature.map(|mut feature| {
                let name = feature
                    .path
                    .as_deref()
                    .map(feature_name)
                    .unwrap_or_default();
                let scenarios = std::mem::take(&mut feature.scenarios);
                feature.scenarios = scenarios
                    .iter()
                    .flat_map(|scenario| {
                        plays
                            .of(&name, scenario.position.line)
                            .map(|number| played(scenario, number, plays.disturbance(number)))
                    })
                    .collect();
                feature
            })
        }))
    }
}

fn played(scenario: &Scenario, number: u32, disturbance: Option<&Disturbance>) -> Scenario {
    let mut play = scenario.clone();
    play.tags.push(format!("{NUMBER}{number}"));
    play.steps = Vec::new();
    let mut looked = None;
    let mut to_arm = matches!(disturbance, Some(Disturbance::Death(_)));
    for step in &scenario.steps {
        if step.ty == StepType::When && std::mem::take(&mut to_arm) {
            play.steps.push(in_place_of(step, ARM));
        }
        if step.ty == StepType::Then {
            looked = Some(step);
            continue;
        }
        if let Some(then) = looked.take() {
            play.steps.push(in_place_of(then, REST));
        }
        play.steps.push(step.clone());
    }
    if let Some(last) = scenario.steps.last() {
        play.steps.push(in_place_of(last, END));
    }
    play
}

fn in_place_of(step: &Step, sentence: &str) -> Step {
    let mut step = step.clone();
    step.keyword = "Given ".to_owned();
    step.ty = StepType::Given;
    step.value = sentence.to_owned();
    step.docstring = None;
    step.table = None;
    step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery_play::Play;

    const FEATURE: &str = "Feature: F
  @XX-01
  Scenario: S
    Given a
    When b
    Then c
    And d
    When e
    And f
    Then g
  @XX-02
  Scenario: Not played
    Given h
";

    #[tokio::test]
    async fn each_play_keeps_what_people_do_and_looks_only_at_its_end() {
        let folder = std::env::temp_dir().join(uuid::Uuid::new_v4().to_string());
        std::fs::create_dir(&folder).expect("a folder");
        let file = folder.join("f.feature");
        std::fs::write(&file, FEATURE).expect("a file");
        let play = |number| Play {
            number,
            feature: "f".to_owned(),
            line: 3,
            disturbance: Disturbance::Nothing,
        };
        let deadly = Play {
            disturbance: Disturbance::Death(None),
            ..play(9)
        };
        let plays = Arc::new(Plays::new(vec![play(4), deadly]));
        let features: Vec<_> = Replaying::new(plays)
            .parse(&file, cli::Empty::default())
            .collect()
            .await;
        std::fs::remove_dir_all(&folder).expect("removed");
        let scenarios: Vec<_> = features
            .into_iter()
            .flat_map(|feature| feature.expect("valid").scenarios)
            .collect();
        let numbers: Vec<_> = scenarios
            .iter()
            .map(|scenario| number_in(&scenario.tags))
            .collect();
        assert_eq!(numbers, [Some(4), Some(9)]);
        let expected: [&[&str]; 2] = [
            &["a", "b", REST, "e", "f", END],
            &["a", ARM, "b", REST, "e", "f", END],
        ];
        for (scenario, expected) in scenarios.into_iter().zip(expected) {
            let steps: Vec<_> = scenario
                .steps
                .iter()
                .map(|step| step.value.as_str())
                .collect();
            assert_eq!(steps, expected);
            assert!(scenario.steps.iter().all(|step| step.ty != StepType::Then));
        }
    }
}

Feature: Labels that contradict each other
  Two labels that ask for different things are refused with a diagnosis; nothing is guessed.

  @LC-01 @set-a @p1 @S3-14 @L-33 @L-42
  Scenario: Two trigger labels on one Issue
    Given a bound repository with an open Issue
    And an outsider has set "run:dev" on the Issue
    When the member sets "run:vision" on the Issue
    Then the delivery is answered as ignored because "issue_trigger_label_conflict"
    And the conflict comment lists "run:dev, run:vision"
    And the event "run.trigger.conflict.comment" is written once
    And the Issue does not carry "need:input"
    And a label set on another open Issue still starts a run
    And the Issue has no run

  @LC-01 @set-a @p1 @S3-14 @L-33 @L-42
  Scenario: All trigger labels at once
    Given a bound repository with an open Issue
    When the member sets every trigger label in one click
    Then each of these deliveries is ignored because "issue_trigger_label_conflict"
    And each of these conflicts names every trigger label
    And a label set on another open Issue still starts a run
    And the Issue has no run

  @LC-02 @set-a @p1 @S3-14 @L-33 @L-42
  Scenario: A work label and its revise label in one click
    Given a bound repository with an open Issue
    When the member sets "run:dev" and "run:dev:revise" in one click
    Then both deliveries are ignored because "issue_trigger_label_conflict"
    When the member removes "run:dev:revise" and sets "run:dev" again
    Then the delivery is answered as accepted with a run
    And the Issue has exactly one run

  @LC-03 @set-a @p1 @S3-14 @L-34 @L-42
  Scenario: A discussion is refused while two trigger labels are set
    Given a bound repository with an open Issue
    And an outsider has set "run:dev" on the Issue
    And an outsider has set "run:plan" on the Issue
    When the member sets "mode:discussion" on the Issue
    Then the delivery is answered as ignored because "discussion_mode_trigger_label_conflict"
    And the conflict comment lists "run:dev, run:plan"
    And a label set on another open Issue still starts a run
    And the Issue has no run

  @LC-04 @set-a @p1 @S3-14 @L-12
  Scenario: The debug label conflicts with nothing
    Given a bound repository with an open Issue
    And the member has set "run:debug" on the Issue
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And the Issue has exactly one run
    When the member removes "run:debug" from the Issue

  @LC-05 @set-a @p1 @S3-14 @L-3 @needs-pods
  Scenario: A foreign label blocks nothing and survives
    Given a bound repository with an open Issue
    And the member has set the foreign label "run:foo" on the Issue
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the Issue and the pull request are in review without a trigger label
    And the Issue still carries "run:foo"

  @LC-06 @set-a @p1 @S3-14 @L-2
  Scenario: Case and spaces do not matter
    Given a bound repository with an open Issue
    And the label "run:dev" of the repository is renamed to "RUN:Dev "
    When the member sets "RUN:Dev " on the Issue
    Then the delivery is answered as accepted with a run
    And the run's trigger is "run:dev"

  @LC-07 @set-a @p2 @L-2 @L-3
  Scenario: A renamed trigger label
    Given a platform whose dev label is configured as "stage:build"
    And a bound repository with an open Issue
    When the member sets "stage:build" on the Issue
    Then the delivery is answered as accepted with a run
    And the run's kind is "dev"
    When the member sets the foreign label "run:dev" on the Issue
    Then the delivery is answered as ignored because "issue_event_not_trigger_label"

  @LC-08 @set-a @p0 @S2-3 @S3-14 @L-15 @L-46 @needs-pods
  Scenario: Two model labels
    Given a bound repository with an open Issue
    And the member has set "[ai-model-gpt-5.4]" on the Issue
    And the member has set "[ai-model-gpt-5.2]" on the Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as failed because "failed_precondition"
    And the event "run.failed.precondition" names "[ai-model-gpt-5.2]" and "[ai-model-gpt-5.4]"
    And no namespace was made for the run, while a run without conflict gets one

  @LC-09 @set-a @p0 @S2-3 @S3-14 @L-15 @L-46 @needs-pods
  Scenario: Two reasoning labels
    Given a bound repository with an open Issue
    And the member has set "[ai-reasoning-low]" on the Issue
    And the member has set "[ai-reasoning-high]" on the Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as failed because "failed_precondition"
    And the event "run.failed.precondition" names "[ai-reasoning-high]" and "[ai-reasoning-low]"
    And no namespace was made for the run, while a run without conflict gets one

  @LC-08 @set-a @p0 @S2-3 @S3-14 @L-15 @L-46 @needs-pods
  Scenario: All model labels at once
    Given a bound repository with an open Issue
    And the member has set every model label in one click
    When the member sets "run:intake" on the Issue
    Then the run ends as failed because "failed_precondition"
    And the error of the run names every model label

  @LC-09 @set-a @p0 @S2-3 @S3-14 @L-15 @L-46 @needs-pods
  Scenario: All reasoning labels at once
    Given a bound repository with an open Issue
    And the member has set every reasoning label in one click
    When the member sets "run:intake" on the Issue
    Then the run ends as failed because "failed_precondition"
    And the error of the run names every reasoning label

  @LC-10 @set-a @p0 @S2-3 @S3-14 @L-15 @L-61 @needs-pods
  Scenario: One label of each group is no conflict
    Given a bound repository with an open Issue
    And the member has set "[ai-model-gpt-5.2]" on the Issue
    And the member has set "[ai-reasoning-low]" on the Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the run used model "gpt-5.2" from "issue_label" and reasoning "low" from "issue_label"

  @LC-10 @set-a @p0 @S2-3 @S3-14 @L-15 @L-61 @needs-pods
  Scenario: The pull request's model wins over two model labels of the Issue
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And the member has set "[ai-model-gpt-5.4]" on the Issue
    And the member has set "[ai-model-gpt-5.2]" on the Issue
    And the member has set "[ai-model-gpt-5.2-codex]" on the pull request
    When the member sets "run:dev:revise" on the Issue
    Then the run ends as succeeded
    And the run used model "gpt-5.2-codex" from "pull_request_label" and reasoning "high" from "agent_default"

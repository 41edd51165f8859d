Feature: Sessions of the agent
  A run is a turn of a session: kept when it ends, continued by the run that revises it.

  @SE-03 @set-d @p0 @S2-2 @S3-12 @R-92 @R-82 @needs-pods
  Scenario: A review sends the work back into its session
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When the member requests changes on the pull request
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the run restored the session of the run before
    And the same pull request has new commits
    And the run wrote "run.pr.updated" and not "run.pr.created"

  @SE-16 @set-d @p1 @S3-12 @R-80 @R-82 @needs-pods
  Scenario: An agent that names no pull request gets that of its branch
    Given a bound repository with an open Issue
    And a finished "run:plan" run with its pull request
    When the member sets "run:plan:revise" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the same pull request has new commits
    And the run wrote "run.pr.updated" and not "run.pr.created"

  @SE-16 @set-d @p1 @S3-12 @R-80 @needs-pods @needs-codex
  Scenario: An agent that reports nothing that can be read is asked once more
    Given a platform with the real agent
    And a bound repository whose model "reports nothing" 1 times, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the model failed 1 times and was asked again

  @SE-16 @set-d @p1 @S3-12 @R-80 @R-18 @needs-pods @needs-codex
  Scenario: An agent that reports nothing twice fails its run
    Given a platform with the real agent
    And a bound repository whose model "reports nothing" 2 times, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as failed because "kubernetes job failed"
    And the branch of the Issue was never pushed
    And the Issue has no pull request

  @SE-22 @set-d @p1 @S3-12 @L-14 @R-77 @R-78 @needs-pods @needs-codex
  Scenario: The real agent asks for the model and the reasoning of the labels
    Given a platform with the real agent
    And a bound repository with an open Issue
    And the member has set "[ai-model-gpt-5.2-codex]" on the Issue
    And the member has set "[ai-reasoning-extra-high]" on the Issue
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And every request to the model asked for "gpt-5.2-codex" with "xhigh" reasoning
    And the Issue and the pull request are in review without a trigger label

  @SE-23 @set-d @p1 @S3-12 @L-51 @R-92 @needs-pods @needs-codex
  Scenario: The real agent goes on with its session when it revises
    Given a platform with the real agent
    And a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When the member requests changes on the pull request
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the run restored the session of the run before
    And the model was asked in the session of the run before, which then had two turns
    And the run belongs to the same Issue and pull request

  @SE-24 @set-d @p1 @S3-12 @R-77 @needs-pods @needs-codex
  Scenario Outline: A model that fails for a while is asked again
    Given a platform with the real agent
    And a bound repository whose model "<how>" 2 times, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the model failed 2 times and was asked again

    Examples:
      | how          |
      | has an error |
      | breaks off   |

  @SE-25 @set-d @p1 @S3-12 @L-9 @R-81 @needs-pods @needs-codex
  Scenario: What the real agent changes out of its scope is not pushed
    Given a platform with the real agent
    And a bound repository whose agent changes "main.rs", with an open Issue
    When the member sets "run:intake" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as failed because "failed_precondition"
    And the branch of the Issue was never pushed
    And the Issue has no pull request

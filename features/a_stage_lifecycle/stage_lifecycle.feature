Feature: Stages from a label to a pull request
  A permitted person puts a stage label on an Issue; the platform runs the stage's agent and leaves a pull request in review.

  @SL-07 @set-a @p0 @S2-1 @S3-4 @L-25 @L-49 @L-65 @L-70 @needs-pods
  Scenario: A dev label becomes a namespace, a Job and a pull request
    Given a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the run worked in a namespace of its own with exactly one Job
    And one pull request linked to the Issue exists, opened by the bot
    And the run's events appear in the order of a full-env run
    And every event of the run carries the delivery's correlation id
    And the Issue and the pull request are in review without a trigger label

  @SL-08 @set-a @p1 @S3-4 @L-49 @L-65 @needs-pods
  Scenario: A second dev label works in the same namespace on the head of the pull request
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the run worked in the namespace of the run before
    And the run was built from the head of the pull request
    And the same pull request has new commits
    And the run wrote "run.pr.updated" and not "run.pr.created"

  @SL-16 @set-a @p1 @S3-4 @L-36
  Scenario: A closed Issue starts no intake
    Given a bound repository with an open Issue
    And the member has closed the Issue
    When the member sets "run:intake" on the Issue
    Then the delivery is answered as ignored because "issue_closed"
    And the platform comments once with "issue_closed"
    And a label set on another open Issue still starts a run
    And the Issue has no run

  @SL-17 @set-a @p1 @S3-4 @L-9 @L-46 @L-47 @needs-pods
  Scenario: An intake agent that changes code pushes nothing
    Given a bound repository whose agent changes "main.rs", with an open Issue
    When the member sets "run:intake" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as failed because "failed_precondition"
    And the event "run.failed.precondition" names the path "main.rs"
    And the branch of the Issue was never pushed
    And the Issue has no pull request
    And the trigger label has left the Issue, which is not in review

  @SL-18 @set-a @p2 @L-9 @L-46 @needs-pods
  Scenario: A long list of forbidden paths is cut
    Given a bound repository whose agent changes 25 forbidden paths, with an open Issue
    When the member sets "run:intake" on the Issue
    Then the run ends as failed because "failed_precondition"
    And the error shows 20 paths and "... and 5 more"

  @SL-18 @set-a @p2 @L-9 @L-46 @needs-pods
  Scenario: The suffix of a document may be written in capitals
    Given a bound repository whose agent changes only "README.MD", with an open Issue
    When the member sets "run:intake" on the Issue
    Then the run ends as succeeded
    And one pull request linked to the Issue exists, opened by the bot

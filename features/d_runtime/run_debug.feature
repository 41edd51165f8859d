Feature: The debug label holds a namespace
  Who wants to look at what a run left puts `run:debug` on its Issue.

  @RD-01 @set-d @p0 @S2-11 @R-63 @needs-pods
  Scenario: A run that succeeds leaves its namespace, and says so at each end
    Given a bound repository with an open Issue
    And the member has set "run:debug" on the Issue
    And a finished "run:dev" run with its pull request
    When the member sets "run:dev:revise" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the clean-up of its namespace was skipped because "debug_label_present", once
    And the clean-up of the namespace of the run before was skipped because "debug_label_present", once
    And the namespace of the run is kept for debugging, and its status comment says so

  @RD-02 @set-d @p0 @S2-11 @R-63 @needs-pods
  Scenario: A run that fails leaves it as well
    Given a bound repository whose agent fails, with an open Issue
    And the member has set "run:debug" on the Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as failed because "kubernetes job failed"
    And the clean-up of its namespace was skipped because "debug_label_present", once
    And the namespace of the run is kept for debugging, and its status comment says so

  @RD-03 @set-d @p0 @S2-11 @R-64 @needs-pods
  Scenario: Ten sweeps leave what is kept, and say it once
    Given a platform of its own
    And a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And another open Issue with "run:debug"
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    When 26 hours pass
    Then the namespace of the run before is gone, that of the run is kept
    When the sweep of the CronJob runs 10 times
    Then the clean-up of its namespace was skipped because "debug_label_present", once
    And the namespace of the run is kept for debugging, and its status comment says so
    When the member removes "run:debug" from the Issue

  @RD-04 @set-d @p0 @S2-11 @R-65 @needs-pods
  Scenario: Without its label a namespace goes with the next sweep
    Given a platform of its own
    And a bound repository with an open Issue
    And the member has set "run:debug" on the Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the namespace of the run is kept for debugging, and its status comment says so
    When 26 hours pass
    And the member removes "run:debug" from the Issue
    And 1 hours pass
    Then the namespace of the run is swept

  @RD-04 @set-d @p0 @S2-11 @R-65 @needs-pods
  Scenario: A label that comes after the run holds its namespace as well
    Given a platform of its own
    And a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And another open Issue without a label
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    When the member adds "run:debug" to the Issue, now that the run is over
    And 26 hours pass
    Then the namespace of the run before is gone, that of the run is kept
    When the member removes "run:debug" from the Issue

  @RD-05 @set-d @p0 @S2-11 @R-66
  Scenario: The debug label alone starts nothing
    Given a bound repository with an open Issue
    When the member sets "run:debug" on the Issue
    Then the delivery is answered as ignored because "issue_event_not_trigger_label"
    And a label set on another open Issue still starts a run
    And the Issue has no run

  @RD-07 @set-d @p1 @S3-16 @R-68 @needs-pods
  Scenario: Staff deletes what is kept
    Given a bound repository with an open Issue
    And the member has set "run:debug" on the Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the namespace of the run is kept for debugging, and its status comment says so
    When staff deletes the namespace of the run
    Then the answer says that the namespace was "deleted"
    And the namespace of the run is gone, as staff wanted
    When staff deletes the namespace of the run again
    Then the answer says that the namespace was "deleted already"

  @RD-06 @set-d @p1 @S3-16 @R-64 @R-67 @needs-pods
  Scenario: A closed Issue leaves what is kept, a deleted one takes it along
    Given a bound repository with an open Issue
    And the member has set "run:debug" on the Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the namespace of the run is kept for debugging, and its status comment says so
    When the member closes the Issue
    Then the namespace of the run stays because "debug_label_present"
    When the Issue is deleted
    Then the namespace of this run is deleted with the thread

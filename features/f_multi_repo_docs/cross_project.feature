Feature: Projects and the history of their runs
  What people may read of a run, and for how long.

  @XP-05 @set-f @p1 @S3-3 @R-181 @R-184 @DA-21 @needs-pods
  Scenario: The log of a run is kept for a week, its events for longer
    Given a platform of its own
    And a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And staff reads the agent's words in its log, and its events in their order
    When 192 hours pass
    Then staff reads that the log expired a week after the run ended
    And staff reads its events as before

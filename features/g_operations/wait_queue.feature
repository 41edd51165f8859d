Feature: The queue of what waits
  Staff sees every run that does not go on, and why.

  @WQ-07 @set-g @p1 @S3-16 @DA-6 @DA-7 @R-183 @needs-pods
  Scenario: The queue holds runs that wait for a limit and runs that wait for their turn
    Given a platform with 1 slots for each project
    And a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    And another open Issue without a label
    When its agent tells twice of the same limit of 60 seconds
    And the member sets "run:dev" on the Issue
    Then the run waits because "no_free_slot", without a Job
    And the Issue has one status comment
    And the queue holds the run before because of "github_rate_limit" and the run because of "no_free_slot"
    And both spellings of a wait state find the same runs, and an unknown one is refused

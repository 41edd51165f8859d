Feature: A namespace per run
  What a run's namespace is called and what it carries.

  @NI-01 @set-e @p0 @S3-11 @R-32 @R-34 @R-35 @needs-pods
  Scenario: Name, labels and annotations
    Given a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the namespace is named after project, Issue and run
    And the namespace carries the labels and annotations of the rules

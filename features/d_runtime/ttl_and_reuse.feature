Feature: How long a namespace lives
  A run's namespace outlives the run for its lease, then it goes.

  @TR-01 @set-d @p1 @S3-12 @S3-16 @R-44 @R-45 @needs-pods
  Scenario: A day without any policy
    Given a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And its namespace is leased for 24 hours
    And the event "run.namespace.ttl_scheduled" says so

  @TR-11 @crash-story @set-d @p1 @S3-12 @S3-16 @R-57 @R-59 @needs-pods
  Scenario: An expired namespace goes with what was deployed in it
    Given a platform of its own
    And a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And a Deployment is up in the namespace of the run
    When 25 hours pass
    Then the namespace of the run is deleted because "ttl_expired"

  @TR-16 @set-d @p1 @S3-16 @R-57 @needs-pods
  Scenario: The CronJob sweeps when no worker does
    Given a platform of its own
    And a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When every worker of the platform is killed
    And 25 hours pass
    And the sweep of the CronJob runs 1 times
    Then the sweep was made by "cronjob"

Feature: The platform is healthy
  Before and after the other features every process answers, and the edge is thin.

  @PH-01 @set-g @p0 @S2-13 @R-163 @R-178 @R-179 @E-43 @before-all
  Scenario: Healthy before the features
    Given a target that is up
    When the health of every process is read
    Then every process is alive and ready and reports the checked out revision

  @PH-02 @set-g @p0 @S2-13 @E-13 @R-163 @after-all
  Scenario: Healthy after the features
    Given all other features have ended
    When the health of every process is read
    Then every process is alive and ready and reports the checked out revision
    And every restart in between was announced by a scenario

  @PH-03 @set-g @p1 @S3-17 @DU-12 @D-1
  Scenario: The edge holds no database credential
    Given a bound repository with an open Issue
    When the gateway's environment and connections are read
    Then it holds no database credential and no connection to Postgres, though the control plane does
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run

  @SD-07 @set-g @p1 @S3-2 @R-177 @R-178 @R-179 @R-180 @needs-pods
  Scenario: Every service tells how it is, what it does and about whom
    Given a platform of its own
    And a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And every service is alive and ready and tells its metrics
    And the metrics tell of the delivery, the run, its slot and its namespace
    And every line that the services wrote is JSON, and lines about the run carry its id

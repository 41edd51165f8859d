Feature: Nothing is left behind
  After runs have ended and their leases are over, the cluster is as it was.

  @HY-01 @set-d @p0 @S2-10 @R-57 @R-69 @needs-pods
  Scenario: No namespace remains after success, failure and cancel
    Given a platform of its own
    And runs that succeeded, failed and were cancelled
    Then the three namespaces of these runs exist
    When 25 hours pass
    Then no namespace of a run remains

  @HY-02 @set-d @p0 @S2-10 @R-69 @R-9 @needs-pods
  Scenario: No Job, slot or credential remains
    Given a platform of its own
    And runs that succeeded, failed and were cancelled
    Then Jobs, slots and credentials of these runs were there
    When 25 hours pass
    Then no Job, leased slot or credential of a run remains
    And the leak check finds nothing

  @HY-07 @set-d @p0 @S2-10 @R-187 @R-19 @R-34 @R-56 @R-69 @needs-pods
  Scenario: Two platforms in one cluster leave each other alone
    Given two platforms in one cluster, each with a finished and a running run
    When 48 hours pass on the first platform only
    Then the finished run's namespace of the first platform is gone
    And the second platform's namespaces, Jobs and slots are untouched
    And the leak check of the first platform names nothing of the second

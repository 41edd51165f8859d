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

  @HY-03 @set-d @p0 @S2-10 @R-69 @needs-pods
  Scenario: What outlives its lease is named
    Given a platform whose clean-up of namespaces is switched off
    And a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    When 25 hours pass
    Then the leak check names the namespace of the run and nothing else, with an event
    When staff deletes the namespace of the run
    Then the namespace of the run is gone, as staff wanted

  @HY-04 @set-d @p0 @S2-10 @R-69 @needs-pods
  Scenario: What is kept is no leak
    Given a platform of its own
    And a bound repository with an open Issue
    And the member has set "run:debug" on the Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    When 26 hours pass
    Then the leak check is clean and lists the namespace of the run as kept
    When the member removes "run:debug" from the Issue

  @HY-05 @set-d @p0 @S2-10 @R-62 @needs-pods
  Scenario: A sweep that is switched off deletes nothing
    Given a platform whose clean-up of namespaces is switched off
    And a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    When 25 hours pass
    Then the sweep says that it is switched off, and the namespace of the run is there
    When staff deletes the namespace of the run
    Then the namespace of the run is gone, as staff wanted

  @HY-07 @set-d @p0 @S2-10 @R-187 @R-19 @R-34 @R-56 @R-69 @needs-pods
  Scenario: Two platforms in one cluster leave each other alone
    Given two platforms in one cluster, each with a finished and a running run
    When 48 hours pass on the first platform only
    Then the finished run's namespace of the first platform is gone
    And the second platform's namespaces, Jobs and slots are untouched
    And the leak check of the first platform names nothing of the second

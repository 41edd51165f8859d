Feature: Workers that die or race
  Any worker may be killed at any moment; another one carries on.

  @WR-01 @set-d @p1 @S3-12 @R-10 @R-17 @needs-pods
  Scenario: Three workers race for twenty runs
    Given a platform with 3 workers
    When 20 runs of 5 projects are started at once, those of 2 projects with a need for slots
    Then every one of these runs ends as succeeded
    And every one of these runs had exactly one Job and one "run.started"

  @WR-02 @set-d @p1 @S3-12 @R-11 @R-12 @R-14 @needs-pods
  Scenario: A worker is killed while its run works
    Given a platform with 2 workers
    And a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the worker that owns the run is killed
    And 2 minutes pass
    Then the events of a stale lease and of the takeover exist
    When the agent may go on
    Then the run ends as succeeded
    And the run had exactly one Job
    And the Issue and the pull request are in review without a trigger label

  @WR-03 @set-d @p1 @S3-12 @R-13 @needs-pods
  Scenario: A worker that nobody registered lives as long as its Pod
    Given a platform with 2 workers
    And a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    And a Pod with the name of the worker that owns the run
    When that worker is killed and the registry loses it
    Then its lease is left alone, while the other worker launches another run
    When that Pod is gone
    Then its lease was released because the worker was "missing"
    And the events of a stale lease and of the takeover exist
    When the agent may go on
    Then the run ends as succeeded
    And the run had exactly one Job
    And the Issue and the pull request are in review without a trigger label

  @WR-04 @set-d @p1 @S3-12 @R-14 @R-15 @needs-pods
  Scenario: A worker that is told to end gives its runs back at once
    Given a platform with 2 workers
    And a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the worker that owns the run is told to end
    Then its lease was given back by a worker that stopped, and another one has taken the run over
    When the agent may go on
    Then the run ends as succeeded
    And the run had exactly one Job
    And the Issue and the pull request are in review without a trigger label

  @WR-05 @set-d @p1 @S3-12 @R-14 @R-16 @needs-pods
  Scenario: A worker that comes back after its lease is over changes nothing
    Given a platform with 2 workers
    And a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the worker that owns the run is stopped in its tracks
    And 2 minutes pass
    Then the events of a stale lease and of the takeover exist
    When that worker goes on
    Then the run still belongs to the worker that took it over
    When the agent may go on
    Then the run ends as succeeded
    And the run has exactly one terminal event
    And the run had exactly one Job
    And the Issue and the pull request are in review without a trigger label

  @WR-07 @set-d @p1 @S3-12 @R-11
  Scenario: A worker that would count as dead between two heartbeats refuses to start
    Given a platform of its own
    When a worker starts whose life is shorter than the time between two of its heartbeats
    Then it refuses, naming the setting, while the platform's own worker is at work

  @WR-08 @set-d @p1 @S3-12 @R-172 @needs-pods
  Scenario: The Kubernetes API is down while a run works
    Given a platform of its own
    And a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the Kubernetes API does not answer
    And 5 minutes pass
    And the Kubernetes API answers again
    And the agent may go on
    Then the run ends as succeeded
    And the run had exactly one Job
    And the Issue and the pull request are in review without a trigger label

  @WR-09 @set-d @p1 @S3-12 @R-173 @R-186
  Scenario: Postgres is down when a webhook arrives
    Given a platform of its own
    And a bound repository with an open Issue
    And the database does not answer
    When the member sets "run:dev" on the Issue
    Then the delivery is refused with status 503 and counted as an error
    When the database answers again
    And 5 minutes pass
    Then GitHub sends the delivery again, once and under its own id
    And the Issue has exactly one run

  @WR-11 @set-d @p1 @S3-12 @R-164 @needs-pods
  Scenario: Every process of the platform restarts while a run works
    Given a platform of its own
    And a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When every process of the platform is killed and starts again
    And the agent may go on
    Then the run ends as succeeded
    And the run had exactly one Job
    And the Issue and the pull request are in review without a trigger label

  @WR-10 @set-d @p1 @S3-12 @R-174 @R-93 @R-88 @needs-pods
  Scenario: An evicted agent goes on in another Pod
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    And the agent has begun to wait
    And the Pod of the run is evicted
    Then another Pod of the same Job goes on with the session of the first
    When the agent may go on
    Then the run ends as succeeded
    And the run had exactly one Job
    And the event "run.started" is written once
    And one pull request linked to the Issue exists, opened by the bot

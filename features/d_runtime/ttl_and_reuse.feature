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

  @TR-11 @set-d @p1 @S3-12 @S3-16 @R-31 @R-57 @L-104 @needs-pods
  Scenario: A namespace that somebody else deleted is told of as gone
    Given a platform of its own
    And a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When somebody deletes the namespace of the run
    And 25 hours pass
    Then the sweep found the namespace gone, and the status comment of the run says so

  @TR-16 @set-d @p1 @S3-12 @S3-16 @R-57 @needs-pods
  Scenario: The CronJob sweeps when no worker does
    Given a platform of its own
    And a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When every worker of the platform is killed
    And 25 hours pass
    And the sweep of the CronJob runs 1 times
    Then the sweep was made by "cronjob"

  @TR-02 @set-d @p1 @S3-12 @S3-16 @R-44 @needs-pods
  Scenario: A project's word on its namespaces goes before the platform's
    Given a platform that leases a namespace of "dev" for 24 hours
    And a bound repository whose services.yaml leases a namespace of "dev" for 2 hours, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And its namespace is leased for 2 hours
    When 3 hours pass
    Then the namespace of the run is swept

  @TR-02 @set-d @p1 @S3-12 @S3-16 @R-44 @needs-pods
  Scenario: The platform's word holds where a project says nothing of a role
    Given a platform that leases a namespace of "dev" for 30 hours
    And a bound repository whose services.yaml leases a namespace of "qa" for 2 hours, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And its namespace is leased for 30 hours

  @TR-03 @set-d @p1 @S3-12 @S3-16 @R-48 @needs-pods
  Scenario: A namespace outlives its run until its lease is over
    Given a platform of its own
    And a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And a Deployment is up in the namespace of the run
    When 23 hours pass
    And the sweep of the CronJob runs 1 times
    Then the namespace of the run and what was deployed in it are there, and its status comment names the end of the lease
    When 2 hours pass
    Then the namespace of the run is deleted because "ttl_expired"

  @TR-04 @set-d @p1 @S3-12 @S3-16 @R-47 @needs-pods
  Scenario: A run that waits keeps its namespace
    Given a platform of its own
    And a bound repository whose agent asks its owner, with an open Issue
    And a "run:dev" run that waits for the answer
    When 25 hours pass
    And the sweep of the CronJob runs 1 times
    Then the namespace of the run that waits is there, with a lease that is not over
    When the owner answers
    And the agent may go on
    Then the run ends as succeeded

  @TR-10 @set-d @p1 @S3-12 @S3-16 @R-55 @R-7 @needs-pods
  Scenario: A run that goes on waits its turn and reuses what is there
    Given a bound repository whose agent asks its owner and ends, with an open Issue
    And a "run:dev" run that waits for the answer without a Pod
    And the member has taken "run:dev" off the Issue
    When the member sets "run:dev:revise" on the Issue
    Then the delivery is answered as ignored because "issue_active_run_exists"
    When the owner answers
    Then one run goes on from where the run ended, in the namespace of the run before
    And the run ends as succeeded

  @TR-12 @set-d @p1 @S3-12 @S3-16 @R-58 @R-59 @needs-pods
  Scenario: What stands against the end of a namespace
    Given a platform of its own
    And three finished runs and one that works
    When the lease of all four is over, one has lost its run and one got a Job that works
    And the sweep of the CronJob runs 1 times
    Then the first is deleted, and the others stay because they are nameless, busy and working
    When the run is known again, the Job is gone and the work is done
    And 25 hours pass
    Then the namespaces of all four are deleted

  @TR-13 @set-d @p1 @S3-12 @S3-16 @R-56 @R-187 @needs-pods
  Scenario: Whatever only looks like a run's namespace is left alone
    Given a platform of its own
    And a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When namespaces that only look like those of runs stand beside it, with leases that are over
    And 25 hours pass
    Then the namespace of the run is deleted because "ttl_expired"
    And those that only look like it are untouched

  @TR-14 @set-d @p1 @S3-12 @S3-16 @R-60 @needs-pods
  Scenario: A deletion that fails is told and made up for
    Given a platform of its own
    And a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And a cluster that refuses the platform to delete namespaces
    When 25 hours pass
    Then the sweep tells that the deletion failed, and the namespace of the run is there
    When the cluster permits the platform to delete namespaces
    And 1 hours pass
    Then the namespace of the run is deleted because "ttl_expired"

  @TR-15 @set-d @p1 @S3-12 @S3-16 @R-61 @needs-pods
  Scenario: A namespace without a lease counts from its creation
    Given a platform of its own
    And a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When somebody takes the lease off the namespace of the run
    And 25 hours pass
    Then the namespace of the run is deleted because "ttl_expired"
    And its lease was reckoned by "created_at_fallback"

  @TR-05 @set-d @p1 @S3-12 @S3-16 @R-46 @R-50 @needs-pods
  Scenario: A stack that is what it should be is used as it is
    Given a bound repository with a stack, whose agent changes nothing when it revises, with an open Issue
    And a finished "run:dev" run with its pull request
    And a finished "run:dev:revise" run with its pull request
    When the member sets "run:dev:revise" on the Issue
    Then the run ends as succeeded
    And the run worked in the namespace of the run before
    And the stack was used as it was, 2 times deployed, because "fingerprint_match"
    And the blue stack is up in the namespace of the run
    And the lease of its namespace was extended to 24 hours from now

  @TR-05 @set-d @p1 @S3-12 @S3-16 @R-49 @R-50 @R-46 @needs-pods
  Scenario: A stage without a candidate finds the namespace of its agent by itself
    Given a bound repository with a stack, whose agent changes nothing when it revises, with an open Issue
    And a finished "run:arch" run with its pull request
    And a finished "run:arch:revise" run with its pull request
    When the member sets "run:arch:revise" on the Issue
    Then the run ends as succeeded
    And the run worked in the namespace of the run before
    And the stack was used as it was, 2 times deployed, because "fingerprint_match"
    And the lease of its namespace was extended to 24 hours from now

  @TR-06 @set-d @p1 @S3-12 @S3-16 @R-51 @R-52 @R-53 @needs-pods
  Scenario: Other manifests are deployed into the same namespace
    Given a bound repository with a stack, whose agent changes nothing when it revises, with an open Issue
    And a finished "run:dev" run with its pull request
    And a finished "run:dev:revise" run with its pull request
    When the owner binds the repository again, with its other services.yaml
    And the member sets "run:dev:revise" on the Issue
    Then the run ends as succeeded
    And the run worked in the namespace of the run before
    And the stack was deployed again, for the 3. time in the namespace of the run before, because "fingerprint_mismatch"
    And the green stack is up in the namespace of the run

  @TR-07 @set-d @p1 @S3-12 @S3-16 @R-52 @R-53 @needs-pods
  Scenario: A namespace on its way out is left for a new one
    Given a bound repository with a stack, whose agent changes nothing when it revises, with an open Issue
    And a finished "run:dev" run with its pull request
    And the namespace of the run is being deleted and does not end
    When the member sets "run:dev:revise" on the Issue
    Then the run worked in another namespace than the run before
    And the run says that the namespace of the run before was refused because "namespace_terminating"
    And the blue stack is up in the namespace of the run
    And the run ends as succeeded

  @TR-07 @set-d @p1 @S3-12 @S3-16 @R-49 @R-53 @needs-pods
  Scenario: A stage without a candidate does not find a namespace on its way out
    Given a bound repository with a stack, whose agent changes nothing when it revises, with an open Issue
    And a finished "run:arch" run with its pull request
    And the namespace of the run is being deleted and does not end
    When the member sets "run:arch:revise" on the Issue
    Then the run worked in another namespace than the run before
    And the blue stack is up in the namespace of the run
    And the run ends as succeeded

  @TR-08 @set-d @p1 @S3-12 @S3-16 @R-52 @R-53 @needs-pods
  Scenario: What a branch stands for may change, so it is deployed
    Given a bound repository with a stack, whose agent changes nothing when it revises, with an open Issue
    And a finished "run:dev" run with its pull request
    When a review that requests changes and tells no commit arrives
    Then the delivery is answered as accepted with a run
    And the run was asked for at the branch of the pull request
    And the run ends as succeeded
    And the run worked in the namespace of the run before
    And the stack was deployed again, for the 2. time in the namespace of the run before, because "build_ref_not_immutable"

  @TR-09 @set-d @p1 @S3-12 @S3-16 @R-54 @needs-pods
  Scenario: A candidate whose namespace is gone is made anew under its name
    Given a bound repository with a stack, whose agent changes nothing when it revises, with an open Issue
    And a finished "run:dev" run with its pull request
    And the namespace of the run has been deleted
    When the member sets "run:dev:revise" on the Issue
    Then the run ends as succeeded
    And the namespace of the run before was made anew for the run
    And the blue stack is up in the namespace of the run

  @TR-09 @set-d @p1 @S3-12 @S3-16 @R-54 @needs-pods
  Scenario: A stage without a candidate begins under a new name
    Given a bound repository with a stack, whose agent changes nothing when it revises, with an open Issue
    And a finished "run:arch" run with its pull request
    And the namespace of the run has been deleted
    When the member sets "run:arch:revise" on the Issue
    Then the run ends as succeeded
    And the run worked in a namespace of its own with exactly one Job
    And the blue stack is up in the namespace of the run

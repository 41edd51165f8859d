Feature: Stages from a label to a pull request
  A permitted person puts a stage label on an Issue; the platform runs the stage's agent and leaves a pull request in review.

  @SL-01 @set-a @p1 @S3-4 @S3-5 @L-4 @L-6 @L-7 @L-13 @L-22 @L-44 @needs-pods
  Scenario: An Issue without history begins with intake
    Given a bound repository with an open Issue
    When the member sets "run:intake" on the Issue
    Then the delivery is answered as accepted with a run
    And the run's kind is "intake"
    And the run is what the table says of its label
    And the run used model "gpt-5.4" from "agent_default" and reasoning "high" from "agent_default"

  @SL-02 @set-a @p1 @S3-4 @L-6 @L-49 @L-71 @needs-pods
  Scenario: Vision follows an accepted intake
    Given a bound repository with an open Issue
    And a finished "run:intake" run whose pull request was merged
    And the Issue has come to carry "state:approved"
    When the member sets "run:vision" on the Issue
    Then the delivery is answered as accepted with a run
    And the run is what the table says of its label
    And the run ends as succeeded
    And the run made a new pull request

  @SL-03 @set-a @p1 @S3-4 @L-71 @L-77 @needs-pods
  Scenario: An approver accepts the stage in review by starting the next
    Given a bound repository with an open Issue
    And a finished "run:vision" run with its pull request
    When the approver sets "run:prd" on the Issue
    Then the delivery is answered as accepted with a run
    And the acceptance is recorded with the reason "implicit_approval"
    And the run is what the table says of its label

  @SL-04 @set-a @p1 @S3-4 @L-6 @L-8 @needs-pods
  Scenario: Architecture follows the accepted requirements in a namespace of its own
    Given a bound repository with an open Issue
    And a finished "run:prd" run with its pull request
    And the approver has accepted the stage
    When the member sets "run:arch" on the Issue
    Then the delivery is answered as accepted with a run
    And the run is what the table says of its label
    And the namespace is named after project, Issue and run

  @SL-05 @set-a @p1 @S3-4 @L-6 @L-50 @needs-pods
  Scenario: Design follows the accepted architecture on the branch of the Issue
    Given a bound repository with an open Issue
    And a finished "run:arch" run with its pull request
    And the approver has accepted the stage
    When the member sets "run:design" on the Issue
    Then the delivery is answered as accepted with a run
    And the run is what the table says of its label
    And the run works on the branch of the Issue

  @SL-06 @set-a @p1 @S3-4 @L-6 @needs-pods
  Scenario: Planning follows the accepted design
    Given a bound repository with an open Issue
    And a finished "run:design" run with its pull request
    And the approver has accepted the stage
    When the member sets "run:plan" on the Issue
    Then the delivery is answered as accepted with a run
    And the run is what the table says of its label

  @SL-07 @crash-story @set-a @p0 @S2-1 @S3-4 @L-25 @L-49 @L-65 @L-70 @needs-pods
  Scenario: A dev label becomes a namespace, a Job and a pull request
    Given a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the run worked in a namespace of its own with exactly one Job
    And one pull request linked to the Issue exists, opened by the bot
    And the run's events appear in the order of a full-env run
    And every event of the run carries the delivery's correlation id
    And the Issue and the pull request are in review without a trigger label

  @SL-08 @crash-story @set-a @p1 @S3-4 @L-49 @L-65 @needs-pods
  Scenario: A second dev label works in the same namespace on the head of the pull request
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the run worked in the namespace of the run before
    And the run was built from the head of the pull request
    And the same pull request has new commits
    And the run wrote "run.pr.updated" and not "run.pr.created"

  @SL-09 @set-a @p1 @S3-4 @L-66 @L-68 @needs-pods
  Scenario: Quality assurance works in the namespace of the accepted development
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And the approver has approved the pull request in a review
    And the Issue has come to carry "state:approved"
    When the member sets "run:qa" on the Issue
    Then the delivery is answered as accepted with a run
    And the run is what the table says of its label
    And the run worked in the namespace of the run before
    And the run was built from the head of the pull request

  @SL-10 @set-a @p1 @S3-4 @L-66 @needs-pods
  Scenario: The release continues the same lineage
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And the approver has approved the pull request in a review
    And the Issue has come to carry "state:approved"
    And a finished "run:qa" run with its pull request
    And the approver has accepted the stage
    When the member sets "run:release" on the Issue
    Then the delivery is answered as accepted with a run
    And the run is what the table says of its label
    And the run worked in the namespace of the run before
    And the run was built from the head of the pull request
    And the run ends as succeeded

  @SL-11 @set-a @p1 @S3-4 @L-36 @L-67 @L-68 @L-78 @needs-pods @waits-deploy
  Scenario: A merged release is looked after on the live environment, though the Issue is closed
    Given a bound repository with an open Issue
    And the repository has a live environment
    And a finished "run:release" run whose pull request was merged
    And the Issue has come to carry "state:approved"
    And the member has closed the Issue
    When the member sets "run:postdeploy" on the Issue
    Then the delivery is answered as accepted with a run
    And the run is what the table says of its label
    And the run was built from the head of the default branch
    And the status comment shows the environment, the build and the access of the run
    And the run ends as succeeded

  @SL-12 @set-a @p1 @S3-4 @L-67 @needs-pods @waits-deploy
  Scenario: Operations read the live environment and cannot change it
    Given a bound repository with an open Issue
    And the repository has a live environment
    And a finished "run:postdeploy" run with its pull request
    And the approver has accepted the stage
    When the member sets "run:ops" on the Issue
    Then the delivery is answered as accepted with a run
    And the run is what the table says of its label
    And an attempt of the run to change the live environment is refused

  @SL-13 @set-a @p1 @S3-4 @L-41 @L-42 @L-66
  Scenario Outline: Late stages need a candidate
    Given a bound repository with an open Issue
    When the member sets "<label>" on the Issue
    Then the delivery is answered as ignored because "issue_trigger_candidate_not_found"
    And a comment on the Issue suggests "run:dev" and "run:dev:revise"
    And the Issue comes to carry "need:input"
    And a label set on another open Issue still starts a run
    And the Issue has no run

    Examples:
      | label       |
      | run:qa      |
      | run:release |

  @SL-14 @set-a @p1 @S3-4 @L-66 @needs-pods
  Scenario Outline: A candidate whose pull request is not there is none
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And the approver has approved the pull request in a review
    And the Issue has come to carry "state:approved"
    And <what is wrong>
    When the member sets "run:qa" on the Issue
    Then the delivery is answered as ignored because "issue_trigger_candidate_not_found"
    And a comment on the Issue suggests "run:dev" and "run:dev:revise"
    And the Issue has exactly one run
    When GitHub is itself again

    Examples:
      | what is wrong                              |
      | the maintainer has closed the pull request |
      | GitHub fails to show pull requests         |

  @SL-15 @set-a @p1 @S3-4 @L-66 @needs-pods @waits-deploy
  Scenario: A candidate whose namespace is gone is deployed anew
    Given a platform of its own
    And a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And the approver has approved the pull request in a review
    And the Issue has come to carry "state:approved"
    When 26 hours pass
    And the member sets "run:qa" on the Issue
    Then the delivery is answered as accepted with a run
    And the run was deployed anew into the namespace of the run before

  @SL-16 @set-a @p1 @S3-4 @L-36
  Scenario: A closed Issue starts no intake
    Given a bound repository with an open Issue
    And the member has closed the Issue
    When the member sets "run:intake" on the Issue
    Then the delivery is answered as ignored because "issue_closed"
    And the platform comments once with "issue_closed"
    And a label set on another open Issue still starts a run
    And the Issue has no run

  @SL-17 @set-a @p1 @S3-4 @L-9 @L-46 @L-47 @needs-pods
  Scenario: An intake agent that changes code pushes nothing
    Given a bound repository whose agent changes "main.rs", with an open Issue
    When the member sets "run:intake" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as failed because "failed_precondition"
    And the event "run.failed.precondition" names the path "main.rs"
    And the branch of the Issue was never pushed
    And the Issue has no pull request
    And the trigger label has left the Issue, which is not in review

  @SL-18 @set-a @p2 @L-9 @L-46 @needs-pods
  Scenario: A long list of forbidden paths is cut
    Given a bound repository whose agent changes 25 forbidden paths, with an open Issue
    When the member sets "run:intake" on the Issue
    Then the run ends as failed because "failed_precondition"
    And the error shows 20 paths and "... and 5 more"

  @SL-18 @set-a @p2 @L-9 @L-46 @needs-pods
  Scenario: The suffix of a document may be written in capitals
    Given a bound repository whose agent changes only "README.MD", with an open Issue
    When the member sets "run:intake" on the Issue
    Then the run ends as succeeded
    And one pull request linked to the Issue exists, opened by the bot

  @SL-19 @set-a @p1 @S3-4 @L-40 @L-69 @L-70 @needs-pods
  Scenario: Only an approver goes back in the order of stages
    Given a bound repository with an open Issue
    And a finished "run:plan" run with its pull request
    When the member sets "run:intake" on the Issue
    Then the delivery is answered as ignored because "stage_transition_not_allowed"
    When the approver sets "run:intake" on the Issue again
    Then the delivery is answered as accepted with a run
    And the skipped stages are recorded, from "plan" to "intake"

  @SL-20 @set-a @p1 @S3-4 @L-71 @needs-pods
  Scenario: A stage in review is not passed by a member
    Given a bound repository with an open Issue
    And a finished "run:design" run with its pull request
    When the member sets "run:plan" on the Issue
    Then the delivery is answered as ignored because "stage_gate_not_passed"
    And the Issue has exactly one run

  @SL-21 @set-a @p1 @S3-4 @L-38 @needs-pods
  Scenario: A run that a review started occupies the Issue
    Given a bound repository whose agent waits when it revises, with an open Issue
    And a finished "run:design" run with its pull request
    And the member has requested changes on the pull request
    When the member sets "run:plan" on the Issue
    Then the delivery is answered as ignored because "issue_active_run_exists"
    And the platform comments once with "issue_active_run_exists"
    And the Issue has exactly two runs

  @SL-22 @set-a @p1 @S3-4 @L-29 @L-39 @L-42 @needs-pods
  Scenario: A stage without its agent starts nothing
    Given a bound repository with an open Issue
    And the agent "sa" is switched off for the project
    When the member sets "run:arch" on the Issue
    Then the delivery is answered as ignored because "agent_not_configured"
    And the platform comments once with "agent_not_configured"
    And the Issue has no run
    When the agent "sa" is switched on for the project
    And the member removes "run:arch" from the Issue
    And the member sets "run:arch" on the Issue
    Then the delivery is answered as accepted with a run
    And the run is what the table says of its label
    And the run ends as succeeded

  @SL-23 @set-a @p1 @S3-4 @S3-12 @L-48 @L-72 @L-73 @R-18 @needs-pods
  Scenario: An agent that fails ends its run
    Given a bound repository whose agent fails, with an open Issue
    When the member sets "run:plan" on the Issue
    Then the run ends as failed because "kubernetes job failed"
    And the event "run.failed" gives the reason "kubernetes job failed"
    And the trigger label has left the Issue, which is not in review

  @SL-23 @set-a @p1 @S3-4 @S3-12 @L-48 @L-72 @L-73 @R-19 @needs-pods
  Scenario: A Job that vanishes ends its run when nobody finds it
    Given a platform of its own
    And a bound repository whose agent waits, with an open Issue
    And a running "run:doc-audit" run
    When somebody deletes the Job of the run
    And 31 minutes pass
    Then the run ends as failed because "kubernetes job not found"
    And the event "run.failed.job_not_found" gives the reason "kubernetes job not found"
    And the trigger label has left the Issue, which is not in review

  @SL-23 @set-a @p1 @S3-4 @S3-12 @L-48 @L-72 @L-73 @R-20 @needs-pods
  Scenario: A run that cannot be launched ends
    Given a bound repository with an open Issue
    When the member sets "run:ops" on the Issue
    Then the run ends as failed because "namespace_prepare_failed"
    And the event "run.failed.launch_error" gives the reason "namespace_prepare_failed"
    And the trigger label has left the Issue, which is not in review

  @SL-24 @set-a @p1 @S3-4 @L-27 @L-45 @needs-pods @waits-deploy
  Scenario: A push to the default branch deploys it
    Given a bound repository with an open Issue
    When the maintainer pushes to "main"
    Then a run without agent deploys the environment of the repository
    When the maintainer pushes to "feature"
    Then the delivery is answered as received

  @SL-25 @set-a @p1 @S3-4 @L-45 @waits-deploy
  Scenario: A push that bumps versions deploys nothing itself
    Given a bound repository whose versions are bumped automatically
    When the maintainer pushes to "main"
    Then the delivery is answered as ignored because "push_main_versions_autobumped"
    And the versions were bumped in a commit

  @SL-26 @set-a @p1 @S3-4 @L-7 @needs-pods
  Scenario: The repository says in which mode a stage runs
    Given a bound repository whose services.yaml runs "plan" in "code-only" mode, with an open Issue
    When the member sets "run:plan" on the Issue
    Then the delivery is answered as accepted with a run
    And the run works in "code-only" mode because of "services_yaml"
    And the run ends as succeeded

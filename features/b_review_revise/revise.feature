Feature: Revise
  A review that asks for changes, or a revise label, sends the work into another round on the same branch and pull request.

  @RV-01 @set-b @p1 @S3-4 @S3-5 @L-51 @L-52 @L-53 @needs-pods
  Scenario: The stage label on the pull request names the stage
    Given a bound repository with an open Issue
    And a finished "run:intake" run with its pull request
    And the member has set "run:intake" on the pull request
    When the member requests changes on the pull request
    Then the delivery is answered as accepted with a run
    And the stage was resolved as "run:intake:revise" by "pr_labels"
    And the run belongs to the same Issue and pull request
    And the run ends as succeeded
    And the run used the template "revise"

  @RV-04 @set-b @p1 @S3-4 @L-54 @L-55 @needs-pods
  Scenario: The live label of the Issue names the stage
    Given a bound repository with an open Issue
    And a finished "run:arch" run with its pull request
    And an outsider has set "run:arch:revise" on the Issue
    When the member requests changes on the pull request
    Then the delivery is answered as accepted with a run
    And the stage was resolved as "run:arch:revise" by "issue_labels"
    And the run belongs to the same Issue and pull request

  @RV-05 @set-b @p1 @S3-4 @L-56 @needs-pods
  Scenario: The last run of the pull request names the stage
    Given a bound repository with an open Issue
    And a finished "run:design" run with its pull request
    When the member requests changes on the pull request
    Then the delivery is answered as accepted with a run
    And the stage was resolved as "run:design:revise" by "last_run_context"
    And the run belongs to the same Issue and pull request

  @RV-06 @set-b @p1 @S3-4 @L-56 @needs-pods
  Scenario: The history of the Issue names the stage
    Given a bound repository with an open Issue
    And a finished "run:plan" run whose pull request was merged
    And the maintainer has opened another pull request from the branch of the Issue
    When the member requests changes on the pull request
    Then the delivery is answered as accepted with a run
    And the stage was resolved as "run:plan:revise" by "issue_history"
    And the run belongs to the same Issue and pull request

  @RV-07 @set-b @p0 @S2-2 @S3-4 @L-51 @needs-pods
  Scenario: A revise label continues branch, pull request and session
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When the member sets "run:dev:revise" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the same pull request has new commits
    And the run restored the session of the run before
    And the run wrote "run.pr.updated" and not "run.pr.created"

  @RV-17 @set-b @p1 @S3-4 @L-57
  Scenario: Nothing tells the stage
    Given a bound repository with an open Issue
    And the maintainer has opened a pull request from a branch of their own
    When the member requests changes on the pull request
    Then the delivery is answered as ignored because "pull_request_review_stage_not_resolved"
    And the remediation comment on the pull request suggests all 26 stage labels
    And the pull request carries "need:input"
    And a label set on another open Issue still starts a run
    And the pull request has no run

  @RV-20 @set-b @p0 @S2-2 @S3-4 @L-46 @L-60 @needs-pods
  Scenario: Revise without a pull request
    Given a bound repository with an open Issue
    When the member sets "run:dev:revise" on the Issue
    Then the run ends as failed because "failed_precondition"
    And the event "run.revise.pr_not_found" gives the reason "pr_not_found"
    And a comment on the Issue advises "run:dev"
    And no namespace was made for the run, while a run without conflict gets one

  @RV-21 @set-b @p1 @S3-4 @L-46 @L-47 @needs-pods
  Scenario: The branch vanishes during the run
    Given a bound repository whose branch vanishes while the agent revises, with an open Issue
    And a finished "run:dev" run with its pull request
    When the member sets "run:dev:revise" on the Issue
    Then the run ends as failed because "failed_precondition"
    And the agent's container ended with exit code 42
    And the event "run.revise.pr_not_found" gives the reason "branch_not_found"

  @RV-27 @set-b @p1 @S3-4 @L-27 @needs-pods
  Scenario Outline: Other reviews start nothing
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When the member <acts> on the pull request
    Then the delivery is answered as received
    And a label set on another open Issue still starts a run
    And the Issue has exactly one run

    Examples:
      | acts                    |
      | comments in a review    |
      | dismisses a review      |

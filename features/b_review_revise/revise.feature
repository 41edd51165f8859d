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

  @RV-02 @set-b @p1 @S3-4 @L-53 @needs-pods
  Scenario: A revise label on the pull request names the stage too
    Given a bound repository with an open Issue
    And a finished "run:vision" run with its pull request
    And the member has set "run:vision:revise" on the pull request
    When the member requests changes on the pull request
    Then the delivery is answered as accepted with a run
    And the stage was resolved as "run:vision:revise" by "pr_labels"
    And the run's kind is "vision_revise"

  @RV-03 @set-b @p1 @S3-4 @L-53 @needs-pods
  Scenario: Work and revise label of one stage are one stage
    Given a bound repository with an open Issue
    And a finished "run:prd" run with its pull request
    And the member has set "run:prd" on the pull request
    And the member has set "run:prd:revise" on the pull request
    When the member requests changes on the pull request
    Then the delivery is answered as accepted with a run
    And the stage was resolved as "run:prd:revise" by "pr_labels"

  @RV-04 @set-b @p1 @S3-4 @L-54 @L-55 @needs-pods
  Scenario: The live label of the Issue names the stage
    Given a bound repository with an open Issue
    And a finished "run:arch" run with its pull request
    And an outsider has set "run:arch:revise" on the Issue
    When the member requests changes on the pull request
    Then the delivery is answered as accepted with a run
    And the stage was resolved as "run:arch:revise" by "issue_labels"
    And the run belongs to the same Issue and pull request

  @RV-05 @crash-story @set-b @p1 @S3-4 @L-56 @needs-pods
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

  @RV-02 @RV-03 @RV-04 @RV-05 @RV-06 @set-b @p1 @S3-4 @L-6 @L-51 @needs-pods
  Scenario Outline: A revise label revises its stage
    Given a bound repository with an open Issue
    And a finished "<work>" run with its pull request
    When the member sets "<revise>" on the Issue
    Then the delivery is answered as accepted with a run
    And the run is what the table says of its label
    And the run ends as succeeded
    And the same pull request has new commits
    And the Issue and the pull request are in review without a trigger label

    Examples:
      | work       | revise            |
      | run:vision | run:vision:revise |
      | run:prd    | run:prd:revise    |
      | run:arch   | run:arch:revise   |
      | run:design | run:design:revise |
      | run:plan   | run:plan:revise   |

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

  @RV-08 @set-b @p1 @S3-4 @L-6 @L-111 @needs-pods
  Scenario: A document audit is revised
    Given a bound repository with an open Issue
    And a finished "run:doc-audit" run with its pull request
    When the member sets "run:doc-audit:revise" on the Issue
    Then the delivery is answered as accepted with a run
    And the run is what the table says of its label
    And the run ends as succeeded
    And the same pull request has new commits

  @RV-09 @set-b @p1 @S3-4 @L-63 @L-66 @needs-pods
  Scenario: Quality assurance is revised in its namespace
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And the approver has approved the pull request in a review
    And the Issue has come to carry "state:approved"
    And a finished "run:qa" run with its pull request
    When the member sets "run:qa:revise" on the Issue
    Then the delivery is answered as accepted with a run
    And the run worked in the namespace of the run before
    And the run was built from the head of the pull request
    And the lease of its namespace was extended to 24 hours from now
    And the run ends as succeeded

  @RV-10 @set-b @p1 @S3-4 @L-6 @L-66 @needs-pods
  Scenario: A release without a candidate is not revised
    Given a bound repository with an open Issue
    When the member sets "run:release:revise" on the Issue
    Then the delivery is answered as ignored because "issue_trigger_candidate_not_found"
    And a label set on another open Issue still starts a run
    And the Issue has no run

  @RV-10 @set-b @p1 @S3-4 @L-6 @L-66 @needs-pods
  Scenario: A release is revised in the namespace of its candidate
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And the approver has approved the pull request in a review
    And the Issue has come to carry "state:approved"
    When the approver sets "run:release:revise" on the Issue
    Then the delivery is answered as accepted with a run
    And the run is what the table says of its label
    And the run worked in the namespace of the run before
    And the run was built from the head of the pull request
    And the run ends as succeeded

  @RV-11 @set-b @p1 @S3-4 @L-58 @L-67 @needs-pods @waits-deploy
  Scenario: A review after the deployment works on the live environment
    Given a bound repository with an open Issue
    And the repository has a live environment
    And a finished "run:postdeploy" run with its pull request
    And the member has set "run:postdeploy:revise" on the pull request
    When the member requests changes on the pull request
    Then the delivery is answered as accepted with a run
    And the stage was resolved as "run:postdeploy:revise" by "pr_labels"
    And the run is what the table says of its label
    And the run was built from the head of the pull request
    And the run ends as succeeded
    When the member sets "run:postdeploy:revise" on the Issue
    Then the run ends as succeeded

  @RV-12 @set-b @p1 @S3-4 @L-36 @L-67 @needs-pods @waits-deploy
  Scenario: Operations are revised on a closed Issue
    Given a bound repository with an open Issue
    And the repository has a live environment
    And a finished "run:ops" run with its pull request
    And the member has closed the Issue
    When the member sets "run:ops:revise" on the Issue
    Then the delivery is answered as accepted with a run
    And the run is what the table says of its label
    And the run ends as succeeded

  @RV-13 @set-b @p1 @S3-4 @S3-6 @L-110 @needs-pods
  Scenario: Self-improvement is revised in its narrow scope
    Given a bound repository with an open Issue
    And a finished "run:self-improve" run with its pull request
    When the member sets "run:self-improve:revise" on the Issue
    Then the delivery is answered as accepted with a run
    And the run is what the table says of its label
    And the run ends as succeeded
    And the same pull request has new commits

  @RV-14 @set-b @p1 @S3-4 @L-35 @L-42 @L-52 @L-59
  Scenario: Two stages on the pull request are ambiguous
    Given a bound repository with an open Issue
    And the maintainer has opened a pull request from a branch of their own
    And the member has set "run:dev" on the pull request
    And the member has set "run:plan" on the pull request
    When the member requests changes on the pull request
    Then the delivery is answered as ignored because "pull_request_review_stage_ambiguous"
    And the stage is ambiguous between "run:dev, run:plan" by "pr_labels"
    And the pull request carries "need:input"
    And one comment on the pull request says "pull_request_review_stage_ambiguous"
    And a label set on another open Issue still starts a run
    And the pull request has no run

  @RV-15 @set-b @p1 @S3-4 @L-59 @L-84
  Scenario: The review counts when one stage is left
    Given a bound repository with an open Issue
    And the maintainer has opened a pull request from a branch of their own
    And the member has set "run:dev" on the pull request
    And the member has set "run:plan" on the pull request
    And the member has requested changes on the pull request
    And the pull request has come to carry "need:input"
    When the member removes "run:plan" from the pull request
    And the member requests changes on the pull request
    Then the delivery is answered as accepted with a run
    And the pull request comes to carry "run:dev" and not "need:input"

  @RV-16 @set-b @p1 @S3-4 @L-54 @L-59 @needs-pods
  Scenario: A pull request of two Issues is ambiguous
    Given a bound repository whose plans go into the pull request of the first Issue
    And a finished "run:dev" run with its pull request
    And another open Issue without a label
    And a finished "run:plan" run with the same pull request
    When the member requests changes on the pull request
    Then the delivery is answered as ignored because "pull_request_review_stage_ambiguous"
    And the stage is ambiguous between "issue#1, issue#3" by "run_context"
    And the pull request carries "need:input"
    And one comment on the pull request says "pull_request_review_stage_ambiguous"
    And a label set on another open Issue still starts a run

  @RV-18 @set-b @p1 @S3-4 @L-56 @needs-pods
  Scenario: A reviewer's run does not name the stage
    Given a bound repository with an open Issue
    And a finished "run:plan" run with its pull request
    And a finished run of the reviewer
    When the member requests changes on the pull request
    Then the delivery is answered as accepted with a run
    And the stage was resolved as "run:plan:revise" by "last_run_context"

  @RV-19 @set-b @p1 @S3-4 @L-56 @L-112 @needs-pods
  Scenario: A rethink is not revised without a stage label
    Given a bound repository with an open Issue
    And a finished "run:rethink" run with its pull request
    When the member requests changes on the pull request
    Then the delivery is answered as ignored because "pull_request_review_stage_not_resolved"
    And a label set on another open Issue still starts a run
    And the Issue has exactly one run

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

  @RV-22 @set-b @p1 @S3-4 @L-63 @needs-pods
  Scenario: The head of the pull request moved
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And the maintainer has pushed to the branch of the pull request
    When the member sets "run:dev:revise" on the Issue
    Then the run worked in the namespace of the run before
    And the run wrote "run.namespace.reuse_fallback_redeploy" with reuse refused

  @RV-22 @set-b @p1 @S3-4 @L-63 @needs-pods
  Scenario: The namespace is on its way out
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And the namespace of the run is being deleted and does not end
    When the member sets "run:dev:revise" on the Issue
    Then the run worked in another namespace than the run before

  @RV-23 @set-b @p1 @S3-4 @L-14 @L-61 @needs-pods
  Scenario: A review listens to the Issue first, a label to the pull request
    Given a bound repository with an open Issue
    And a finished "run:intake" run with its pull request
    And the member has set "[ai-model-gpt-5.2]" on the Issue
    And the member has set "[ai-model-gpt-5.4]" on the pull request
    When the member requests changes on the pull request
    Then the run used model "gpt-5.2" from "issue_label" and reasoning "high" from "agent_default"
    And the run ends as succeeded
    When the member sets "run:intake:revise" on the Issue
    Then the run used model "gpt-5.4" from "pull_request_label" and reasoning "high" from "agent_default"

  @RV-24 @set-b @p1 @S3-4 @L-62 @needs-pods
  Scenario: A revise goes on as its run before did
    Given a bound repository with an open Issue
    And a finished "run:intake" run with its pull request
    And the member has set "[ai-reasoning-low]" on the Issue
    And a finished "run:intake:revise" run with its pull request
    When the member removes "[ai-reasoning-low]" from the Issue
    And the member requests changes on the pull request
    Then the run used model "gpt-5.4" from "agent_default" and reasoning "low" from "last_run_context"

  @RV-25 @set-b @p1 @S3-4 @L-64 @needs-pods
  Scenario: A review of the revise that is under way
    Given a bound repository whose agent waits when it revises, with an open Issue
    And a finished "run:plan" run with its pull request
    And a running "run:plan:revise" run
    When the member requests changes on the pull request
    Then the delivery is answered as ignored because "issue_active_run_exists"
    And a label set on another open Issue still starts a run
    And no comment on the threads says "issue_active_run_exists"
    When staff cancels the run without abandoning it
    And the member requests changes on the pull request
    Then the delivery is answered as accepted with a run
    And the run comes to have exactly one Job

  @RV-26 @set-b @p1 @S3-4 @L-58 @needs-pods
  Scenario: A review that does not tell the commit
    Given a bound repository with an open Issue
    And a finished "run:plan" run with its pull request
    When a review that requests changes and tells no commit arrives
    Then the delivery is answered as accepted with a run
    And the run was asked for at the branch of the pull request
    And the run was built from the head of the pull request
    And the run ends as succeeded
    And the Issue never carried "run:plan:revise"

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

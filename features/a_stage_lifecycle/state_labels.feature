Feature: State labels
  They say where the work of an Issue stands; only who may accept a stage can accept it.

  @ST-01 @set-a @p1 @S3-5 @S3-14 @L-72 @L-73 @needs-pods
  Scenario: Finished work waits in review on both threads
    Given a bound repository with an open Issue
    When the member sets "run:plan" on the Issue
    Then the run ends as succeeded
    And the Issue and the pull request are in review without a trigger label

  @ST-02 @set-a @p1 @S3-14 @L-73 @L-111 @needs-pods
  Scenario: Work without a pull request waits in review on the Issue
    Given a bound repository whose agent writes nothing, with an open Issue
    When the member sets "run:doc-audit" on the Issue
    Then the run ends as succeeded
    And the Issue has no pull request
    And the Issue comes to carry "state:in-review" and not "run:doc-audit"

  @ST-03 @set-a @p1 @S3-14 @S3-15 @L-75 @L-77 @L-79 @needs-pods
  Scenario: Code that the reviewer has seen is accepted
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And a finished run of the reviewer
    When the approver sets "state:approved" on the pull request
    Then the stage is accepted on the Issue and the pull request
    And the Issue has no other stage-run

  @ST-04 @set-a @p1 @S3-14 @L-77 @needs-pods
  Scenario: Code that nobody looked at is not accepted
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When the approver sets "state:approved" on the pull request
    Then the approval of the pull request is taken back because "pre_review_missing"

  @ST-05 @set-a @p1 @S3-14 @L-76 @needs-pods
  Scenario Outline: Only an approver accepts a stage
    Given a bound repository with an open Issue
    And a finished "run:plan" run with its pull request
    When <who> sets "state:approved" on the Issue
    Then the approval of the Issue is refused because "state_approval_not_permitted"

    Examples:
      | who         |
      | the member  |
      | a bot       |
      | an outsider |

  @ST-06 @set-a @p1 @S3-14 @L-78 @needs-pods
  Scenario: An approving review accepts the stage
    Given a bound repository with an open Issue
    And a finished "run:plan" run with its pull request
    When the approver approves the pull request in a review
    Then the stage is accepted on the Issue and the pull request
    And the Issue has exactly one run

  @ST-06 @set-a @p1 @S3-14 @L-78 @needs-pods
  Scenario: A merge accepts the stage
    Given a bound repository with an open Issue
    And a finished "run:plan" run with its pull request
    When the maintainer merges the pull request
    Then the stage is accepted on the Issue and the pull request
    And the acceptance is recorded with the reason "merged"

  @ST-07 @set-a @p1 @S3-14 @S3-15 @L-37 @L-80 @needs-pods
  Scenario: Blocked work ends normally and offers nothing until it is unblocked
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:plan" run
    And the member has set "state:blocked" on the Issue beside the run
    When the agent goes on
    Then the run ends as succeeded
    And the Issue comes to carry "state:blocked, state:in-review"
    And the finished status comment offers no next step
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as ignored because "issue_state_blocked"
    When the member removes "state:blocked" from the Issue
    Then the finished status comment offers "run:plan:revise" and "run:dev"
    When the approver sets "run:dev" on the Issue again
    Then the delivery is answered as accepted with a run

  @ST-08 @set-a @p1 @S3-14 @L-81 @needs-pods
  Scenario: A rethink supersedes what it replaces
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When the member sets "run:rethink" on the Issue
    Then the run ends as succeeded
    And the pull request comes to carry "state:superseded" and not "state:in-review"
    And the run made a new pull request
    And the pull request comes to carry "state:in-review" and not "state:superseded"
    And the Issue comes to carry "state:in-review" and not "run:rethink"

  @ST-09 @set-a @p1 @S3-14 @L-82 @needs-pods
  Scenario: A cancelled stage is abandoned, and nothing else
    Given a bound repository whose agent waits, with an open Issue
    And a second open Issue with a running "run:intake" run
    And a running "run:plan" run
    When staff cancels the run
    Then the run ends as canceled
    And the Issue comes to carry "state:abandoned" and not "run:plan"
    And the run of the second Issue goes on
    And its Issue carries "run:intake" and not "state:abandoned"
    When staff cancels the run again
    Then the run has one end
    When staff cancels the run of the second Issue without abandoning it
    Then its Issue comes to carry neither "run:intake" nor "state:abandoned"

  @ST-10 @set-a @p1 @S3-14 @L-37 @L-83 @needs-pods
  Scenario: An abandoned Issue stops its runs and refuses new ones until it is reopened
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:plan" run
    When the member sets "state:abandoned" on the Issue beside the run
    Then the run ends as canceled because "canceled_by_state_abandoned"
    And the Issue comes to carry "state:abandoned" and not "run:plan"
    When the member sets "run:intake" on the Issue
    Then the delivery is answered as ignored because "issue_state_abandoned"
    When the member removes "state:abandoned" from the Issue
    And the member sets "run:intake" on the Issue again
    Then the delivery is answered as accepted with a run

  @ST-10 @set-a @p1 @S3-14 @L-75
  Scenario: A thread is in one state at a time
    Given a bound repository with an open Issue
    When the member sets "state:in-review" on the Issue
    And the member sets "state:superseded" on the Issue
    Then the Issue comes to carry "state:superseded" and not "state:in-review"
    When the member sets "state:abandoned" on the Issue
    Then the Issue comes to carry "state:abandoned" and not "state:superseded"
    When the member sets "state:blocked" on the Issue
    And the member sets "state:in-review" on the Issue
    Then the Issue comes to carry "state:blocked, state:in-review" and not "state:abandoned"

  @ST-11 @set-a @p1 @S3-14 @L-74 @needs-pods
  Scenario: An accepted stage is open again while a new run works on it
    Given a bound repository whose agent waits when it revises, with an open Issue
    And a finished "run:plan" run with its pull request
    And the approver has accepted the stage
    When the member sets "run:plan:revise" on the Issue
    Then the delivery is answered as accepted with a run
    And the Issue comes to carry "run:plan:revise" and not "state:approved"
    And the pull request comes to carry nothing of "state:approved, state:in-review"
    When the agent goes on
    Then the run ends as succeeded
    And the Issue and the pull request are in review without a trigger label

  @ST-12 @set-a @p0 @S2-11 @S3-14 @L-10 @needs-pods
  Scenario: The debug label keeps a namespace beyond its lease
    Given a platform of its own
    And a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And another open Issue with "run:debug"
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the clean-up of its namespace was skipped because "debug_label_present", once
    When 26 hours pass
    Then the namespace of the run before is gone, that of the run is kept
    And the clean-up of its namespace was skipped because "debug_label_present", once
    When the member removes "run:debug" from the Issue

  @ST-13 @set-a @p1 @S3-14 @L-11 @needs-pods
  Scenario: A namespace that the debug label kept goes with the label
    Given a platform of its own
    And a bound repository with an open Issue
    And the member has set "run:debug" on the Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the clean-up of its namespace was skipped because "debug_label_present", once
    When 26 hours pass
    And the member removes "run:debug" from the Issue
    And 1 hours pass
    Then the namespace of the run is swept

  @ST-14 @set-a @p1 @S3-14 @L-27 @L-28 @L-29 @L-42 @L-44 @L-72 @L-73 @L-74 @L-75 @L-77 @L-82 @L-84 @needs-pods
  Scenario Outline: Whatever people and agents do, in whatever order, comes out as the rules say
    Given a bound repository with two open Issues and everybody who takes part in the 11 moves of walk <walk>
    When they make their moves one after the other
    Then after each move the platform has answered and commented as the rules say
    And the labels of both Issues and of every pull request were as the rules say
    And every run had begun, gone on or ended as the rules say

    Examples:
      | walk |
      | 130  |
      | 172  |
      | 570  |
      | 616  |
      | 714  |
      | 744  |
      | 771  |
      | 843  |
      | 872  |
      | 999  |
      | 1002 |
      | 1221 |
      | 1361 |
      | 1380 |
      | 1414 |
      | 1571 |
      | 1659 |
      | 1663 |
      | 1708 |
      | 1925 |

Feature: Need labels
  They ask a person or a role for something; what they ask for stands in the way of acceptance, not of work.

  @ND-01 @set-a @p1 @S3-14 @L-37 @L-84
  Scenario: A question that a person asked stops the next stage until it is gone
    Given a bound repository with an open Issue
    And the member has set "need:input" on the Issue
    When the member sets "run:plan" on the Issue
    Then the delivery is answered as ignored because "issue_need_input_open"
    And the platform comments once with "issue_need_input_open"
    When the member removes "need:input" from the Issue
    And the member sets "run:plan" on the Issue again
    Then the delivery is answered as accepted with a run
    And the Issue has exactly one run

  @ND-02 @set-a @p1 @S3-14 @L-84
  Scenario: A question that the platform asked goes with the next accepted trigger
    Given a bound repository with an open Issue
    When the member sets "run:qa" on the Issue
    Then the delivery is answered as ignored because "issue_trigger_candidate_not_found"
    And the Issue comes to carry "need:input"
    When the member replaces "run:qa" by "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And the Issue comes to carry "run:dev" and not "need:input"

  @ND-03 @set-a @p1 @S3-14 @L-23 @L-24 @L-43 @D-31
  Scenario: GitHub fails twice on the question
    Given a platform of its own
    And a bound repository with an open Issue
    And GitHub fails 2 times to set labels
    When the member sets "run:qa" on the Issue
    Then the delivery is answered as ignored because "issue_trigger_candidate_not_found"
    When GitHub has failed once and 1 minute has passed, twice
    Then the platform comments once with "issue_trigger_candidate_not_found"
    And "need:input" was set at the third try, before the comment
    When GitHub redelivers the delivery
    Then the second delivery is answered as duplicate of the first
    And a label set on another open Issue still starts a run
    And the platform comments once with "issue_trigger_candidate_not_found"

  @ND-03 @set-a @p1 @S3-14 @L-23 @L-43 @D-31
  Scenario: GitHub refuses the question for good
    Given a bound repository with an open Issue
    And GitHub refuses for good to set labels
    When the member sets "run:qa" on the Issue
    Then the delivery is answered as ignored because "issue_trigger_candidate_not_found"
    And the effect that sets "need:input" is given up
    And a label set on another open Issue still starts a run
    And no comment on the Issue says "issue_trigger_candidate_not_found", as one does on an Issue whose labels can be set

  @ND-04 @set-a @p1 @S3-14 @L-77 @L-85 @needs-pods
  Scenario: An open role question stands in the way of acceptance
    Given a bound repository with an open Issue
    And a finished "run:plan" run with its pull request
    And the member has set "need:pm" on the Issue
    When the approver sets "state:approved" on the Issue
    Then the approval of the Issue is taken back because "need_label_open"
    When the member comments on the Issue
    And the member removes "need:pm" from the Issue
    And the approver sets "state:approved" on the Issue again
    Then the stage is accepted on the Issue and the pull request

  @ND-05 @set-a @p1 @S3-14 @L-77 @L-85 @needs-pods
  Scenario Outline: Each role question stands in the way of acceptance, and starts nothing
    Given a bound repository with an open Issue
    And a finished "run:intake" run with its pull request
    When the member sets "<label>" on the Issue
    Then the delivery is answered as ignored because "issue_event_not_trigger_label"
    When the approver sets "state:approved" on the Issue
    Then the approval of the Issue is taken back because "need_label_open"
    When the member comments on the Issue
    And the member removes "<label>" from the Issue
    And the approver sets "state:approved" on the Issue again
    Then the stage is accepted on the Issue and the pull request
    And the Issue has exactly one run

    Examples:
      | label    |
      | need:sa  |
      | need:qa  |
      | need:sre |
      | need:em  |
      | need:km  |

  @ND-06 @set-a @p1 @S3-14 @L-86
  Scenario: A role question that nobody answered comes back
    Given a bound repository with an open Issue
    And the member has set "need:sa" on the Issue
    When the member removes "need:sa" from the Issue
    Then the Issue comes to carry "need:sa" again because "need_role_evidence_missing"

  @ND-07 @set-a @p1 @S3-14 @L-27 @L-87 @needs-pods
  Scenario: A reviewer comments, commits nothing and leaves
    Given a bound repository with an open Issue
    And a finished "run:plan" run with its pull request
    When the member sets "need:reviewer" on the pull request
    Then the delivery is answered as accepted with a run
    And the run's agent is "reviewer"
    And the run ends as succeeded
    And the pull request has a comment of the reviewer and no new commit
    And the pull request comes to carry "state:in-review" and not "need:reviewer"
    And the Issue comes to carry "state:in-review" and not "run:plan"

  @ND-08 @set-a @p1 @S3-14 @L-88 @needs-pods
  Scenario: One click on the reviewer label is one run, however often it is told
    Given a bound repository with an open Issue
    And a finished "run:plan" run with its pull request
    When the member sets "need:reviewer" on the pull request
    Then the delivery is answered as accepted with a run
    When the same click is told under another delivery id
    Then the delivery is answered as duplicate with the same run
    When the same click is told with a later time of update
    Then the delivery is answered as accepted with another run

  @ND-09 @set-a @p1 @S3-14 @L-85 @needs-pods
  Scenario: A reviewer label on an Issue only stands in the way
    Given a bound repository with an open Issue
    And a finished "run:intake" run with its pull request
    When the member sets "need:reviewer" on the Issue
    Then the delivery is answered as ignored because "issue_event_not_trigger_label"
    When the approver sets "state:approved" on the Issue
    Then the approval of the Issue is taken back because "need_label_open"
    And the Issue has exactly one run

  @ND-10 @set-a @p1 @S3-14 @L-9 @L-46 @L-87 @needs-pods
  Scenario: A reviewer that writes a file fails, and is still asked for
    Given a bound repository whose reviewer writes a file, with an open Issue
    And a finished "run:plan" run with its pull request
    When the member sets "need:reviewer" on the pull request
    Then the run ends as failed because "failed_precondition"
    And the event "run.failed.precondition" names the path "review.md"
    And the pull request still carries "need:reviewer" and has no new commit

  @ND-11 @set-a @p1 @S3-14 @L-16 @L-18 @needs-pods
  Scenario: An agent asks for a trigger label, and gets it
    Given a finished "run:dev" run whose agent has asked for "run:qa"
    And the approver has approved the pull request in a review
    And the Issue has come to carry "state:approved"
    When the owner approves the label
    Then the bot's "run:qa" is accepted once, and one run starts with the owner as its actor

  @ND-11 @set-a @p1 @S3-14 @L-16 @needs-pods
  Scenario: An agent asks for a trigger label, and does not get it
    Given a running "run:dev" run whose agent has asked for "run:qa"
    When the owner denies the label
    Then "run:qa" is on record as refused because "approval_denied"
    And "need:km" is the only label that the agent has changed

  @ND-12 @set-a @p1 @S3-14 @L-16 @L-17 @L-19 @needs-pods
  Scenario: What an agent may label by itself
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the agent adds "need:km, state:blocked, [ai-model-gpt-5.2]" to the Issue
    Then the Issue carries "need:km, state:blocked, [ai-model-gpt-5.2]", by "add" of the agent
    When the agent adds "state:approved, state:abandoned, run:debug" to the Issue
    Then the tool refuses with "forbidden label_not_allowed"
    And "state:approved, state:abandoned, run:debug" is on record as refused because "label_not_allowed"
    When the agent sets "need:qa" with its own token for GitHub
    Then "need:qa" is on record once, as set by the bot

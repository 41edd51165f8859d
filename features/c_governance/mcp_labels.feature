Feature: Labels that an agent changes
  An agent changes the labels of its own Issue and pull request over the platform's tools, within bounds.

  @ML-01 @set-c @p0 @S3-7 @S3-14 @G-14 @G-32 @L-19 @needs-pods
  Scenario: A label is set once and taken off
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the agent adds "need:qa" to the Issue
    Then the tool answers that "need:qa" is done and "" was so before
    And the Issue carries "need:qa", by "add" of the agent
    When the agent adds "need:qa" to the Issue
    Then the tool answers that "" is done and "need:qa" was so before
    And the Issue carries "need:qa", by "add" of the agent
    When the agent removes "need:qa" from the Issue
    Then the Issue lacks "need:qa", by "add, remove" of the agent
    And the list that the agent gets is what GitHub shows

  @ML-02 @set-c @p1 @S3-7 @G-32 @G-5 @needs-pods
  Scenario: A change that says nothing or contradicts itself is refused
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the agent adds no label, and changes one label both ways
    Then the tool refuses with "invalid_argument; invalid_argument"
    And "need:km" is the only label that the agent has changed

  @ML-03 @set-c @p1 @S3-7 @S3-14 @G-37 @G-67 @needs-pods
  Scenario: An agent hands its work over
    Given a bound repository whose agent waits when it revises, with an open Issue
    And a finished "run:dev" run with its pull request
    And the work is not in review any more
    And a running "run:dev:revise" run
    When the agent takes "run:dev:revise" off the Issue and sets "state:in-review"
    Then the Issue lacks "run:dev:revise", by "remove" of the agent
    And the Issue carries "state:in-review", by "add" of the agent
    When the agent takes "need:qa" off the pull request and sets "state:in-review"
    Then the pull request carries "state:in-review", as the agent wished

  @ML-04 @set-c @p0 @S3-7 @G-33 @L-19 @needs-pods
  Scenario: The labels of another Issue are out of reach
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the agent adds "need:qa" to another Issue
    Then the tool refuses with "forbidden foreign_thread"
    And "need:qa" is on record as refused because "foreign_thread"
    And "need:km" is the only label that the agent has changed

  @ML-05 @set-c @p0 @S2-4 @S3-7 @S3-14 @G-35 @G-70 @needs-pods
  Scenario: A trigger label is asked for and not set
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    And the member has taken "run:dev" off the Issue
    When the agent adds "run:qa" to the Issue
    Then the tool answers that an approval is needed
    And the Issue lacks "run:qa", by "" of the agent
    And the run goes on working
    And "need:km" is the only label that the agent has changed

  @ML-06 @set-c @p0 @S3-7 @S3-14 @G-35 @G-38 @needs-pods
  Scenario: An approved label starts one run
    Given a finished "run:dev" run whose agent has asked for "run:qa"
    And the approver has approved the pull request in a review
    And the Issue has come to carry "state:approved"
    When the owner approves the label
    Then the bot's "run:qa" is accepted once, and one run starts with the owner as its actor
    And the request comes to be "applied", by "requested system, approved human, applied system"

  @ML-07 @set-c @p1 @S3-7 @S3-14 @G-38 @needs-pods
  Scenario: A grant is good once
    Given a finished "run:dev" run whose agent has asked for "run:qa"
    And the approver has approved the pull request in a review
    And the Issue has come to carry "state:approved"
    And the owner has approved the label
    And the label has started a run that was cancelled, and is off again
    When the agent sets "run:qa" with its own token for GitHub
    Then the delivery of the bot's label is ignored, and the Issue has no further run

  @ML-07 @set-c @p1 @S3-7 @S3-14 @G-38 @needs-pods
  Scenario: A grant is good for ten minutes
    Given a platform of its own
    And a finished "run:dev" run whose agent has asked for "run:qa"
    And GitHub fails whenever the bot sets a label
    When the owner approves the label
    And the label has failed once, 11 minutes pass and GitHub works again
    Then the delivery of the bot's label is ignored, and the Issue has no further run

  @ML-08 @set-c @p0 @S3-7 @G-76 @G-35 @needs-pods
  Scenario: A denied label is not set
    Given a running "run:dev" run whose agent has asked for "run:qa"
    When the owner denies the label
    Then the request comes to be "denied", by "requested system, denied human"
    And the Issue lacks "run:qa", by "" of the agent
    And "run:qa" is on record as refused because "approval_denied"
    And "need:km" is the only label that the agent has changed

  @ML-09 @set-c @p1 @S3-7 @G-35 @G-77 @needs-pods
  Scenario: A request outlives the success of its run
    Given a finished "run:dev" run whose agent has asked for "run:qa"
    When the owner approves the label
    Then the Issue carries "run:qa", by "add" of the agent
    And the request comes to be "applied", by "requested system, approved human, applied system"

  @ML-10 @set-c @p0 @S3-7 @S3-14 @G-38 @G-106
  Scenario: A trigger label that an agent sets past the tools starts nothing
    Given a bound repository with an open Issue
    When the agent sets "run:dev" with its own token for GitHub
    Then the delivery is answered as ignored because "sender_type_bot_not_permitted"
    And a label set on another open Issue still starts a run
    And the Issue has no run

  @ML-11 @set-c @p1 @S3-7 @S3-14 @G-36 @needs-pods
  Scenario Outline: A thread bears one label of a kind
    Given a bound repository whose agent waits, with an open Issue
    And the member has set "[ai-model-gpt-5.2]" on the Issue
    And a running "run:dev" run
    When the agent adds "<label>" to the Issue
    Then the tool refuses with "failed_precondition <reason>"
    And "need:km" is the only label that the agent has changed

    Examples:
      | label              | reason                |
      | run:qa             | run_label_conflict    |
      | [ai-model-gpt-5.4] | config_label_conflict |

  @ML-12 @set-c @p0 @S3-7 @S3-14 @G-37 @L-16 @L-17 @needs-pods
  Scenario Outline: Labels that agents leave alone
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the agent adds "<label>" to the Issue
    Then the tool refuses with "forbidden label_not_allowed"
    And "<label>" is on record as refused because "label_not_allowed"
    And "need:km" is the only label that the agent has changed

    Examples:
      | label            |
      | state:approved   |
      | state:superseded |
      | state:abandoned  |
      | run:debug        |

  @ML-12 @set-c @p0 @S3-7 @S3-14 @G-37 @L-19 @needs-pods
  Scenario: The trigger label of other work stays
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the agent removes "run:qa" from the Issue
    Then the tool refuses with "forbidden label_not_allowed"
    And "run:qa" is on record as refused because "label_not_allowed"
    And "need:km" is the only label that the agent has changed

  @ML-13 @set-c @p1 @S3-7 @G-34 @needs-pods
  Scenario: What a broken transition took off comes back
    Given a bound repository whose agent waits, with an open Issue
    And the member has set "need:qa" on the Issue
    And a running "run:dev" run
    And GitHub refuses the next label for good
    When the agent takes "need:qa" off the Issue and sets "need:km"
    Then the tool says that GitHub failed and that what it took off is back
    And the Issue carries "need:qa", by "remove, add" of the agent
    And "need:km" is on record as refused because "github_error"

  @ML-14 @set-c @p1 @S3-7 @G-24 @needs-pods
  Scenario: Five requests of a run are open at most
    Given a running "run:dev" run whose agent has asked for five labels
    When the agent adds "run:qa" to the Issue
    Then the tool refuses with "resource_exhausted label_requests_open"
    And the run has asked 5 times
    And "need:km" is the only label that the agent has changed

Feature: Questions to the owner
  An agent asks the owner, its run waits, and goes on with the answer.

  @OF-01 @set-c @p0 @S2-7 @S3-7 @G-57 @G-88 @G-91 @needs-pods
  Scenario: A question makes the run wait
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the agent asks the owner with three options
    Then the tool answers with "approval_required"
    And the run waits for the owner
    And the queue holds the run with its reason, and the list of requests holds the question
    And "need:km" is the only label that the agent has changed

  @OF-02 @set-c @p0 @S2-7 @S3-7 @G-58 @G-93 @needs-pods
  Scenario: The owner picks an option
    Given a run that waits for the owner's answer
    When the owner picks "opt-2"
    Then the request comes to be "applied", by "requested system, approved human, applied system"
    And the same run goes on, and its agent reads "answered option opt-2"
    And "need:km" is the only label that the agent has changed

  @OF-03 @set-c @p0 @S2-7 @S3-7 @G-58 @G-130 @needs-pods
  Scenario: The owner answers in words of their own
    Given a run that waits for the owner's answer, which may be a text
    When the owner writes a text
    Then the same run goes on, and its agent reads "answered free_text teal, as the harbour in the morning"
    And no event holds the owner's words
    And "need:km" is the only label that the agent has changed

  @OF-03 @set-c @p0 @S2-7 @S3-7 @G-58 @needs-pods
  Scenario: Words of one's own are refused where the question wants an option
    Given a run that waits for the owner's answer
    When the owner writes a text
    Then the decision is answered with "400 invalid_argument"
    And the run still waits
    When the owner picks "opt-3"
    Then the same run goes on, and its agent reads "answered option opt-3"
    And "need:km" is the only label that the agent has changed

  @OF-04 @set-c @p1 @S3-7 @G-57 @needs-pods
  Scenario Outline: What is no question makes nobody wait
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the agent asks the owner with "<fault>"
    Then the tool answers with "invalid_argument"
    And the run does not wait, and another question makes it
    And "need:km" is the only label that the agent has changed

    Examples:
      | fault             |
      | one option        |
      | six options       |
      | two equal options |
      | a blank question  |

  @OF-05 @set-c @p0 @S2-7 @S3-7 @G-59 @needs-pods
  Scenario: The owner declines
    Given a run that waits for the owner's answer
    When the owner declines
    Then the request comes to be "denied", by "requested system, denied human"
    And the same run goes on, and its agent reads "denied none ask me tomorrow"
    And "need:km" is the only label that the agent has changed

  @OF-05 @set-c @p0 @S2-7 @S3-7 @G-59 @needs-pods
  Scenario: Nobody answers in time
    Given a platform of its own
    And a run that waits a day at most for the owner's answer
    When 25 hours pass
    Then the request comes to be "expired", by "requested system, expired system ttl"
    And the same run goes on, and its agent reads "expired none"
    And "need:km" is the only label that the agent has changed

  @OF-06 @set-c @p1 @S3-7 @G-60 @G-24 @needs-pods
  Scenario: A run that waits asks nothing else
    Given a run that waits for the owner's answer
    When the agent asks the owner something else
    Then the tool refuses with "failed_precondition wait_already_open"
    And the run still waits
    When the agent asks the owner the same again
    Then the tool answers with "approval_required"
    And both calls stand for one request
    When the owner picks "opt-1"
    Then the same run goes on, and its agent reads "answered option opt-1"
    And "need:km" is the only label that the agent has changed

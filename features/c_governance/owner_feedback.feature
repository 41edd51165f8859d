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

  @OF-07 @set-c @p2 @G-58 @needs-pods
  Scenario: A spoken answer is an answer
    Given a running run with a chat
    When the agent asks the owner, in words too
    And the owner says "teal" in the chat
    Then the chat hears "200 applied"
    And the same run goes on, and its agent reads "answered free_text teal"
    And the answer is on record as one that was spoken

  @OF-08 @set-c @p1 @S3-7 @G-142 @G-60 @needs-pods
  Scenario: Of an answer in the chat and one in the console one counts
    Given a running run with a chat
    When the agent asks the owner with three options
    And the owner picks in the chat while an administrator declines in the console
    Then the chat hears "200 applied, stale"
    And exactly one of both counts, and the message is closed
    And the chat was given "primary_dispatch taken, message_edit taken"

  @OF-09 @set-c @p1 @S3-7 @G-61 @G-133 @needs-pods
  Scenario: A word to a person holds nobody up
    Given a running run with a chat
    When the agent tells the person that it is done
    Then the tool answers with "accepted"
    And the chat shows "The work is done" to the author of the Issue, with 0 buttons
    And the message comes to be "resolved delivery_only none"
    And the run has never waited
    When the agent tells the person with an address that is not safe
    Then the tool answers with "invalid_argument"
    And the chat was given "primary_dispatch taken"

  @OF-10 @set-c @p1 @S3-7 @G-62 @G-137 @G-138 @needs-pods
  Scenario: A button in the chat is an answer once
    Given a running run with a chat
    When the agent asks the person to decide
    Then the tool answers with "pending_user_response"
    And the run waits for the person
    And the chat shows "Which colour?" to the author of the Issue, with 2 buttons
    When the person presses a forged button
    Then the chat hears "200 invalid"
    And the run still waits for the person
    When the person presses "Blue"
    Then the chat hears "200 applied"
    And the run goes on with the word of the person, and its agent reads "answered option blue"
    When the person presses "Blue" again
    Then the chat hears "200 duplicate"
    And the callbacks of the message are on record as "invalid, applied, duplicate", with 1 answer that counts
    And the chat was given "primary_dispatch taken, message_edit taken"

  @OF-12 @set-c @p1 @S3-7 @G-64 @needs-pods
  Scenario: A question is no request, and a request no question
    Given a running run with a chat
    And the member has taken "run:dev" off the Issue
    When the agent adds "run:qa" to the Issue
    And the agent asks the person to decide
    And the chat has "Which colour?"
    And the chat answers the question under the number of the request
    Then the chat hears "404 not_found"
    When the chat says "that the owner approves the question"
    Then the chat hears "404 not_found"
    And the request is still "requested"
    And the run still waits for the person
    When the person presses "Blue"
    Then the chat hears "200 applied"
    And the run goes on with the word of the person, and its agent reads "answered option blue"

  @OF-13 @set-c @p1 @S3-7 @G-138 @G-136 @needs-pods
  Scenario: A late answer is told that it is late
    Given a platform of its own
    And a running run with a chat
    When the agent asks the person to decide
    And the chat has "Which colour?"
    And 25 hours pass
    Then the run goes on with the word of the person, and its agent reads "expired none"
    When the person presses "Blue"
    Then the chat hears "200 expired"
    And the callbacks of the message are on record as "expired", with 0 answers that count

  @OF-13 @set-c @p1 @S3-7 @G-138 @needs-pods
  Scenario: An answer after the end of the run is stale
    Given a running run with a chat
    When the agent asks the person to decide
    And the chat has "Which colour?"
    And the run that asked is cancelled
    Then the run ends as canceled because "canceled_by_staff"
    When the person presses "Blue"
    Then the chat hears "200 stale"
    And the callbacks of the message are on record as "stale", with 0 answers that count

  @OF-14 @set-c @p1 @S3-7 @G-138 @needs-pods
  Scenario Outline: What is no callback changes nothing
    Given a running run with a chat
    When the agent asks the person to decide, in words too
    And the chat calls back with "<fault>"
    Then the chat hears "<answer>"
    And the run still waits for the person
    When the person writes "teal"
    Then the chat hears "200 applied"
    And the run goes on with the word of the person, and its agent reads "answered free_text teal"
    And the callbacks of the message are on record as "applied", with 1 answer that counts

    Examples:
      | fault                   | answer               |
      | a receipt with a handle | 400 invalid_argument |
      | an unknown member       | 400 invalid_argument |
      | control characters      | 400 invalid_argument |
      | what is no text         | 400 invalid_argument |
      | the token of nobody     | 401 unauthorized     |

  @OF-14 @set-c @p1 @S3-7 @G-138 @needs-pods
  Scenario: A text that is too long is no answer
    Given a running run with a chat
    When the agent asks the person to decide, in words too
    And the person writes a text of 8193 bytes
    Then the chat hears "200 invalid"
    And the run still waits for the person
    When the person writes "teal"
    Then the run goes on with the word of the person, and its agent reads "answered free_text teal"
    And the callbacks of the message are on record as "invalid, applied", with 1 answer that counts

  @OF-15 @set-c @p1 @S3-7 @G-134 @needs-pods
  Scenario: A question that cannot be delivered goes back
    Given a platform of its own
    And a running run with a chat
    And the chat is out of order
    When the agent asks the person to decide
    And the chat has refused 1 messages
    And 1 minutes pass
    And the chat has refused 2 messages
    And 2 minutes pass
    Then the chat was given "primary_dispatch refused, primary_dispatch refused, primary_dispatch refused"
    And the run goes on with the word of the person, and its agent reads "delivery_exhausted none"
    And the message comes to be "delivery_exhausted none none"

  @OF-16 @set-c @p1 @S3-7 @G-135 @needs-pods
  Scenario: One event counts once however often it is told
    Given a running run with a chat
    When the agent asks the person to decide
    And the person presses "Red", and the chat tells it three times
    Then the chat hears "200 200 applied, 200 duplicate, 200 duplicate"
    And the run goes on with the word of the person, and its agent reads "answered option red"
    And the callbacks of the message are on record as "applied", with 1 answer that counts

  @OF-17 @set-c @p1 @S3-7 @G-139 @needs-pods
  Scenario: Buttons of an approval are for those who decide it
    Given a running run with a chat
    And the member has taken "run:dev" off the Issue
    When the agent adds "run:qa" to the Issue
    And stranger presses "Approve" in the chat
    Then the chat hears "403 forbidden"
    And the request is still "requested"
    When owner presses "Approve" in the chat
    Then the chat hears "200 applied"
    And the request comes to be "applied", by "requested system, approved human, applied system"
    And the Issue carries "run:qa", by "add" of the agent
    And the chat was given "primary_dispatch taken, message_edit taken"

  @OF-19 @set-c @p2 @G-141 @needs-pods
  Scenario: A message that cannot be edited is followed by another
    Given a running run with a chat
    And the chat cannot edit messages
    When the agent asks the person to decide
    And the person presses "Blue"
    Then the chat was given "primary_dispatch taken, message_edit refused, follow_up_notify taken"
    And the message comes to be "resolved option_selected send_follow_up"

  @OF-19 @set-c @p2 @G-141 @needs-pods
  Scenario: Where nothing can be sent somebody has to tell the person
    Given a running run with a chat
    And the chat cannot edit messages
    And the chat sends nothing after a message
    When the agent asks the person to decide
    And the person presses "Blue"
    Then the chat was given "primary_dispatch taken, message_edit refused, follow_up_notify refused"
    And the message comes to be "resolved option_selected manual_fallback"

Feature: Approvals
  What an agent may not do alone is done once, by the word of those who may say so, or not at all.

  @AP-01 @set-c @p0 @S3-11 @G-80 @G-97 @needs-pods
  Scenario: What nobody has approved is not carried out
    Given a run that waits for the approval of a deterministic secret
    And a chat of the project
    When the owner approves what was asked for, and it is applied
    And the agent asks for a random secret with another key
    And somebody repeats for it what carried out the request before
    Then each repetition is refused as "approval_missing", and the request is still "requested"
    When the chat says "that its own executor has applied the request"
    Then the chat hears "409 conflict"
    And the request is still "requested"
    And GitHub and the cluster hold the derived value, after 1 writes to GitHub

  @AP-02 @set-c @p0 @S2-4 @S3-11 @G-75 @G-78 @G-89 @needs-pods
  Scenario: The run goes on when the request is applied
    Given a run that waits for the owner's answer
    When the owner answers
    Then the decision is answered with "200 applied"
    And the same run goes on, and its agent reads "answered option opt-2"
    And the run went on only once the request was applied
    And "need:km" is the only label that the agent has changed

  @AP-03 @set-c @p0 @S2-4 @S3-11 @G-76 @G-93 @needs-pods
  Scenario: Who refuses says why
    Given a run that waits for the owner's answer
    When the owner declines without a reason
    Then the decision is answered with "400 invalid_argument"
    And the run still waits
    When the owner declines
    Then the decision is answered with "200 applied"
    And the same run goes on, and its agent reads "denied none ask me tomorrow"
    And "need:km" is the only label that the agent has changed

  @AP-04 @set-c @p0 @S3-11 @G-29 @needs-pods
  Scenario: A denied key stays denied
    Given a running "run:dev" run whose agent has asked for "run:qa"
    When the owner denies the label
    And the agent asks for "run:qa" with the same key
    Then the tool answers with "denied"
    And the run has asked 1 times
    When the agent asks for "run:qa" with another key
    Then the tool answers with "approval_required"
    And the run has asked 2 times
    And "need:km" is the only label that the agent has changed

  @AP-05 @set-c @p0 @S3-11 @G-82 @needs-pods
  Scenario: An approval counts once
    Given a finished "run:dev" run whose agent has asked for "run:qa"
    When the owner approves the label
    Then the request comes to be "applied", by "requested system, approved human, applied system"
    When the owner approves the label again
    Then the decision is answered with "200 duplicate"
    And the request comes to be "applied", by "requested system, approved human, applied system"
    And GitHub set "run:qa" once, and it is on record once

  @AP-06 @set-c @p0 @S3-11 @G-82 @needs-pods
  Scenario: A contrary decision comes too late
    Given a finished "run:dev" run whose agent has asked for "run:qa"
    When the owner approves the label
    And the owner denies the label
    Then the decision is answered with "409 stale"
    And the answer names who decided, and the decision is on record as ignored
    And the request comes to be "applied", by "requested system, approved human, applied system"
    And the Issue carries "run:qa", by "add" of the agent

  @AP-07 @set-c @p0 @S3-11 @G-81 @needs-pods
  Scenario: Of two decisions at once one counts
    Given a running "run:dev" run whose agent has asked for "run:qa"
    When the owner approves and an administrator denies the label at once
    Then the decision is answered with "200 200 applied, 409 stale"
    And exactly one decision of the request is on record, and the Issue is as it says

  @AP-08 @set-c @p0 @S3-11 @G-83 @G-77 @needs-pods
  Scenario: An approval after the deadline changes nothing
    Given a platform of its own
    And a finished "run:dev" run whose agent has asked for "run:qa"
    When 24 hours pass
    And the owner approves the label
    Then the decision is answered with "409 expired"
    And the request comes to be "expired", by "requested system, expired system ttl"
    And a decision is on record as ignored because "request_expired"
    And a label set on another open Issue still starts a run
    And the Issue lacks "run:qa", by "" of the agent

  @AP-09 @set-c @p0 @S3-11 @G-83 @G-93 @needs-pods
  Scenario: A request that nobody decides expires
    Given a platform of its own
    And a run that waits a day at most for the owner's answer
    When 24 hours pass
    Then the request comes to be "expired", by "requested system, expired system ttl"
    And the same run goes on, and its agent reads "expired none"
    And "need:km" is the only label that the agent has changed

  @AP-10 @set-c @p0 @S3-11 @G-85 @needs-pods
  Scenario: What was approved is done though its executor dies
    Given a platform of its own
    And a finished "run:dev" run whose agent has asked for "run:qa"
    And GitHub keeps the platform waiting for labels
    When the owner approves the label
    And the platform has begun to carry it out
    And the control planes are killed and start again
    And GitHub tells labels again
    And 2 minutes pass
    Then the request comes to be "applied", by "requested system, approved human, applied system"
    And GitHub set "run:qa" once, and it is on record once

  @AP-11 @set-c @p0 @S2-14 @S3-11 @G-94 @G-87 @needs-pods
  Scenario: The end of a waiting run is the end of its request
    Given a run that waits for the owner's answer
    When the run that asked is cancelled
    Then the request comes to be "expired", by "requested system, expired system run_terminal"
    And the run is canceled, and the token of its agent is dead
    When the owner answers
    Then the decision is answered with "409 expired"
    And the request comes to be "expired", by "requested system, expired system run_terminal"

  @AP-12 @set-c @p0 @S3-11 @G-87 @G-86 @needs-pods
  Scenario: A cancel before the first step is the end of what was approved
    Given a running "run:dev" run whose agent has asked for "run:qa"
    And GitHub keeps the platform waiting for labels
    When the owner approves the label
    And the run that asked is cancelled
    And GitHub tells labels again
    Then the request comes to be "failed", by "requested system, approved human, failed system run_canceled"
    And a label set on another open Issue still starts a run
    And the Issue lacks "run:qa", by "" of the agent

  @AP-13 @set-c @p0 @S3-11 @S3-16 @G-90 @G-7 @needs-pods
  Scenario: A wait takes nothing of a run's time
    Given a platform of its own
    And a run that waits for the owner's answer
    When 30 hours pass
    And the owner answers
    Then the same run goes on, and its agent reads "answered option opt-2"
    And the agent may still report, and the run has at least 290 minutes of its time left

  @AP-14 @set-c @p0 @S3-11 @G-90 @G-92 @needs-pods
  Scenario: A wait outlives the processes of the platform
    Given a platform of its own
    And a run that waits for the owner's answer
    When every process of the platform is killed and starts again
    Then the run still waits
    When the owner answers
    Then the same run goes on, and its agent reads "answered option opt-2"
    And "need:km" is the only label that the agent has changed

  @AP-15 @set-c @p0 @S3-11 @G-92 @G-26 @needs-pods
  Scenario: A run goes on for one whose agent has ended
    Given a bound repository whose agent asks its owner and ends, with an open Issue
    And a "run:dev" run that waits for the answer without a Pod
    When the owner answers
    Then one run goes on from where the run ended, in the namespace of the run before
    And its agent is told "status:answered, selected_option_id:opt-2, reused:true" by the call that it repeats
    And the run ends as succeeded

  @AP-22 @set-c @p0 @S3-11 @G-73 @needs-pods
  Scenario: Where nobody could decide nobody is asked
    Given a platform of its own
    And a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    And the member has taken "run:dev" off the Issue
    And the platform has lost its owner
    When the agent adds "run:release" to the Issue
    Then the tool refuses with "failed_precondition no_approver_configured"
    And the run has asked 0 times
    And "need:km" is the only label that the agent has changed
    When the platform has its owner again
    And the agent adds "run:release" to the Issue
    Then the tool answers with "approval_required"

  @AP-17 @set-c @p0 @S3-11 @G-95 @needs-pods
  Scenario: Who holds no token of an adapter decides nothing
    Given a platform of its own
    And a running "run:dev" run whose agent has asked for "run:qa"
    When somebody says with a wrong token that the owner approves
    Then the chat hears "503 unavailable"
    And the request is still "requested"
    When a chat is registered
    And somebody says with a wrong token that the owner approves
    Then the chat hears "401 unauthorized"
    When somebody says without a token that the owner approves
    Then the chat hears "401 unauthorized"
    And the request is still "requested"
    When the chat says that owner approves
    Then the chat hears "200 applied"
    And the request comes to be "applied", by "requested system, approved human, applied system"
    And the Issue carries "run:qa", by "add" of the agent

  @AP-18 @set-c @p0 @S3-11 @G-96 @needs-pods
  Scenario: An adapter speaks for those whom the platform knows and who decide
    Given a running "run:dev" run whose agent has asked for "run:qa"
    And a chat of the project
    When the chat says that stranger approves
    Then the chat hears "403 forbidden"
    When the chat says that member approves
    Then the chat hears "403 forbidden"
    And the request is still "requested"
    And 2 decisions are on record as ignored, all of the chat
    When the chat says that owner approves
    Then the chat hears "200 applied"
    And the request comes to be "applied", by "requested system, approved human, applied system"
    And the Issue carries "run:qa", by "add" of the agent

  @AP-19 @set-c @p0 @S3-11 @G-97 @G-99 @G-98 @needs-pods
  Scenario: What is no decision about this request changes nothing
    Given a running "run:dev" run whose agent has asked for "run:qa"
    And a chat of the project
    When the chat says "that the request is applied"
    Then the chat hears "400 invalid_argument"
    When the chat says "that the owner approves a request that is not there"
    Then the chat hears "404 not_found"
    When the chat says "that the owner approves it in another correlation"
    Then the chat hears "409 conflict"
    When the chat says "that its own executor has applied the request"
    Then the chat hears "409 conflict"
    And the request is still "requested"
    When the chat says that owner approves
    Then the chat hears "200 applied"
    And the request comes to be "applied", by "requested system, approved human, applied system"
    And the Issue carries "run:qa", by "add" of the agent

  @AP-20 @set-c @p0 @S3-11 @G-98 @needs-pods
  Scenario: One event of an adapter is one decision
    Given a running "run:dev" run whose agent has asked for "run:qa"
    And a chat of the project
    When the chat says three times in one event that the owner approves
    Then the chat hears "200 200 applied, all equal: true"
    And the request comes to be "applied", by "requested system, approved human, applied system"
    And GitHub set "run:qa" once, and it is on record once

  @AP-21 @set-c @p0 @S2-14 @S3-11 @G-84 @G-83 @needs-pods @after-all @serial
  Scenario: At the end nobody is left to be asked
    Given all other features have ended
    And a finished "run:dev" run whose agent has asked for "run:qa"
    When 100 hours pass
    Then the request comes to be "expired", by "requested system, expired system ttl"
    And no request of the platform waits to be decided

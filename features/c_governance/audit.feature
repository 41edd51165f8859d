Feature: The audit is whole
  Whoever asks later what happened finds all of it, each thing once, and who did it.

  @AU-01 @set-c @p0 @S3-13 @G-131 @G-25 @needs-pods
  Scenario: What was begun is ended once
    Given a platform of its own
    And a run that waits for the owner's answer
    When the owner answers
    Then every call, request and pause on the platform comes to have one end

  @AU-02 @set-c @p0 @S3-13 @G-129 @G-130 @DF-1 @DF-2 @DF-3 @needs-pods
  Scenario: Every event is what the catalogue says
    Given a finished "run:dev" run whose agent has asked for "run:qa"
    When the owner approves the label
    Then the request comes to be "applied", by "requested system, approved human, applied system"
    And every event of the run is what the catalogue says, by an agent, a person and the system

  @AU-03 @set-c @p0 @S3-13 @G-128 @needs-pods
  Scenario: What cannot be audited does not happen
    Given a platform of its own
    And a finished "run:dev" run whose agent has asked for "run:qa"
    And the database takes no audit event of a decision
    When the owner approves the label
    Then the decision is answered with "500 internal"
    And the request is still open, and told as "approval.requested system"
    When the database takes audit events again
    And the owner approves the label
    Then the request comes to be "applied", by "requested system, approved human, applied system"
    And the Issue carries "run:qa", by "add" of the agent

  @AU-04 @set-c @p0 @S3-13 @G-127 @D-20 @needs-pods
  Scenario: Nobody rewrites what happened
    Given a platform of its own
    And a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    When the owner deletes the project
    Then the project is gone, and the events of its run are as they were
    And the database refuses to change, delete and empty the audit

  @AU-05 @set-c @p0 @S3-13 @G-132 @needs-pods
  Scenario: A pull request leads to all that it came from
    Given a running "run:dev" run whose agent has asked for "run:qa"
    When the agent is done
    Then the links of the pull request lead to its run, the Issue and the request of its agent

  @AU-06 @set-c @p0 @S3-13 @G-129 @G-98 @needs-pods
  Scenario: An approval in the chat is the person's, from request to resume
    Given a running run with a chat
    When the agent asks the owner, in words too
    And the owner says "teal" in the chat
    Then the chat hears "200 applied"
    And the same run goes on, and its agent reads "answered free_text teal"
    And the approval is on record as the owner's by way of the chat, under one correlation until the run went on

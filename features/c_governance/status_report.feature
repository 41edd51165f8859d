Feature: Agents report what they do
  An agent tells over the platform's tools what it is doing; the tools speak MCP as it is published.

  @SR-01 @set-c @p0 @S3-7 @G-39 @G-25 @needs-pods
  Scenario: A report of a hundred characters
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the agent reports 100 characters
    Then the tool takes the report, and it is on record as the agent's with its call

  @SR-01 @set-c @p0 @S3-7 @G-39 @needs-pods
  Scenario: A report while the run waits for an approval
    Given a run that waits for an approval
    When the agent reports 100 characters
    Then the tool takes the report, and it is on record as the agent's with its call
    And the run still waits
    And "need:km" is the only label that the agent has changed

  @SR-02 @set-c @p1 @S3-7 @G-39 @G-5 @needs-pods
  Scenario: A report that is too long, blank or unknown in a part
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the agent reports 101 characters, blanks, and with an unknown field
    Then the server answers "invalid_argument; invalid_argument; invalid_argument"
    And 3 calls are on record, and a report is the 4th

  @SR-03 @set-c @p1 @S3-7 @G-39 @G-40 @L-104 @needs-pods
  Scenario: The status comment shows the last three
    Given a bound repository whose agent reports five times over its tools, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the status comment shows Delta, Gamma and Beta, the newest first, and not Alpha

  @SR-04 @set-c @p1 @S3-7 @G-2 @needs-pods
  Scenario: A message whose envelope contradicts it is refused
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the agent calls with each of these faults
      | fault                    | answer     |
      | another Mcp-Name         | 400 -32020 |
      | another Mcp-Method       | 400 -32020 |
      | no Mcp-Name              | 400 -32020 |
      | no Mcp-Method            | 400 -32020 |
      | no MCP-Protocol-Version  | 400 -32020 |
      | no revision in _meta     | 400 -32602 |
      | no capabilities in _meta | 400 -32602 |
      | an unknown revision      | 400 -32022 |
    Then each call is refused as the table says
    And 0 calls are on record, and a report is the 1st

  @SR-05 @set-c @p1 @S3-7 @G-1 @needs-pods
  Scenario: Any replica serves any call
    Given a platform with two replicas of every process
    And a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the agent reports to each replica in turn, under a session that nobody opened
    Then both replicas took their report, named no session and refuse GET

  @SR-06 @set-c @p1 @S3-7 @G-3 @needs-pods
  Scenario: An older client sees the same tools
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When a client of revision "2025-11-25" initializes, lists the tools and reports
    Then it sees the tools that a modern client sees, and its report is on record

  @SR-06 @set-c @p1 @S3-7 @G-3 @needs-pods
  Scenario: Where older revisions are off, a client is told what is spoken
    Given a platform that speaks the newest revision of MCP only
    And a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When a client of revision "2025-11-25" initializes and lists the tools
    Then it is refused and told what is spoken
    And 0 calls are on record, and a report is the 1st

  @SR-07 @set-c @p1 @S3-7 @G-4 @needs-pods
  Scenario: Other methods and foreign origins are refused
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the agent asks for resources, and reports from a foreign origin
    Then the server answers "404 -32601; 403"
    And 0 calls are on record, and a report is the 1st

  @SR-08 @set-c @p1 @S3-7 @G-22 @G-23 @needs-pods
  Scenario: Too much at once is refused
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the agent posts 257 KiB, and then three times as many reports at once as are let in
    Then the first is too large, some of the others too many, and only those that were taken are on record

  @SR-09 @set-c @p1 @S3-7 @G-22 @G-27 @needs-pods
  Scenario: A call that GitHub keeps waiting is answered, and done once
    Given a platform of its own
    And a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    And GitHub holds back changes of labels
    When the agent adds "need:qa" with a key, and 61 seconds pass while GitHub hangs
    Then the tool says that it is not known yet, and that asking again may help
    When GitHub answers again and the agent adds "need:qa" with the same key
    Then the tool answers that "need:qa" is done and "" was so before
    And GitHub set "need:qa" once, and it is on record once

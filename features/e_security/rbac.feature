Feature: Who may do what
  People decide by their role; agents and bots decide nothing.

  @RB-01 @set-e @p0 @S3-11 @G-71 @G-103 @needs-pods
  Scenario: In production the owner decides alone
    Given a running "run:dev" run whose agent has asked for "run:release"
    When an administrator of the platform approves the label
    Then the decision is answered with "403 forbidden"
    And a decision is on record as ignored because "not_approver"
    And the Issue lacks "run:release", by "" of the agent
    When the owner approves the label
    Then the decision is answered with "200 applied"
    And the Issue carries "run:release", by "add" of the agent

  @RB-01 @set-e @p0 @S3-11 @G-71 @G-103 @needs-pods
  Scenario: Elsewhere an administrator decides as well
    Given a running "run:dev" run whose agent has asked for "run:qa"
    When an administrator of the platform approves the label
    Then the decision is answered with "200 applied"
    And the Issue carries "run:qa", by "add" of the agent

  @RB-02 @set-e @p0 @S3-11 @G-71 @G-68 @needs-pods
  Scenario: What is left to a project its administrator decides, and no writer
    Given a run that revises and waits for the approval of a secret
    When a writer of the project approves what was asked for
    Then the decision is answered with "403 forbidden"
    And a decision is on record as ignored because "not_approver"
    And the run waits for an approval in mode "delegated", and nothing is synced
    When an administrator of the project approves what was asked for
    Then the decision is answered with "200 applied"
    And the request comes to be "applied", by "requested system, approved human, applied system"
    And GitHub and the cluster hold the derived value, after 1 writes to GitHub

  @RB-03 @set-e @p0 @S3-11 @G-72 @G-10 @needs-pods
  Scenario Outline: No agent and no bot decides
    Given a running "run:dev" run whose agent has asked for "run:qa"
    When <somebody>
    Then the decision is answered with "401 -"
    And the request comes to be "requested", by "requested system"
    And the Issue lacks "run:qa", by "" of the agent
    And "need:km" is the only label that the agent has changed

    Examples:
      | somebody                                                   |
      | the agent decides its own request with the token of its run |
      | the bot decides the request with its token for GitHub      |

  @RB-04 @set-e @p0 @S3-11 @G-100 @G-102 @G-104 @G-105 @G-107 @needs-pods
  Scenario Outline: A role may do what its row says, and no more
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    And <who> does what people do in a project
    Then of all that the person "<answers>", and each refused change is on record
    And <the run>

    Examples:
      | who                              | answers                                             | the run                                  |
      | the owner                        | sees, administers, works, deletes                   | the run is canceled, and its namespace goes |
      | an administrator of the platform | sees, administers, works, not deletes               | the run is canceled, and its namespace goes |
      | an administrator of the project  | sees, not administers, works, not deletes           | the run is canceled, and its namespace goes |
      | a writer                         | sees, not administers, works, not deletes           | the run is canceled, and its namespace goes |
      | a reader                         | sees, not administers, not works, not deletes       | the agent of the run still works         |
      | an outsider                      | not sees, not administers, not works, not deletes   | the agent of the run still works         |

  @RB-05 @set-e @p0 @S3-11 @G-106 @G-101
  Scenario Outline: Only who may write in the project starts a run
    Given a bound repository with an open Issue
    When <who> sets "run:dev" on the Issue
    Then the delivery is answered as ignored because "<reason>"
    And a label set on another open Issue still starts a run
    And the Issue has no run

    Examples:
      | who                      | reason                         |
      | a reader                 | sender_role_read_not_permitted |
      | an outsider              | sender_not_allowed             |
      | a bot                    | sender_type_bot_not_permitted  |
      | somebody without a login | sender_login_missing           |

  @RB-06 @set-e @p0 @S3-11 @G-107 @needs-pods
  Scenario: Who loses the role loses the right at once
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    And the member looks at the run, loses the role, and cancels it
    Then the member saw the run and was refused the cancel, and the refusal is on record
    And the agent of the run still works

  @RB-07 @set-e @p0 @S3-11 @G-14 @G-15 @G-16 @G-17 @G-18 @needs-pods
  Scenario Outline: An agent sees the tools of its work, and no others
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "<label>" on the Issue
    Then its agent sees exactly the tools for "<what>", in order

    Examples:
      | label         | what                                      |
      | run:intake    | labels, reports, people, feedback         |
      | run:arch      | labels, reports, people, feedback         |
      | run:doc-audit | labels, reports, people, feedback         |
      | run:dev       | labels, reports, people, feedback, secrets |
      | run:self-improve | labels, reports, diagnostics           |

  @RB-08 @set-e @p0 @S3-11 @G-19 @G-21 @needs-pods
  Scenario Outline: A tool that an agent does not see cannot be called either
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "<label>" on the Issue
    And its agent calls "<tool>", and then lists its labels
    Then the server refuses the first as "<reason>", and "<told>" is on record of it

    Examples:
      | label            | tool                   | reason             | told                        |
      | run:intake       | secret.sync.github_k8s | tool_not_available | called, failed as forbidden |
      | run:intake       | secret.sync.k8s        | tool_not_available | called, failed as forbidden |
      | run:intake       | database.lifecycle     | tool_not_available | called, failed as forbidden |
      | run:intake       | github_issue_get       | unknown_tool       | nothing                     |
      | run:intake       | k8s_pods_list          | unknown_tool       | nothing                     |
      | run:self-improve | user.notify            | tool_not_available | called, failed as forbidden |

  @RB-11 @set-e @p0 @S3-11 @G-7 @G-8 @G-9 @needs-pods
  Scenario Outline: A token that is wrong in anything opens nothing
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    And somebody acts with the token of its agent, <how>
    Then neither tools nor runner routes are open, "<told>" is on record, and the token itself opens both

    Examples:
      | how                              | told    |
      | but expired                      | expired |
      | but issued for an earlier agent  | revoked |
      | but issued for a later agent     | revoked |
      | but with another token id        | revoked |
      | but for another run              | nothing |
      | but without a signature          | nothing |
      | but changed after it was signed  | nothing |
      | but signed with another key      | nothing |

  @RB-11 @set-e @p0 @S3-11 @G-8 @G-9 @needs-pods
  Scenario: The token of a run that is over opens nothing
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    And the token of its agent is kept, and staff cancels the run
    Then neither tools nor runner routes are open to it, and "run_not_active" is on record

  @RB-11 @set-e @p0 @S3-11 @G-8 @G-9 @needs-pods
  Scenario: The token that staff takes away opens nothing
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    And the token of its agent is kept, and staff takes it away
    Then neither tools nor runner routes are open to it, and "revoked" is on record
    And it was taken away once, by a person, and the run itself goes on

  @RB-12 @set-e @p0 @S3-11 @S3-3 @G-13 @G-33 @needs-pods
  Scenario: An agent acts for its own run only, wherever it gets
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    And its agent labels the Issue of another run and names another project
    Then both are refused, and neither the other Issue nor the other run has changed
    When the agent adds "need:qa" to the Issue
    Then the Issue carries "need:qa", by "add" of the agent

  @RB-13 @set-e @p0 @S3-11 @G-10 @G-136 @needs-pods
  Scenario: A token of a callback opens no tool
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    And somebody acts with the token of its agent, but made for a callback
    Then neither tools nor runner routes are open, "wrong_scope" is on record, and the token itself opens both

  @RB-14 @set-e @p0 @S3-11 @G-11
  Scenario Outline: A control plane without four keys of their own does not start
    Given a platform of its own
    And a bound repository with an open Issue
    When another control plane starts <how>
    And the member sets "run:intake" on the Issue
    Then it ends at once and says "<said>", while the platform's own takes a label as before

    Examples:
      | how                                                    | said                             |
      | without the key of run tokens                          | MCP_TOKEN_SIGNING_KEY            |
      | without the key of service tokens                      | SERVICE_TOKEN_KEY                |
      | without the key of what is stored                      | TOKEN_ENCRYPTION_KEY             |
      | without the key of derived secrets                     | SECRET_DERIVATION_KEY            |
      | with the key of run tokens for service tokens as well  | must all be different            |

  @RB-15 @set-e @p0 @S3-6 @S3-11 @G-65 @G-66 @G-16 @needs-pods
  Scenario: A self-improvement reads what its own project has done
    Given a bound repository whose agent waits when it improves itself, with an open Issue
    And a finished "run:dev" run with its pull request
    When a self-improvement of another Issue reads the runs and sessions that it can
    Then it was shown the runs of its own project, fifty at most, and the session of one of them

  @RB-16 @set-e @p0 @S3-11 @G-108 @G-109 @G-111 @G-113 @G-114 @needs-pods
  Scenario Outline: An agent's account may do what the table grants, and nothing else
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "<label>" on the Issue
    Then the account of its agent is "<account>", and may do exactly what the table grants it
    And it has no verb on Secrets and no way to more rights, anywhere

    Examples:
      | label    | account               |
      | run:dev  | codex-runner          |
      | run:arch | codex-runner-readonly |

  @RB-17 @set-e @p0 @S3-11 @G-109 @G-115 @needs-pods
  Scenario: The account of a candidate works in its namespace and leaves its bounds alone
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    Then whoever has the token of the account "codex-runner" gets these answers
      | creates a Deployment    | allowed              |
      | runs a command in a Pod | allowed              |
      | widens the quota        | forbidden            |
      | mounts a Secret         | refused by admission |

  @RB-20 @set-e @p0 @S3-11 @G-111 @G-117 @needs-pods
  Scenario: Who reads starts nothing, who tests starts Jobs, and nobody starts too much
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    Then whoever has the token of the account "codex-runner-readonly" gets these answers
      | reads Pods              | allowed   |
      | creates a Pod           | forbidden |
      | creates a Job           | forbidden |
      | runs a command in a Pod | forbidden |
    And whoever has the token of the account "codex-runner-qa" gets these answers
      | reads Pods              | allowed   |
      | creates a Pod           | forbidden |
      | creates a Job           | allowed   |
      | runs a command in a Pod | allowed   |
      | attaches to a Pod       | forbidden |
    And "codex-runner" gets 20 Pods into the namespace, and the next exceeds the quota
    And the namespace holds the accounts, the quota and the policies of the rules, and no LimitRange

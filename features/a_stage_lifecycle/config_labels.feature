Feature: Labels that configure the agent
  They choose the model and how hard it thinks, and start nothing.

  @CF-01 @set-a @p1 @S3-14 @L-14 @needs-pods
  Scenario: A model label reaches the agent
    Given a bound repository with an open Issue
    And the member has set "[ai-model-gpt-5.4]" on the Issue
    When the member sets "run:dev" on the Issue
    Then the run used model "gpt-5.4" from "issue_label" and reasoning "high" from "agent_default"

  @CF-02 @set-a @p1 @S3-14 @L-14 @L-15 @needs-pods
  Scenario: A model of a family that is on
    Given a bound repository with an open Issue
    And the member has set "[ai-model-gpt-5.3-codex]" on the Issue
    When the member sets "run:intake" on the Issue
    Then the run used model "gpt-5.3-codex" from "issue_label" and reasoning "high" from "agent_default"

  @CF-02 @set-a @p1 @S3-14 @L-14 @L-15 @needs-pods
  Scenario: A model of a family that is switched off
    Given a platform whose model family "gpt-5.3" is switched off
    And a bound repository with an open Issue
    And the member has set "[ai-model-gpt-5.3-codex]" on the Issue
    When the member sets "run:intake" on the Issue
    Then the run used model "gpt-5.2-codex" from "auth_file_fallback" and reasoning "high" from "agent_default"

  @CF-03 @set-a @p1 @S3-14 @L-14 @L-104 @needs-pods
  Scenario Outline: Each model label alone
    Given a bound repository with an open Issue
    And the member has set "<label>" on the Issue
    When the member sets "run:intake" on the Issue
    Then the run used model "<model>" from "issue_label" and reasoning "high" from "agent_default"
    And the status comment shows the model "<model>"

    Examples:
      | label                          | model               |
      | [ai-model-gpt-5.3-codex-spark] | gpt-5.3-codex-spark |
      | [ai-model-gpt-5.2-codex]       | gpt-5.2-codex       |
      | [ai-model-gpt-5.2]             | gpt-5.2             |
      | [ai-model-gpt-5.1-codex-max]   | gpt-5.1-codex-max   |

  @CF-04 @set-a @p1 @S3-14 @L-2 @L-14 @needs-pods
  Scenario Outline: The brackets may be left out
    Given a bound repository with an open Issue
    And the member has set "<label>" on the Issue
    When the member sets "run:intake" on the Issue
    Then the run used model "gpt-5.1-codex-mini" from "issue_label" and reasoning "high" from "agent_default"

    Examples:
      | label                         |
      | ai-model-gpt-5.1-codex-mini   |
      | [ai-model-gpt-5.1-codex-mini] |

  @CF-05 @set-a @p1 @S3-14 @L-61 @needs-pods
  Scenario: The pull request's label comes before the Issue's
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And the member has set "[ai-reasoning-medium]" on the pull request
    And the member has set "[ai-reasoning-high]" on the Issue
    When the member sets "run:dev:revise" on the Issue
    Then the run used model "gpt-5.4" from "agent_default" and reasoning "medium" from "pull_request_label"

  @CF-06 @set-a @p1 @S3-14 @L-14 @needs-pods
  Scenario Outline: Each reasoning label alone
    Given a bound repository with an open Issue
    And the member has set "<label>" on the Issue
    When the member sets "run:intake" on the Issue
    Then the run used model "gpt-5.4" from "agent_default" and reasoning "<value>" from "issue_label"

    Examples:
      | label                     | value |
      | [ai-reasoning-low]        | low   |
      | [ai-reasoning-high]       | high  |
      | [ai-reasoning-extra-high] | xhigh |

  @CF-07 @set-a @p1 @S3-14 @L-13 @L-14 @L-15 @needs-pods
  Scenario: A label that changes between two runs counts anew
    Given a bound repository with an open Issue
    And a finished "run:intake" run with its pull request
    And the member has set "[ai-model-gpt-5.2]" on the Issue
    And a finished "run:intake:revise" run with its pull request
    When the member removes "[ai-model-gpt-5.2]" from the Issue
    And the member sets "[ai-model-gpt-5.1-codex-max]" on the Issue
    And the member sets "run:intake:revise" on the Issue
    Then the run used model "gpt-5.1-codex-max" from "issue_label" and reasoning "high" from "agent_default"
    And the run before used model "gpt-5.2" from "issue_label"

  @CF-07 @set-a @p1 @S3-14 @L-13 @L-15 @needs-pods
  Scenario: An unknown model label is a foreign label
    Given a bound repository with an open Issue
    And the member has set "[ai-model-x]" on the Issue
    When the member sets "run:intake" on the Issue
    Then the run used model "gpt-5.4" from "agent_default" and reasoning "high" from "agent_default"

  @CF-08 @set-a @p1 @S3-14 @L-19 @L-28
  Scenario: A configuration label alone starts nothing
    Given a bound repository with an open Issue
    When each configuration label is set on the Issue and removed again
    Then each of these deliveries is ignored because "issue_event_not_trigger_label" and recorded as a change of labels
    And a label set on another open Issue still starts a run
    And the Issue has no run

  @CF-09 @set-a @p1 @S3-14 @L-1 @L-5
  Scenario: The labels of an empty repository
    Given a bound repository with an open Issue
    Then the repository has the 54 labels of the catalogue in their colour
    When a label is deleted, another one is given another colour and the labels are synced twice
    Then the repository has the 54 labels of the catalogue in their colour
    And the second sync changed nothing
    And 13 stages have a revise label, "run:ai-repair" and "run:rethink" have none

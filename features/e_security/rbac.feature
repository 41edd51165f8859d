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

Feature: A scenario that proves nothing
  Planted: `gonogo selfcheck --null --features tests/features` must name it and exit with 1.

  @ZZ-01 @set-a @p2
  Scenario: An Issue carries the label that was just set on it
    Given a bound repository with an open Issue
    When the member sets the foreign label "bug" on the Issue
    Then the Issue still carries "bug"

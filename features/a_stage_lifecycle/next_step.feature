Feature: The status comment
  One comment per run tells people where it stands.

  @NX-15 @set-a @p1 @S3-15 @L-102 @L-103 @L-104 @needs-pods
  Scenario: One comment follows a run from created to finished
    Given a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the Issue has one status comment, which was edited in place
    And its phases only went forward and ended in "finished"
    And the Issue was given the reaction "eyes" once
    And the status comment shows run, trigger, mode, target, build, access, namespace, pull request, model and reasoning

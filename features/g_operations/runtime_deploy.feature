Feature: Deploying what a repository describes
  A services.yaml says what a project consists of; the platform brings it up, or says why it cannot.

  @DP-01 @set-g @p1 @S3-9 @R-97 @R-98 @R-20
  Scenario Outline: A services.yaml with a mistake is refused as a whole
    Given a bound repository whose services.yaml has <mistake>, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as failed because "runtime_deploy_failed"
    And the end of the run and its status comment name "<field>"
    And nothing of the stack was written into the namespace of the run, and nothing was pushed
    And the run had no Job, and neither deploy task nor slot is left of it

    Examples:
      | mistake                                | field                                          |
      | an-unknown-section                     | galaxies                                       |
      | an-unknown-scope                       | spec.services[0].scope                         |
      | environments-made-from-each-other      | spec.environments.staging.from                 |
      | no-environment-for-runs                | spec.environments                              |
      | a-lease-that-is-no-time                | spec.webhookRuntime.defaultNamespaceTTL        |
      | two-parts-of-one-name                  | spec.services                                  |
      | a-production-that-is-not-the-platforms | spec.environments.production.namespaceTemplate |
      | a-line-that-is-no-yaml                 | failed to read services.yaml                   |

  @DP-12 @set-g @p1 @S3-9 @R-107 @R-104 @needs-pods
  Scenario: A newer push takes the place of a deployment that is under way
    Given a bound repository with a stack that never becomes ready, with an open Issue
    And the repository has a live environment
    When the maintainer pushes a note to the default branch
    Then a run without agent waits for the live environment to become ready
    When the maintainer pushes a stack that becomes ready to the default branch
    Then the task of the run before was canceled by the system for the new one
    And the run before is canceled because "runtime_deploy_canceled", and the new one succeeds

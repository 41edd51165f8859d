Feature: Secrets on GitHub and in the cluster
  An agent names a secret and its two places, somebody agrees, and only the platform ever holds the value.

  @SS-01 @set-c @p0 @S2-4 @S2-5 @S3-7 @G-74 @G-68 @G-88 @needs-pods
  Scenario: A secret waits for the owner
    Given a running "run:dev" run in a repository with an environment
    When the agent asks for a deterministic secret
    Then the tool answers with "approval_required"
    And the run waits for an approval in mode "owner", and nothing is synced
    And "need:km" is the only label that the agent has changed

  @SS-02 @set-c @p0 @S2-5 @S3-7 @G-46 @G-43 @G-78 @needs-pods
  Scenario: One target, one value
    Given a run that waits for the approval of a deterministic secret
    When the owner approves what was asked for
    Then the request comes to be "applied", by "requested system, approved human, applied system"
    And the synchronisation is told as "step_completed github 1, step_completed kubernetes 1, applied ['github', 'kubernetes']"
    And GitHub and the cluster hold the derived value, after 1 writes to GitHub
    And the same run goes on, and its agent reads "applied none"
    When another run of the repository asks for the secret, and the owner approves
    Then GitHub and the cluster hold the derived value, after 2 writes to GitHub

  @SS-03 @set-c @p0 @S2-5 @S3-7 @G-27 @G-46 @needs-pods
  Scenario: A repetition writes nothing
    Given a run that waits for the approval of a deterministic secret
    And the Secret has another key already
    When the owner approves what was asked for, and it is applied
    And the agent asks for a deterministic secret
    Then the tool answers with "applied"
    And the run has asked 1 times
    And GitHub and the cluster hold the derived value, after 1 writes to GitHub
    And the Secret was written once
    And the other key of the Secret is as it was

  @SS-04 @set-c @p0 @S2-5 @S3-7 @G-28 @G-26 @needs-pods
  Scenario: A key stands for one secret
    Given a run that waits for the approval of a deterministic secret
    When the owner approves what was asked for, and it is applied
    And the agent asks for another Secret with the same key
    Then the tool answers with "conflict idempotency_key_conflict"
    And the run has asked 1 times
    And GitHub and the cluster hold the derived value, after 1 writes to GitHub

  @SS-05 @set-c @p0 @S2-5 @S3-7 @G-30 @needs-pods
  Scenario: Two equal calls without a key are one request
    Given a running "run:dev" run in a repository with an environment
    When the agent asks for a secret without a key
    And the agent asks for a secret without a key
    Then the tool answers with "approval_required"
    And the run has asked 1 times
    When the owner approves what was asked for, and it is applied
    And the agent asks for a secret without a key
    Then the tool answers with "applied"
    And the run has asked 1 times
    And GitHub and the cluster hold the derived value, after 1 writes to GitHub

  @SS-06 @set-c @p0 @S2-5 @S3-7 @G-44 @needs-pods
  Scenario: A random value is made once
    Given a running "run:dev" run in a repository with an environment
    When the agent asks for a random secret
    And the agent asks for a random secret
    Then the tool answers with "approval_required"
    When the owner approves what was asked for, and it is applied
    And the agent asks for a random secret
    Then the tool answers with "applied"
    And the run has asked 1 times
    And GitHub and the cluster hold one value, written once

  @SS-07 @set-c @p0 @S3-7 @G-45 @G-120 @needs-pods
  Scenario: An agent sends no values
    Given a running "run:dev" run in a repository with an environment
    When the agent sends a value of its own
    Then the tool answers with "invalid_argument"
    And nobody is asked, and the run goes on working
    And what the agent sent is kept nowhere
    And "need:km" is the only label that the agent has changed

  @SS-08 @set-c @p0 @S3-7 @G-45 @needs-pods
  Scenario: The owner types the value
    Given a run that waits for the approval of a provided secret
    When the owner approves what was asked for
    Then the decision is answered with "400 invalid_argument"
    And the request is still open, and told as "approval.requested system"
    When the owner types a value and approves
    Then the request comes to be "applied", by "requested system, approved human, applied system"
    And GitHub and the cluster hold what the owner typed, and it is kept nowhere else

  @SS-09 @set-c @p0 @S2-5 @S3-7 @G-47 @needs-pods
  Scenario: A step is tried again with the same value
    Given a run that waits for the approval of a random secret
    And GitHub fails twice to take the secret
    When the owner approves what was asked for
    Then the request comes to be "applied", by "requested system, approved human, applied system"
    And the synchronisation is told as "step_failed github 1 github_502, step_failed github 2 github_502, step_completed github 3, step_completed kubernetes 1, applied ['github', 'kubernetes']"
    And GitHub and the cluster hold one value, written once

  @SS-10 @set-c @p0 @S2-5 @S3-7 @G-48 @G-79 @needs-pods
  Scenario: A refusal of the cluster leaves what is done, and a new request repairs both
    Given a run that waits for the approval of a deterministic secret
    And the Secret cannot be changed
    When the owner approves what was asked for
    Then the request comes to be "failed", by "requested system, approved human, failed system permanent_error"
    And the synchronisation is told as "step_completed github 1, step_failed kubernetes 1 kubernetes_422, failed ['github'] kubernetes"
    And the same run goes on, and its agent reads "failed none"
    When the Secret is removed
    And the agent asks for a deterministic secret with another key
    And the owner approves what was asked for, and it is applied
    Then GitHub and the cluster hold the derived value, after 2 writes to GitHub

  @SS-11 @set-c @p0 @S2-5 @S3-7 @G-48 @needs-pods
  Scenario: A refusal of GitHub leaves the cluster as it is
    Given a run in a repository without environments that waits for the approval of a secret
    When the owner approves what was asked for
    Then the request comes to be "failed", by "requested system, approved human, failed system permanent_error"
    And the synchronisation is told as "step_failed github 1 github_404, failed [] github"
    And nothing is synced
    And "need:km" is the only label that the agent has changed

  @SS-12 @set-c @p0 @S3-7 @G-42 @needs-pods
  Scenario Outline: What is not the project's is not written
    Given a running "run:dev" run in a repository with an environment
    When the agent asks for a secret whose <field> is "<value>"
    Then the tool answers with "forbidden protected_target"
    And nobody is asked, and the run goes on working
    And "need:km" is the only label that the agent has changed

    Examples:
      | field                  | value                              |
      | kubernetes_namespace   | strangers-ai-staging               |
      | kubernetes_namespace   | that of the platform               |
      | kubernetes_secret_name | codex-run-credentials-0123456789ab |

  @SS-13 @set-c @p0 @S3-7 @G-41 @G-13 @needs-pods
  Scenario Outline: A bad call asks nobody
    Given a running "run:dev" run in a repository with an environment
    When the agent asks for a secret whose <field> is "<value>"
    Then the tool answers with "<answer>"
    And nobody is asked, and the run goes on working
    And "need:km" is the only label that the agent has changed

    Examples:
      | field              | value                   | answer                                      |
      | environment        | qa7                     | failed_precondition environment_not_allowed |
      | github_secret_name | GITHUB_TOKEN            | invalid_argument                            |
      | project_id         | that of another project | forbidden identity_mismatch                 |

  @SS-14 @set-c @p0 @S3-7 @G-31 @needs-pods
  Scenario: A trial asks nobody
    Given a running "run:dev" run in a repository with an environment
    When the agent only tries to ask for a secret
    Then the tool answers with "ok"
    And nobody is asked, and the run goes on working
    And "need:km" is the only label that the agent has changed

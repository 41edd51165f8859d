Feature: A namespace per run
  What a run's namespace is called and what it carries.

  @NI-01 @set-e @p0 @S3-11 @R-32 @R-34 @R-35 @needs-pods
  Scenario: Name, labels and annotations
    Given a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the namespace is named after project, Issue and run
    And the namespace carries the labels and annotations of the rules

  @NI-02 @set-e @p0 @S3-11 @R-37 @G-109 @needs-pods
  Scenario: What a namespace is fenced in by
    Given a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the namespace holds the accounts, the quota and the policies of the rules, and no LimitRange
    And no Role of the namespace may change what bounds it, though each may read it

  @NI-02 @set-e @p0 @S3-11 @R-37 @G-109 @needs-pods
  Scenario: Fences that somebody has moved are brought back
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When somebody widens the quota of the namespace, adds a LimitRange and removes a policy
    And the member sets "run:dev:revise" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the run worked in the namespace of the run before
    And the namespace holds the accounts, the quota and the policies of the rules, and no LimitRange

  @NI-03 @set-e @p0 @S3-11 @R-38 @needs-pods
  Scenario: What no agent may read
    Given a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And no account of the namespace reads Secrets, Pods elsewhere or Nodes, though each reads its own Pods

  @NI-04 @set-e @p0 @S3-11 @R-39 @needs-pods
  Scenario: No workload of an agent gets at a Secret or at the rights of another account
    Given a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And under the account "codex-runner" admission refuses each of these, though it takes their like without
      | Pod                   | mounts a Secret                                 |
      | Pod                   | mounts a Secret among other things              |
      | Pod                   | mounts the disk of the node                     |
      | Pod                   | takes a value of a Secret into its environment  |
      | Pod                   | takes a whole Secret into its environment       |
      | Pod                   | takes it before it starts                       |
      | Pod                   | uses another account                            |
      | Deployment            | mounts a Secret                                 |
      | Deployment            | uses another account                            |
      | ReplicaSet            | takes a value of a Secret into its environment  |
      | StatefulSet           | takes a whole Secret into its environment       |
      | DaemonSet             | mounts the disk of the node                     |
      | ReplicationController | mounts a Secret                                 |
      | Job                   | takes a value of a Secret into its environment  |
      | CronJob               | mounts a Secret                                 |
      | CronJob               | uses another account                            |
    And under the account "codex-runner-qa" admission refuses each of these, though it takes their like without
      | Job | mounts a Secret      |
      | Job | uses another account |

  @NI-05 @set-e @p0 @S3-11 @R-37 @R-132 @needs-pods @needs-network-policy
  Scenario: Where an agent's connections end
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When the agent calls another run namespace and the platform's database
    Then both calls find nobody, while DNS, MCP, internal HTTP and the web answer
    When the agent may go on
    Then the run ends as succeeded

  @NI-07 @set-e @p0 @S3-10 @S3-11 @R-43 @needs-pods
  Scenario: The platform's token stays with the platform
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    Then no Secret of the namespace holds the platform's token for GitHub, though the bot's is there
    When the agent may go on
    Then the run ends as succeeded

  @NI-08 @set-e @p0 @S3-10 @S3-11 @R-43 @R-162 @needs-pods
  Scenario: What a Job says holds no secret
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    Then Job and Pod of the run hold no value of a Secret, though they name the keys of the run's own
    When the agent may go on
    Then the run ends as succeeded

  @NI-09 @set-e @p0 @S3-11 @R-36 @needs-pods
  Scenario: A namespace on its way out gets nothing written into it
    Given a platform with 1 slots for each project
    And a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    And another open Issue without a label
    When the member sets "run:dev" on the Issue
    Then the run waits because "no_free_slot", without a Job
    When a namespace with the name that the run wants is being deleted and does not end
    And the agent may go on
    Then the run tries again and again to prepare, and asks for nothing to be written there
    When that namespace has ended
    Then the run ends as succeeded
    And the run worked in a new namespace of that name, into which the platform wrote its objects

  @NI-10 @set-e @p0 @S3-11 @R-41 @needs-pods
  Scenario: A discussion needs neither rights nor a quota
    Given a bound repository whose agent talks, with an open Issue
    When the member sets "mode:discussion" on the Issue
    Then the session opens with a comment of the bot
    And a Pod talks in a leased namespace of its own, without Job, account, Role or quota

  @NI-11 @set-e @p0 @S3-11 @R-33 @needs-pods
  Scenario: Without a candidate nothing is made for quality assurance
    Given a bound repository with an open Issue
    When the member sets "run:qa" on the Issue
    Then the delivery is answered as ignored because "issue_trigger_candidate_not_found"
    And the Issue comes to carry "need:input"
    And a label set on another open Issue still starts a run
    And the Issue has no run

  @NI-11 @set-e @p0 @S3-11 @R-33 @needs-pods
  Scenario: Quality assurance shares the namespace and the commit of its candidate
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And the approver has approved the pull request in a review
    And the Issue has come to carry "state:approved"
    When the member sets "run:qa" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the run worked in the namespace of the run before
    And the run was built from the head of the pull request

Feature: Runs beside the stages
  People talk with an agent under an Issue, let documents be audited, let the platform improve itself, rethink a plan, or
  repair what is live.

  @SP-01 @set-a @p1 @S3-14 @L-105 @L-109 @needs-pods
  Scenario: A discussion talks and changes nothing
    Given a bound repository whose agent talks, with an open Issue
    When the member sets "mode:discussion" on the Issue
    Then the delivery is answered as accepted with a run
    And the session opens with a comment of the bot
    And a Pod talks in a leased namespace of its own, without Job, account, Role or quota
    And the discussion leaves labels, branches and pull requests alone, while a stage makes them

  @SP-02 @set-a @p1 @S3-14 @L-108 @needs-pods
  Scenario: Several comments get one answer
    Given a bound repository whose agent talks once it may, with an open Issue
    When the member sets "mode:discussion" on the Issue
    And its session listens
    And the member comments "Should the greeting be warm?"
    And the member comments "Or rather short?"
    Then the delivery is answered as received
    When the agent may go on
    Then the session has answered "0 | 2"
    And every comment of the member was seen first and answered then
    And an answer holds "Or rather short?" and none holds "Both?"
    When the member comments "Both?"
    Then the session has answered "0 | 2 | 1"
    And every comment of the member was seen first and answered then
    And the Issue has exactly one run

  @SP-03 @set-a @p1 @S3-14 @L-42 @L-108 @needs-pods
  Scenario: A comment starts a discussion when it is a permitted person's
    Given a bound repository whose agent talks, with an open Issue
    And a discussion that the owner has cancelled
    When the bot comments "I am the bot"
    Then the delivery is answered as received
    When an outsider comments "I am nobody here"
    Then the delivery is answered as ignored because "sender_not_allowed"
    When an outsider sets "run:plan" on the Issue
    Then the delivery is answered as ignored because "sender_not_allowed"
    And the platform comments once with "sender_not_allowed"
    When the member comments "Shall we talk?"
    Then the delivery is answered as accepted with a run
    And an answer holds "Shall we talk?" and none holds "I am nobody here"
    And the Issue has exactly two runs

  @SP-04 @set-a @p1 @S3-14 @L-106 @needs-pods
  Scenario: A stage takes the place of a discussion
    Given a bound repository whose agent talks, with an open Issue
    And a discussion that has begun to talk
    When the member sets "run:intake" on the Issue
    Then the delivery is answered as accepted with a run
    And the discussion ends because of "run_label_detected" and takes its Pod and namespace along
    And the run ends as succeeded
    And the Issue has exactly two runs

  @SP-04 @set-a @p1 @S3-14 @L-106 @needs-pods
  Scenario: A refused label does not disturb a discussion
    Given a bound repository whose agent talks, with an open Issue
    And a discussion that has begun to talk
    When an outsider sets "run:intake" on the Issue
    Then the delivery is answered as ignored because "sender_not_allowed"
    And the platform comments once with "sender_not_allowed"
    And the discussion goes on
    And the Issue has exactly one run

  @SP-05 @set-a @p1 @S3-14 @L-12 @L-107 @needs-pods
  Scenario: A discussion ends with its label, and not by run:debug
    Given a bound repository whose agent talks, with an open Issue
    And a discussion that has begun to talk
    When the member sets "run:debug" on the Issue
    Then the delivery is answered as ignored because "issue_event_not_trigger_label"
    And the discussion goes on
    When the member removes "mode:discussion" from the Issue
    Then the discussion ends because of "discussion_label_removed" and takes its Pod and namespace along

  @SP-05 @set-a @p1 @S3-14 @L-12 @L-107 @needs-pods
  Scenario: A discussion ends with its Issue
    Given a bound repository whose agent talks, with an open Issue
    And a discussion that has begun to talk
    When the member closes the Issue
    Then the discussion ends because of "issue_closed_or_deleted" and takes its Pod and namespace along

  @SP-06 @set-a @p1 @S3-14 @L-105 @needs-pods
  Scenario: A stage label on the Issue chooses who talks
    Given a bound repository whose agent talks, with an open Issue
    And an outsider has set "run:plan" on the Issue
    When the member sets "mode:discussion" on the Issue
    Then the delivery is answered as accepted with a run
    And agent "em" discusses as "plan"
    And the session opens with a comment of the bot
    And the discussion goes on

  @SP-07 @set-a @p1 @S3-4 @S3-6 @S3-14 @L-110 @L-114 @needs-pods
  Scenario: The platform improves itself
    Given a bound repository whose agent improves itself, with an open Issue
    When the member sets "run:self-improve" on the Issue
    Then the delivery is answered as accepted with a run
    And agent "km" may use exactly the tools of self-improvement
    And the run ends as succeeded
    And the diagnosis is reported
    And one pull request linked to the Issue exists, opened by the bot

  @SP-08 @set-a @p1 @S3-6 @S3-14 @L-9 @L-110 @needs-pods
  Scenario: A self-improvement without evidence fails
    Given a bound repository whose agent improves itself without evidence, with an open Issue
    When the member sets "run:self-improve" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as failed because "kubernetes job failed"
    And the run failed for lack of "evidence_refs", without a diagnosis
    And the branch of the Issue was never pushed
    And the trigger label has left the Issue, which is not in review

  @SP-08 @set-a @p1 @S3-6 @S3-14 @L-9 @L-110 @needs-pods
  Scenario: A self-improvement keeps its hands off the code
    Given a bound repository whose agent changes "src/lib.rs", with an open Issue
    When the member sets "run:self-improve" on the Issue
    Then the run ends as failed because "failed_precondition"
    And the event "run.failed.precondition" names the path "src/lib.rs"
    And the branch of the Issue was never pushed

  @SP-09 @set-a @p1 @S3-4 @S3-14 @L-111 @needs-pods
  Scenario: An audit that finds nothing says so in a comment
    Given a bound repository whose agent finds nothing to change in an audit, with an open Issue
    When the member sets "run:doc-audit" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the result of the audit is a comment on the Issue
    And the Issue is in review without a pull request, while a run that writes a document opens one

  @SP-10 @set-a @p1 @S3-14 @L-37 @L-50 @L-112 @needs-pods
  Scenario: A blocked Issue can be rethought
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And the member has set "state:blocked" on the Issue
    And the member has set "need:input" on the Issue
    When the member sets "run:rethink" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the rethink has a branch and a pull request of its own
    And the pull request before is superseded; the rethink and the Issue are in review

  @SP-10 @set-a @p1 @S3-14 @L-37 @L-50 @L-112
  Scenario: An abandoned Issue cannot be rethought
    Given a bound repository with an open Issue
    And the member has set "state:abandoned" on the Issue
    When the member sets "run:rethink" on the Issue
    Then the delivery is answered as ignored because "issue_state_abandoned"
    And the platform comments once with "issue_state_abandoned"
    And a label set on another open Issue still starts a run
    And the Issue has no run

  @SP-11 @set-a @p1 @S3-14 @L-91 @L-113 @needs-pods
  Scenario: A repair works on what is live
    Given a bound repository whose agent repairs, with an open Issue
    And the repository has a live environment
    When the member sets "run:ai-repair" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And a Pod of agent "sre" worked in the live environment under the account of a repair
    And the repair is a commit of the bot on "main"
    And the incident is told in a comment on the Issue
    And the Issue is in review without a pull request, while a run that writes a document opens one
    And the status comment offers no next step, while that of a stage does
    And the live environment is neither changed, leased nor deleted

  @SP-12 @set-a @p1 @S3-14 @L-113 @needs-pods @waits-images
  Scenario: A repair without its image takes the fallback
    Given a bound repository whose agent repairs, with an open Issue
    And the repository has a live environment
    And the registry lacks the runner's primary image and has its fallback
    When the member sets "run:ai-repair" on the Issue
    Then the run ends as succeeded
    And its Pod ran the fallback image, and "run.job.image.resolved" says so

  @SP-13 @set-a @p1 @S3-14 @L-113 @L-114 @needs-pods
  Scenario Outline: A secret is synced with approval or not at all
    Given a bound repository whose agent asks for the tool "<tool>", with an open Issue
    When the member sets "<label>" on the Issue
    Then an approval of "secret.sync.github_k8s" is asked for, and nothing is synced before it

    Examples:
      | label   | tool                   |
      | run:dev | secret.sync.github_k8s |
      | run:dev | secret.sync.k8s        |

  @SP-13 @set-a @p1 @S3-14 @L-113 @L-114 @needs-pods @waits-deploy
  Scenario: A secret of operations is synced with approval
    Given a bound repository whose agent asks for the tool "secret.sync.github_k8s", with an open Issue
    And the repository has a live environment
    When the member sets "run:ops" on the Issue
    Then an approval of "secret.sync.github_k8s" is asked for, and nothing is synced before it

  @SP-13 @set-a @p1 @S3-14 @L-113 @L-114 @needs-pods @waits-approvals
  Scenario: A test run cannot sync secrets
    Given a bound repository whose tester asks for the tool "secret.sync.github_k8s", with an open Issue
    And a finished "run:dev" run with its pull request
    And the approver has accepted the stage
    When the member sets "run:qa" on the Issue
    Then the tool is absent from the list and its call is refused as "tool_not_available"

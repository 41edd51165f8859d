Feature: Next steps
  One comment per run tells people where it stands and what may follow; a step that a person takes moves the labels once.

  @NX-15 @set-a @p1 @S3-15 @L-102 @L-103 @L-104 @needs-pods
  Scenario: One comment follows a run from created to finished
    Given a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the Issue has one status comment, which was edited in place
    And its phases only went forward and ended in "finished"
    And the Issue was given the reaction "eyes" once
    And the status comment shows run, trigger, mode, target, build, access, namespace, pull request, model and reasoning

  @NX-01 @set-a @p1 @S3-15 @L-89 @L-92 @L-93 @needs-pods
  Scenario Outline: The comment after a stage offers its row of the matrix
    Given a bound repository with an open Issue
    When the member sets "<label>" on the Issue
    Then the run ends as succeeded
    And the status comment offers exactly the steps after "<stage>"

    Examples:
      | stage        | label            |
      | intake       | run:intake       |
      | vision       | run:vision       |
      | prd          | run:prd          |
      | arch         | run:arch         |
      | design       | run:design       |
      | plan         | run:plan         |
      | dev          | run:dev          |
      | doc-audit    | run:doc-audit    |
      | rethink      | run:rethink      |
      | self-improve | run:self-improve |

  @NX-01 @set-a @p1 @S3-15 @L-89 @L-92 @L-93 @needs-pods
  Scenario: The comments after tests and after the release offer their rows
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When the member comments in a review on the pull request
    And the platform owner takes the step "run:qa"
    Then the run ends as succeeded
    And the status comment offers exactly the steps after "qa"
    When the platform owner takes the step "run:release"
    Then the run ends as succeeded
    And the status comment offers exactly the steps after "release"

  @NX-01 @set-a @p1 @S3-15 @L-89 @L-92 @L-93 @needs-pods @waits-deploy
  Scenario Outline: The comment after a stage of the live environment offers its row
    Given a bound repository with an open Issue
    When the member sets "<label>" on the Issue
    Then the run ends as succeeded
    And the status comment offers exactly the steps after "<stage>"

    Examples:
      | stage      | label          |
      | postdeploy | run:postdeploy |
      | ops        | run:ops        |

  @NX-02 @set-a @p1 @S3-15 @L-92 @needs-pods
  Scenario: After the design, the plan and the fast track to development
    Given a bound repository with an open Issue
    When the member sets "run:design" on the Issue
    Then the run ends as succeeded
    And the status comment offers "run:plan=all_flows" beside "run:dev=go_to_dev"

  @NX-03 @set-a @p2 @L-92 @needs-pods
  Scenario: Without a pull request nobody is asked to review one
    Given a bound repository whose agent writes nothing, with an open Issue
    When the member sets "run:doc-audit" on the Issue
    Then the run ends as succeeded
    And the Issue has no pull request
    And the status comment offers exactly the steps after "doc-audit"

  @NX-03 @set-a @p2 @L-90 @needs-pods
  Scenario: Without a public address the steps have no link
    Given a platform without a public address
    And a bound repository with an open Issue
    When the member sets "run:intake" on the Issue
    Then the run ends as succeeded
    And the status comment names the steps after "intake" without a link

  @NX-04 @set-a @p1 @S3-15 @L-91 @needs-pods
  Scenario: A failed run offers nothing
    Given a bound repository whose agent fails, with an open Issue
    When the member sets "run:intake" on the Issue
    Then the run ends as failed because "kubernetes job failed"
    And the finished status comment offers no step

  @NX-04 @set-a @p1 @S3-15 @L-91 @needs-pods
  Scenario: An active run offers nothing, until it has succeeded
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:intake" run
    Then the status comment offers no step
    When the agent may go on
    Then the run ends as succeeded
    And the status comment offers exactly the steps after "intake"

  @NX-05 @set-a @p1 @S3-15 @L-97 @L-99
  Scenario: A preview tells and changes nothing
    Given a bound repository with an open Issue
    And an outsider has set "run:plan" on the Issue
    And the member has set the foreign label "run:foo" on the Issue
    When the member asks what the step "run:qa" would do
    Then the answer is to remove "run:plan", to add "run:qa" and to leave "run:foo, run:qa"
    And the event "run.next_step.preview_requested" of the member is written 1 time
    And a label set on another open Issue still starts a run
    And the Issue bears exactly "run:foo, run:plan"
    And the same step on another Issue is taken, and the first Issue keeps its labels

  @NX-06 @set-a @p1 @S3-15 @L-18 @L-99 @L-100 @needs-pods
  Scenario: A step moves the labels and starts one run as the person who took it
    Given a bound repository whose agent waits, with an open Issue
    And an outsider has set "run:plan" on the Issue
    And the member has set the foreign label "run:foo" on the Issue
    And the member has set "run:debug" on the Issue
    When the member takes the step "run:intake"
    Then the delivery is answered as accepted with a run
    And the Issue bears exactly "run:debug, run:foo, run:intake"
    And the bot's "run:intake" was judged once as the member's
    And the event "run.next_step.executed" of the member is written 1 time
    And the Issue has exactly one run
    When the member removes "run:debug" from the Issue

  @NX-07 @set-a @p1 @S3-15 @L-100 @needs-pods
  Scenario: The same step twice
    Given a bound repository whose agent waits, with an open Issue
    And an outsider has set "run:plan" on the Issue
    When the member takes the step "run:intake"
    Then the delivery is answered as accepted with a run
    When the member presses "run:intake" once more
    Then the answer is to remove "", to add "" and to leave "run:intake"
    And the event "run.next_step.executed" of the member is written 1 time
    And the bot's "run:intake" was judged once as the member's
    And the Issue has exactly one run

  @NX-08 @set-a @p1 @S3-15 @L-18 @L-31
  Scenario: The bot by itself starts nothing
    Given a bound repository with an open Issue
    When the platform's bot sets "run:intake" on the Issue by itself
    Then the delivery is answered as ignored because "sender_type_bot_not_permitted"
    And a label set on another open Issue still starts a run
    And the Issue has no run
    And the same step on another Issue is taken, and the first Issue keeps its labels

  @NX-08 @set-a @p1 @S3-15 @L-18 @L-31
  Scenario: A step whose delivery comes after more than ten minutes
    Given a platform of its own
    And a bound repository with an open Issue
    And an outsider has set "run:plan" on the Issue
    When the member takes the step "run:intake", whose delivery GitHub loses
    Then the Issue bears exactly "run:intake"
    When 11 minutes pass
    And GitHub sends the lost delivery again
    Then the delivery is answered as ignored because "sender_type_bot_not_permitted"
    And a label set on another open Issue still starts a run
    And the Issue has no run

  @NX-09 @set-a @p1 @S3-15 @L-101
  Scenario: Two trigger labels leave it unclear which stage a step leaves
    Given a bound repository with an open Issue
    And an outsider has set "run:dev" on the Issue
    And an outsider has set "run:plan" on the Issue
    When the member tries the step "run:dev"
    Then the step is refused as 409 "failed_precondition"
    And the Issue asks for input, with one comment that names what is unclear
    And the event "run.next_step.blocked_need_input" of the member is written 1 time
    And a label set on another open Issue still starts a run
    And the Issue has no run

  @NX-10 @set-a @p1 @S3-15 @L-101 @needs-pods
  Scenario: No trigger label but a finished stage
    Given a bound repository with an open Issue
    And a finished "run:intake" run with its pull request
    When the platform owner takes the step "run:vision"
    Then the delivery is answered as accepted with a run
    And the launch profile of the Issue is "new-service"
    And the run ends as succeeded

  @NX-11 @set-a @p1 @S3-15 @L-98
  Scenario Outline: A request that is refused moves nothing
    Given a bound repository with an open Issue
    And an outsider has set "run:dev" on the Issue
    When the step "run:intake" is asked for with "<what>"
    Then the step is refused as <status> "<code>"
    And the Issue bears exactly "run:dev"
    And the event "run.next_step.executed" of the member is written 0 times
    And the same step on another Issue is taken, and the first Issue keeps its labels

    Examples:
      | what                      | status | code             |
      | an unknown action kind    | 400    | invalid_argument |
      | a target that is none     | 400    | invalid_argument |
      | an unbound repository     | 400    | invalid_argument |
      | no session                | 401    | unauthorized     |
      | the role read             | 403    | forbidden        |
      | labels that are not there | 409    | conflict         |

  @NX-12 @set-a @p1 @S3-15 @L-94 @L-95 @L-96 @needs-pods
  Scenario: A risk lengthens the shortest path
    Given a bound repository with an open Issue
    And a finished "run:intake" run with its pull request
    When the platform owner takes the step "run:plan"
    Then the delivery is answered as accepted with a run
    And the launch profile of the Issue is "quick-fix"
    And a status comment offers the shortest path
    When the member names the risk "db_migration"
    Then the launch profile of the Issue is "feature"
    And the risk "db_migration" was recorded as an escalation
    And no status comment offers the shortest path any more

  @NX-12 @set-a @p1 @S3-15 @L-95 @L-96 @R-80 @needs-pods
  Scenario: A risk that an agent reports lengthens the path of its Issue
    Given a bound repository whose agent reports the risk "db_migration", with an open Issue
    When the member sets "run:intake" on the Issue
    Then the run ends as succeeded
    And the launch profile of the Issue is "feature"
    And the risk "db_migration" was recorded as an escalation
    And no status comment offers the shortest path any more

  @NX-13 @set-a @p1 @S3-15 @L-95 @L-96 @needs-pods
  Scenario: Only the platform owner shortens the whole path
    Given a bound repository with an open Issue
    And a finished "run:intake" run with its pull request
    And the platform owner has taken the step "run:vision", and its run has ended
    When the member tries the step "run:plan"
    Then the step is refused as 403 "forbidden"
    And the launch profile of the Issue is "new-service"
    When the platform owner takes the step "run:plan"
    Then the delivery is answered as accepted with a run
    And "run:plan" was set on the Issue once, by the platform owner's step
    And the launch profile of the Issue is "quick-fix"

  @NX-14 @set-a @p1 @S3-15 @L-87 @L-99 @needs-pods
  Scenario: A pre-review is asked for
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When the member asks for a pre-review of the pull request
    Then the pull request has "need:reviewer" and one reviewer run

  @NX-16 @set-a @p1 @S3-15 @L-102 @needs-pods
  Scenario: A status comment that was deleted comes back once
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:intake" run
    When the status comment is deleted by hand
    And the agent may go on
    Then the run ends as succeeded
    And there is one status comment again, a new one

  @NX-16 @set-a @p1 @S3-15 @L-102 @needs-pods
  Scenario: Of two status comments the better one stays
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:intake" run
    When a copy of the status comment with an earlier phase appears
    And the agent may go on
    Then the run ends as succeeded
    And there is one status comment, the first one

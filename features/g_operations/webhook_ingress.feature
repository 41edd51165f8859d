Feature: The door for webhooks
  GitHub's deliveries are checked, kept and answered; outsiders cannot start anything.

  @WH-01 @set-g @p0 @S3-12 @L-20 @L-21
  Scenario Outline: A request that is not a delivery
    Given a bound repository with an open Issue
    When a request <that is wrong> reaches the door
    Then it is refused with status <status> and code "<code>"
    And nothing was stored for it, while a proper delivery is stored

    Examples:
      | that is wrong               | status | code             |
      | without delivery id         | 400    | invalid_argument |
      | without event               | 400    | invalid_argument |
      | without signature           | 401    | unauthorized     |
      | with a wrong signature      | 401    | unauthorized     |
      | of 1048577 bytes            | 400    | invalid_argument |
      | with invalid JSON           | 400    | invalid_argument |

  @WH-02 @set-g @p0 @S3-12 @L-22 @L-24
  Scenario: A delivery repeated
    Given a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    When the same delivery arrives again
    Then the second delivery is answered as duplicate of the first
    And the event "webhook.duplicate" is written once
    And the Issue has exactly one run
    And the Issue has one status comment

  @WH-03 @set-g @p0 @S3-12 @L-24
  Scenario: A refused delivery repeated makes no second comment
    Given a bound repository with an open Issue
    And an outsider has set "run:dev" on the Issue
    When the member sets "run:vision" on the Issue
    Then the conflict comment lists "run:dev, run:vision"
    When the same delivery arrives again
    Then the second delivery is answered as duplicate of the first
    And a label set on another open Issue still starts a run
    And the conflict comment exists once

  @WH-04 @set-g @p0 @S3-12 @L-24 @L-25
  Scenario: Two replicas receive one delivery at once
    Given a platform with two replicas of every process
    And a bound repository with an open Issue
    When one delivery of "run:dev" reaches both replicas at once
    Then it is stored once, one answer is duplicate and the Issue has exactly one run

  @WH-05 @set-g @p0 @S3-12 @L-23 @L-26 @L-32
  Scenario: The database is down when a delivery comes
    Given a platform of its own
    And a bound repository with an open Issue
    And the database does not answer
    When the member sets "run:dev" on the Issue
    Then the delivery is refused with status 503 and counted as an error
    When the database answers again
    And GitHub redelivers the delivery
    Then the Issue has exactly one run

  @WH-05 @set-g @p0 @S3-12 @L-23 @L-26 @L-32
  Scenario: Labels are unreadable after a delivery was stored
    Given a bound repository with an open Issue
    And GitHub fails to show the labels of the repository
    When the member sets "run:dev" on the Issue
    Then the delivery is answered with 202 and no run
    When GitHub shows the labels again
    Then the Issue has exactly one run

  @WH-06 @set-g @p0 @S3-12 @L-3 @L-27 @L-28 @D-32
  Scenario Outline: Events that are no trigger
    Given a bound repository with an open Issue
    When <something> happens to the Issue
    Then the delivery is answered as ignored because "issue_event_not_trigger_label"
    And a label set on another open Issue still starts a run
    And the Issue has no run

    Examples:
      | something                       |
      | opening                         |
      | editing                         |
      | a label "bug"                   |
      | an edit with U+0000 in the title |

  @WH-07 @set-g @p0 @S3-12 @L-29 @L-30
  Scenario: A repository that is not bound
    Given a repository with our webhook that is bound to no project
    When its member sets "run:dev" on the Issue
    Then the delivery is answered as ignored because "repository_not_bound_for_issue_label"
    And the Issue has no run

  @WH-08 @set-g @p0 @S3-12 @L-31 @L-42
  Scenario Outline: Who may not start a run
    Given a bound repository with an open Issue
    When <who> sets "run:dev" on the Issue
    Then the delivery is answered as ignored because "<reason>"
    And the platform comments once with "<reason>"
    And a label set on another open Issue still starts a run
    And the Issue has no run

    Examples:
      | who                        | reason                            |
      | a bot                      | sender_type_bot_not_permitted     |
      | somebody without a login   | sender_login_missing              |
      | an outsider                | sender_not_allowed                |
      | a user of another project  | sender_not_project_member         |
      | a reader                   | sender_role_read_not_permitted    |

  @WH-08 @set-g @p0 @S3-12 @L-31 @L-42
  Scenario Outline: No label that starts something works for them
    Given a bound repository with an open Issue
    And the maintainer has opened a pull request from a branch of their own
    When <who> sets every label that starts a run in one click
    Then each of these deliveries is ignored because "<reason>"
    When <who> sets "need:reviewer" on the pull request
    Then the delivery is answered as ignored because "<reason>"
    And a label set on another open Issue still starts a run
    And the Issue has no run

    Examples:
      | who         | reason                        |
      | a bot       | sender_type_bot_not_permitted |
      | an outsider | sender_not_allowed            |

  @WH-09 @set-g @p0 @S3-12 @L-31
  Scenario: The platform owner needs no membership
    Given a bound repository with an open Issue
    When the platform owner sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And the Issue has exactly one run

  @WH-10 @set-g @p0 @S3-12 @L-29 @L-52
  Scenario: An outsider's review of an ambiguous pull request
    Given a bound repository with an open Issue
    And the maintainer has opened a pull request from a branch of their own
    And the member has set "run:dev" on the pull request
    And the member has set "run:plan" on the pull request
    When an outsider requests changes on the pull request
    Then the delivery is answered as ignored because "sender_not_allowed"
    And a label set on another open Issue still starts a run
    And nothing else was decided about the review
    When the member requests changes on the pull request
    Then the delivery is answered as ignored because "pull_request_review_stage_ambiguous"
    And one comment on the pull request says "pull_request_review_stage_ambiguous"

  @WH-11 @set-g @p0 @S3-12 @L-27 @needs-pods
  Scenario: A trigger label on a pull request starts nothing
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When the member sets "run:dev" on the pull request
    Then the delivery is answered as received
    And a label set on another open Issue still starts a run
    And the Issue has exactly one run

  @WH-12 @crash-story @set-g @p0 @S3-12 @L-27 @R-67 @needs-pods
  Scenario Outline: A closed thread takes the namespaces of its runs along
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When <somebody closes it>
    Then the namespace of the run is deleted with the thread

    Examples:
      | somebody closes it                                      |
      | the member closes the Issue                             |
      | the maintainer closes the pull request without merging it |

  @WH-12 @set-g @p0 @S3-12 @L-27 @R-67 @needs-pods
  Scenario: A closed Issue leaves what works and what is not its own
    Given a bound repository whose agent waits, with an open Issue
    And a second open Issue with a running "run:dev" run
    And a running "run:dev" run
    When the member closes the Issue
    Then the namespace of the run stays because "active_run_in_db"
    And the namespace of the second Issue's run stays as well

  @WH-13 @set-g @p0 @S3-12 @L-26 @L-27
  Scenario Outline: Deliveries that are only received
    Given a bound repository with an open Issue
    When GitHub sends a "<event>" delivery
    Then the delivery is answered as received
    And the metrics count a request with result "accepted" and event "<event>"
    And the logs of the platform hold no secret, though the search finds a planted one

    Examples:
      | event                       |
      | ping                        |
      | pull_request_review_comment |

  @WH-14 @set-g @p0 @S3-12 @L-42 @L-115 @waits-onboarding
  Scenario: A repository whose preflight failed
    Given a bound repository with an open Issue
    And the newest preflight report of the repository failed
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as ignored because "repository_preflight_failed"
    And the platform comments once with "repository_preflight_failed"
    When a preflight of the repository passes
    And the member sets "run:dev" on the Issue again
    Then the delivery is answered as accepted with a run

  @WH-15 @set-g @p0 @S3-12 @L-22 @L-24 @L-29 @D-2
  Scenario: GitHub holds back its answer
    Given a bound repository with an open Issue
    And GitHub holds back the labels of the repository
    When the member sets "run:dev" on the Issue
    Then the delivery is answered with 202 and no run
    When the same delivery arrives again
    Then the second delivery is answered as duplicate of the first
    When GitHub shows the labels again
    Then the delivery shows as accepted with the Issue's one run

  @WH-16 @set-g @p0 @S3-12 @R-165 @R-186
  Scenario: Deliveries that failed and deliveries that never arrived are sent again after a restart
    Given a platform with two replicas of every process
    And a bound repository with an open Issue
    And the database does not answer
    When the member sets "run:dev" on the Issue
    Then the delivery is refused with status 503 and counted as an error
    When the database answers again
    And the member sets "run:intake" on another Issue while GitHub does not reach the platform
    And the control planes are killed and start again
    Then GitHub sends both deliveries again, each once and under its own id
    And the Issue has exactly one run
    And the other Issue has exactly one run

  @WH-16 @set-g @p0 @S3-12 @R-186
  Scenario: A trigger label that no delivery tells of is told and not acted on
    Given a platform of its own
    And a bound repository with an open Issue
    When "run:dev" gets onto the Issue without a delivery
    And the control planes are killed and start again
    Then the platform tells once that nobody told of "run:dev" on the Issue
    When "run:plan" gets onto the Issue without a delivery as well
    And 5 minutes pass
    Then the platform tells of "run:dev" and then of "run:dev, run:plan", each once
    And a label set on another open Issue still starts a run
    And the Issue has no run

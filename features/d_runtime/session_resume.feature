Feature: Sessions of the agent
  A run is a turn of a session: kept when it ends, continued by the run that revises it.

  @SE-01 @set-d @p1 @S3-12 @R-89 @R-90 @R-91 @needs-pods
  Scenario: A snapshot keeps its version until it changes
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    And its session is saved, saved again as it is, and saved with a change
    Then the answers are "200 version 1; 200 version 1; 200 version 2"
    And version 2 of the session is stored, saved 2 times
    When the agent may go on
    Then its agent saves over it after one look at what is stored
    And the run ends as succeeded

  @SE-02 @set-d @p1 @S3-12 @R-91 @needs-pods
  Scenario: A stale version changes nothing, unless it says what is stored
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    And its session is saved, saved again as it is, and saved with a change
    And a stale version saves something else, and then what is stored already
    Then the answers are "200 version 1; 200 version 1; 200 version 2; 409 conflict expected 1 actual 2; 200 version 2"
    And version 2 of the session is stored, saved 2 times

  @SE-03 @set-d @p0 @S2-2 @S3-12 @R-92 @R-82 @needs-pods
  Scenario: A review sends the work back into its session
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When the member requests changes on the pull request
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the run restored the session of the run before
    And the same pull request has new commits
    And the run wrote "run.pr.updated" and not "run.pr.created"

  @SE-04 @set-d @p1 @S3-12 @R-75 @R-86 @needs-pods
  Scenario: The pull request vanishes while its agent revises
    Given a bound repository whose agent waits when it revises, with an open Issue
    And a finished "run:dev" run with its pull request
    When the member sets "run:dev:revise" on the Issue
    And the agent has begun to wait
    And the maintainer closes the pull request without merging it
    And the agent may go on
    Then the run ends as failed because "failed_precondition"
    And the agent's container ended with exit code 42
    And the event "run.revise.pr_not_found" gives the reason "pr_not_found"

  @SE-05 @set-d @p1 @S3-12 @R-94 @R-181 @needs-pods
  Scenario: A session that is past its retention begins anew
    Given a platform of its own
    And a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When 192 hours pass
    Then the session of the run is emptied
    When the member requests changes on the pull request
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the run began a session of its own
    And the same pull request has new commits
    And the run wrote "run.pr.updated" and not "run.pr.created"

  @SE-06 @set-d @p0 @S3-12 @R-166 @R-22 @R-24 @needs-pods
  Scenario: An agent that meets GitHub's limit leaves it to the platform
    Given a bound repository with an open Issue
    And GitHub limits the pull requests of the bot for 60 seconds
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And the run waits for GitHub's limit with its timer paused
    And its agent ended with exit code 0 after one turn, and its slot is free
    And GitHub had to refuse 1 request

  @SE-07 @set-d @p0 @S3-12 @R-24 @R-92 @R-95 @R-169 @needs-pods
  Scenario: A run goes on once GitHub's limit is over
    Given a platform of its own
    And a bound repository with an open Issue
    And GitHub limits the pull requests of the bot for 60 seconds
    When the member sets "run:dev" on the Issue
    Then the run waits for GitHub's limit with its timer paused
    When GitHub's limit is over
    And the wait is due
    Then one run goes on where it stopped, and the run before is canceled as continued
    And its agent was told how the wait ended
    And the run restored the session of the run before
    And the run ends as succeeded
    And the Issue and the pull request are in review without a trigger label
    And the Issue has exactly two runs

  @SE-07 @set-d @p1 @S3-12 @R-166 @R-24 @R-92 @needs-pods
  Scenario: A limit that a program of the agent meets interrupts its turn
    Given a platform of its own
    And a bound repository whose agent runs a program that meets GitHub's limit, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run waits for GitHub's limit with its timer paused
    And its agent ended with exit code 0 after one turn, and its slot is free
    When the agent may go on
    And the wait is due
    Then one run goes on where it stopped, and the run before is canceled as continued
    And the run restored the session of the run before
    And the run ends as succeeded

  @SE-07 @set-d @p1 @S3-12 @R-166 @R-24 @R-92 @R-95 @needs-pods @needs-codex
  Scenario: The real agent goes on in its session once GitHub's limit is over
    Given a platform with the real agent
    And a bound repository whose agent runs a program that meets GitHub's limit, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run waits for GitHub's limit with its timer paused
    When the agent may go on
    And the wait is due
    Then one run goes on where it stopped, and the run before is canceled as continued
    And the run ends as succeeded
    And the run restored the session of the run before
    And the model was asked in the session of the run before, which then had two turns

  @SE-08 @set-d @p1 @S3-12 @R-167 @R-169 @needs-pods
  Scenario: A call of the platform that meets GitHub's limit is made once more, and its run goes on
    Given a platform of its own
    And a bound repository whose agent waits, with an open Issue
    And GitHub limits the comments of the platform for 60 seconds
    When the member sets "run:dev" on the Issue
    Then the run goes on while its status comment waits for GitHub's limit
    When GitHub's limit is over
    And the wait is due
    Then the status comment is written once, and the wait is resolved
    When the agent may go on
    Then the run ends as succeeded
    And the run was seen as pending, running and succeeded, in this order

  @SE-09 @set-d @p1 @S3-12 @R-168 @needs-pods
  Scenario Outline: Each limit of GitHub is waited out in its own way
    Given a bound repository with an open Issue
    And GitHub answers the pull requests of the bot with its "<limit>" limit
    When the member sets "run:dev" on the Issue
    Then the wait is "<kind>" for <seconds> seconds with <attempts> attempts

    Examples:
      | limit                             | kind      | seconds | attempts |
      | secondary, retry after 60 seconds | secondary | 75      | 2        |
      | primary, reset in 900 seconds     | primary   | 905     | 2        |
      | unclear                           | secondary | 60      | 3        |

  @SE-09 @set-d @p1 @S3-12 @R-168 @R-18 @needs-pods
  Scenario: Bad credentials are not waited out
    Given a bound repository with an open Issue
    And GitHub refuses the pull requests of the bot for bad credentials
    When the member sets "run:dev" on the Issue
    Then the run ends as failed because "kubernetes job failed"
    And no wait for GitHub exists for the run

  @SE-10 @set-d @p1 @S3-12 @R-170 @needs-pods
  Scenario: A limit that outlasts every attempt is left to staff
    Given a platform of its own
    And a bound repository with an open Issue
    And GitHub limits the pull requests of the bot for 60 seconds
    When the member sets "run:dev" on the Issue
    And every attempt meets the limit again
    Then staff sees that the run asks for a manual action
    When GitHub's limit is over
    And 2 hours pass
    Then the run still waits for staff
    When a reader lets the wait go on
    Then the answer is 403 "forbidden"
    And the run still waits for staff
    When the owner lets the wait go on
    Then the answer is 200 "auto_resume_scheduled"
    And another run goes on where the run stopped
    And the run ends as succeeded

  @SE-11 @set-d @p1 @S3-12 @R-171 @R-167 @needs-pods
  Scenario: One limit is one wait, and of two waits the run shows the longer one
    Given a bound repository whose agent waits, with an open Issue
    And GitHub limits the comments of the platform for 600 seconds
    When the member sets "run:dev" on the Issue
    Then the run goes on while its status comment waits for GitHub's limit
    When its agent tells twice of the same limit of 60 seconds
    Then the run has two waits, and shows the one that goes on last

  @SE-12 @set-d @p1 @S3-12 @R-176 @needs-pods
  Scenario: A token opens nothing but its own run while that runs
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    And the token of the run is kept, and staff cancels the run
    And the member sets "run:dev" on the Issue again
    And the token of the run is used for another run, and that of the ended run for its own
    Then all but the callback of the run with its own token are refused and told of

  @SE-13 @set-d @p1 @S3-12 @R-88 @R-71 @needs-pods
  Scenario: An agent that is told to stop saves its session and leaves no credentials
    Given a bound repository whose agent notes where it is and waits, with an open Issue
    When the member sets "run:dev" on the Issue
    And its Pod is told to stop while it works
    Then it ended in time with its session saved and its credentials gone
    When the agent may go on
    Then the run ends as succeeded

  @SE-16 @set-d @p1 @S3-12 @R-80 @R-82 @needs-pods
  Scenario: An agent that names no pull request gets that of its branch
    Given a bound repository with an open Issue
    And a finished "run:plan" run with its pull request
    When the member sets "run:plan:revise" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the same pull request has new commits
    And the run wrote "run.pr.updated" and not "run.pr.created"

  @SE-16 @set-d @p1 @S3-12 @R-80 @needs-pods @needs-codex
  Scenario: An agent that reports nothing that can be read is asked once more
    Given a platform with the real agent
    And a bound repository whose model "reports nothing" 1 times, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the model failed 1 times and was asked again

  @SE-16 @set-d @p1 @S3-12 @R-80 @R-18 @needs-pods @needs-codex
  Scenario: An agent that reports nothing twice fails its run
    Given a platform with the real agent
    And a bound repository whose model "reports nothing" 2 times, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as failed because "kubernetes job failed"
    And the branch of the Issue was never pushed
    And the Issue has no pull request

  @SE-17 @set-d @p1 @S3-12 @R-79 @L-13 @needs-pods
  Scenario Outline: The first seed of the list is the prompt, in the platform's language or in English
    Given a platform whose agents speak "<language>"
    And a bound repository with an open Issue
    And a finished "run:plan" run with its pull request
    When the member sets "need:reviewer" on the pull request
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the prompt is "role-reviewer-work" in "<read>"
    And the prompt of the run before is "plan-em-work" in "<read>"
    And the status comment is written in "<read>"

    Examples:
      | language | read |
      | ru       | ru   |
      | fr       | en   |

  @SE-18 @set-d @p1 @S3-12 @R-72 @R-73 @R-74 @needs-pods
  Scenario: A run with an environment has kubectl, and the tree that was prepared for it
    Given a bound repository whose agent notes where it is and waits, with an open Issue
    When the member sets "run:dev" on the Issue
    Then kubectl opens its namespace and no other, on the branch of the Issue in the prepared tree
    When the agent may go on
    Then the run ends as succeeded

  @SE-18 @set-d @p1 @S3-12 @R-72 @R-73 @R-74 @needs-pods
  Scenario: A run for code only has no kubectl, and a tree of its own
    Given a bound repository whose agent notes where it is and waits, with an open Issue
    When the member sets "run:intake" on the Issue
    Then kubectl has no configuration, on the branch of the Issue in a tree of its own
    When the agent may go on
    Then the run ends as succeeded

  @SE-19 @set-d @p1 @S3-12 @R-70 @R-86 @needs-pods
  Scenario: An agent that lacks a setting ends before it writes anything
    Given a bound repository whose agent notes where it is and waits, with an open Issue
    When the member sets "run:intake" on the Issue
    And copies of its Pod start while it works, each without one of the settings that a run needs
    Then each copy ended with exit code 1 and named what it lacks, and nothing was told or pushed
    When the agent may go on
    Then the run ends as succeeded

  @SE-19 @set-d @p1 @S3-12 @R-70 @R-77 @needs-pods @needs-codex
  Scenario: The configuration of the real agent is for its own eyes and holds no secret
    Given a platform with the real agent
    And a bound repository whose agent notes where it is and waits, with an open Issue
    When the member sets "run:intake" on the Issue
    Then the configuration of its command line is open to its owner alone and holds no secret
    When the agent may go on
    Then the run ends as succeeded

  @SE-22 @set-d @p1 @S3-12 @L-14 @R-77 @R-78 @needs-pods @needs-codex
  Scenario: The real agent asks for the model and the reasoning of the labels
    Given a platform with the real agent
    And a bound repository with an open Issue
    And the member has set "[ai-model-gpt-5.2-codex]" on the Issue
    And the member has set "[ai-reasoning-extra-high]" on the Issue
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And every request to the model asked for "gpt-5.2-codex" with "xhigh" reasoning
    And the Issue and the pull request are in review without a trigger label

  @SE-23 @set-d @p1 @S3-12 @L-51 @R-92 @needs-pods @needs-codex
  Scenario: The real agent goes on with its session when it revises
    Given a platform with the real agent
    And a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When the member requests changes on the pull request
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the run restored the session of the run before
    And the model was asked in the session of the run before, which then had two turns
    And the run belongs to the same Issue and pull request

  @SE-24 @set-d @p1 @S3-12 @R-77 @needs-pods @needs-codex
  Scenario Outline: A model that fails for a while is asked again
    Given a platform with the real agent
    And a bound repository whose model "<how>" 2 times, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as succeeded
    And the model failed 2 times and was asked again

    Examples:
      | how          |
      | has an error |
      | breaks off   |

  @SE-25 @set-d @p1 @S3-12 @L-9 @R-81 @needs-pods @needs-codex
  Scenario: What the real agent changes out of its scope is not pushed
    Given a platform with the real agent
    And a bound repository whose agent changes "main.rs", with an open Issue
    When the member sets "run:intake" on the Issue
    Then the delivery is answered as accepted with a run
    And the run ends as failed because "failed_precondition"
    And the branch of the Issue was never pushed
    And the Issue has no pull request

  @SE-15 @set-d @p1 @S3-12 @R-81 @needs-pods
  Scenario: A document stage that changes code pushes nothing
    Given a bound repository whose agent changes "main.rs", with an open Issue
    When the member sets "run:vision" on the Issue
    Then the run ends as failed because "failed_precondition"
    And the agent's container ended with exit code 42
    And the event "run.failed.precondition" names the path "main.rs"
    And the branch of the Issue was never pushed

  @SE-15 @set-d @p1 @S3-12 @R-81 @needs-pods
  Scenario: A reviewer that changes a file pushes nothing
    Given a bound repository whose reviewer writes a file, with an open Issue
    And a finished "run:plan" run with its pull request
    When the member sets "need:reviewer" on the pull request
    Then the run ends as failed because "failed_precondition"
    And the agent's container ended with exit code 42
    And the event "run.failed.precondition" names the path "review.md"
    And the pull request still carries "need:reviewer" and has no new commit

  @SE-20 @set-d @p1 @S3-12 @R-83 @R-84 @needs-pods
  Scenario: A finished run is told of in one place and leaves its threads in review
    Given a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the Issue has one status comment, which was edited in place
    And its phases only went forward and ended in "finished"
    And the Issue and the pull request are in review without a trigger label

  @SE-21 @set-d @p1 @S3-12 @R-85 @needs-pods
  Scenario: A tool that the image lacks is recorded and fails nothing
    Given a bound repository whose agent misses "jq-of-tomorrow" and reports "helm-of-tomorrow", with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And "jq-of-tomorrow, helm-of-tomorrow" are on record as missing, once
    And one pull request linked to the Issue exists, opened by the bot

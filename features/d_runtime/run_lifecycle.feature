Feature: The life of a run
  A run starts once, ends once, and nobody can change its end.

  @RL-01 @set-d @p0 @S2-1 @S3-16 @R-3 @R-18 @R-82 @needs-pods
  Scenario: From pending to succeeded
    Given a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the run was seen as pending, running and succeeded, in this order
    And one pull request linked to the Issue exists, opened by the bot

  @RL-01 @set-d @p0 @S2-1 @S3-16 @R-3 @R-18 @R-82 @needs-pods
  Scenario: From pending to succeeded without polling
    Given a platform that polls once an hour
    And a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the run was seen as pending, running and succeeded, in this order
    And the Issue and the pull request are in review without a trigger label

  @RL-02 @set-d @p1 @S3-16 @R-1 @R-165
  Scenario: The same delivery twice makes one run
    Given a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    And the same delivery arrives again
    Then the second delivery is answered as duplicate of the first
    And the Issue has exactly one run

  @RL-04 @set-d @p1 @S3-16 @R-4 @R-5 @needs-pods
  Scenario: A project without a free slot keeps nobody else waiting
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    And a second open Issue with a running "run:dev" run
    And another open Issue without a label
    When the member sets "run:arch" on the Issue
    Then the delivery is answered as accepted with a run
    And the run waits because "no_free_slot", without a Job
    And a run of another project works meanwhile
    When the agent may go on
    Then the run ends as succeeded
    And the project has no leased slot

  @RL-05 @set-d @p1 @S3-16 @R-6 @needs-pods
  Scenario: A third developer waits though a slot is free
    Given a platform with 3 slots for each project
    And a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    And a second open Issue with a running "run:dev" run
    And another open Issue without a label
    When the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And the run waits because "role_limit", without a Job
    When the agent may go on
    Then the run ends as succeeded

  @RL-07 @set-d @p1 @S3-16 @R-5 @R-40 @needs-pods
  Scenario: A run without an environment needs no slot
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    And a second open Issue with a running "run:dev" run
    And another open Issue without a label
    When the member sets "run:intake" on the Issue
    Then the delivery is answered as accepted with a run
    And the run works without a slot, though all 2 are leased
    When the agent may go on
    Then the run ends as succeeded

  @RL-08 @set-d @p1 @S3-16 @R-8 @R-9 @needs-pods
  Scenario: A long run holds its slot to its end
    Given a platform of its own
    And a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run comes to have exactly one Job
    When 25 minutes pass
    Then the run still holds its slot
    When the agent may go on
    Then the run ends as succeeded
    And the project has no leased slot

  @RL-09 @set-d @p0 @S2-10 @S3-16 @R-18 @R-9 @needs-pods
  Scenario: An image that no registry can have ends the run
    Given a platform whose agents have the image "No Such/Image"
    And a bound repository with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as failed because "kubernetes job failed"
    And its Pod waited with "InvalidImageName", and its Job, slot and credentials are gone

  @RL-11 @crash-story @set-d @p0 @S2-3 @S3-16 @R-20 @R-78 @needs-pods
  Scenario: Two model labels end the run before anything is made
    Given a bound repository with an open Issue
    And the member has set "[ai-model-gpt-5.4]" on the Issue
    And the member has set "[ai-model-gpt-5.2-codex]" on the Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as failed because "failed_precondition"
    And the event "run.failed.precondition" names "[ai-model-gpt-5.2-codex]" and "[ai-model-gpt-5.4]"
    And no namespace was made for the run, while a run without conflict gets one

  @RL-14 @set-d @p1 @S3-16 @R-22 @R-23 @needs-pods
  Scenario: A wait longer than a run's whole time takes none of it
    Given a platform of its own
    And a run that waits for the approval of a deterministic secret
    When 10 hours pass
    Then its agent lives, and its timer shows the time that it had
    When the owner approves what was asked for
    Then the same run goes on, and its agent reads "applied none"

  @RL-15 @set-d @p1 @S3-16 @R-23 @needs-pods
  Scenario: An approval lets the very run go on that asked
    Given a run that waits for the approval of a deterministic secret
    When the owner approves what was asked for
    Then the same run goes on, and its agent reads "applied none"
    And the run went on in the mode "live"

  @RL-16 @set-d @p1 @S3-16 @R-24 @R-86 @needs-pods
  Scenario: An agent that ends while its question is open leaves the run waiting
    Given a bound repository whose agent asks its owner and ends, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run waits for its owner without a Pod
    And its agent ended with exit code 0 after one turn, and its slot is free

  @RL-17 @crash-story @set-d @p1 @S3-16 @R-25 @needs-pods
  Scenario: A failed run stays failed until somebody asks again
    Given a bound repository whose agent fails, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as failed because "kubernetes job failed"
    And a label set on another open Issue still starts a run
    And the run had exactly one Job
    When the member sets "run:dev" on the Issue again
    Then the delivery is answered as accepted with a run
    And the Issue has exactly two runs

  @RL-18 @crash-story @set-d @p0 @S2-10 @S3-16 @R-28 @needs-pods
  Scenario: Staff cancels a run that works
    Given a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When staff cancels the run without abandoning it
    Then the run ends as canceled once, and its Job, slot and credentials are gone

  @RL-20 @set-d @p1 @S3-16 @R-30 @needs-pods
  Scenario: A GitHub that takes no comments does not fail a run
    Given a bound repository with an open Issue
    And GitHub refuses comments for the repository
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the platform logged a warning about the status comment

  @RL-23 @set-d @p1 @S3-16 @R-29 @R-16 @needs-pods
  Scenario: A terminal run cannot be changed
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When the owner cancels the finished run
    Then the answer says that the run was already over
    And the database refuses to change the status of the run
    And a label set on another open Issue still starts a run
    And the run is still succeeded with one terminal event

  @RL-03 @set-d @p1 @S3-16 @R-2 @needs-pods
  Scenario: A stage that fails ends the pass, and the next begins at the top
    Given a platform of its own
    And a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    And another open Issue without a label
    When the Kubernetes API does not answer
    And 11 minutes pass
    And the member sets "run:dev" on the Issue
    Then the delivery is answered as accepted with a run
    And each pass of the worker fails before the run is reached
    When the Kubernetes API answers again
    Then the run ends as succeeded
    And the Job of the run before was deleted before that of the run was made

  @RL-06 @set-d @p1 @S3-16 @R-7 @needs-pods
  Scenario: Two writers of one branch work one after the other
    Given a bound repository that is developed in the pull request of the first Issue, and whose agent waits when it revises
    And a finished "run:dev" run with its pull request
    And another open Issue without a label
    And a finished "run:dev" run with the same pull request
    And a running "run:dev:revise" run
    When the member sets "run:dev:revise" on the first Issue
    Then the delivery is answered as accepted with a run
    And the run waits because "branch_busy", without a Job
    When the agent may go on
    Then the run ends as succeeded

  @RL-10 @set-d @p1 @S3-16 @R-19 @needs-pods
  Scenario: A Job that stays missing ends its run
    Given a platform of its own
    And a bound repository whose agent waits, with an open Issue
    And a running "run:intake" run
    When somebody deletes the Job of the run
    And 31 minutes pass
    Then the run ends as failed because "kubernetes job not found"
    And the event "run.failed.job_not_found" is written once

  @RL-12 @set-d @p1 @S3-16 @R-20 @needs-pods
  Scenario: A namespace that the cluster refuses ends the run
    Given a platform of its own
    And a bound repository with an open Issue
    And a cluster that refuses the platform new namespaces
    When the member sets "run:dev" on the Issue
    Then the run ends as failed because "namespace_prepare_failed"
    And the event of the end names the refusal, and the run had no Job
    When the cluster permits the platform new namespaces
    And the member sets "run:dev" on the Issue again
    Then the run ends as succeeded

  @RL-13 @set-d @p1 @S3-16 @R-21 @needs-pods
  Scenario: A run that has used up its time
    Given a platform of its own
    And a bound repository whose agent waits, with an open Issue
    And a running "run:dev" run
    When 299 minutes pass
    Then the run still holds its slot
    When 2 minutes pass
    Then the run ends as failed because "run_timeout"
    And the event "run.failed.timeout" is written once
    And the Job, the slot and the credentials of the run are gone

  @RL-19 @set-d @p1 @S3-16 @R-28 @R-29 @needs-pods
  Scenario: A succeeded run cannot be cancelled, least of all by a reader
    Given a bound repository with an open Issue
    And a finished "run:dev" run with its pull request
    When a reader cancels the finished run
    Then the answer says that the reader may not
    When the owner cancels the finished run
    Then the answer says that the run was already over
    And a label set on another open Issue still starts a run
    And the run is still succeeded with one terminal event

  @RL-22 @set-d @p1 @S3-9 @S3-16 @R-26 @needs-pods
  Scenario: An environment that never becomes ready ends its run
    Given a platform of its own
    And a bound repository with a stack that never becomes ready, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run waits for its environment, without a Job
    When 15 minutes pass
    Then the run waits for its environment, without a Job
    When 16 minutes pass
    Then the run ends as failed because "runtime_deploy_failed"
    And the end of the run and its status comment name "ready after"
    And the run had no Job, and neither deploy task nor slot is left of it

  @RL-22 @set-d @p1 @S3-9 @S3-16 @R-26 @needs-pods
  Scenario: The whole preparation has its time, however it is spent
    Given a platform that prepares an environment for at most 10 minutes
    And a bound repository with a stack that never becomes ready, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run waits for its environment, without a Job
    When 11 minutes pass
    Then the run ends as failed because "runtime_deploy_failed"
    And the end of the run and its status comment name "the environment was not ready after 10 minutes"
    And the run had no Job, and neither deploy task nor slot is left of it

  @RL-21 @set-d @p1 @S3-9 @S3-16 @R-27 @R-107 @needs-pods
  Scenario: A deployment that is cancelled leaves its environment alone
    Given a bound repository with a stack that never becomes ready, with an open Issue
    And the repository has a live environment
    When the maintainer pushes a note to the default branch
    Then a run without agent waits for the live environment to become ready
    When the maintainer pushes a stack that becomes ready to the default branch
    Then the run before is canceled because "runtime_deploy_canceled", and the new one succeeds
    And the live environment was not taken away, and no Job was made in it

  @RL-24 @set-d @p1 @S3-16 @R-87 @needs-pods
  Scenario: An agent that prints without end does not fill the platform
    Given a bound repository whose agent prints 100 MB, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And one pull request linked to the Issue exists, opened by the bot
    And of what the agent printed 256 KiB are kept, and it says that the rest was cut

  @RL-25 @set-d @p1 @S3-16 @R-18 @R-69 @needs-pods
  Scenario: What an agent leaves running ends with its container
    Given a bound repository whose agent leaves a process behind, with an open Issue
    When the member sets "run:dev" on the Issue
    And the process runs
    And the agent may go on
    Then the run ends as succeeded
    And the process is gone

  @RL-26 @set-d @p1 @S3-16 @R-18 @R-82 @L-104 @needs-pods
  Scenario Outline: Work that cannot be published says why
    Given a bound repository <whose>, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as failed because "kubernetes job failed"
    And the end of the run and its status comment name "<why>"
    And the branch of the Issue was never pushed

    Examples:
      | whose                      | why                        |
      | whose agent deletes ".git" | deleted the git repository |
      | that the bot may only read | failed to push the branch  |

  @RL-27 @set-d @p1 @S3-16 @R-28 @R-88 @needs-pods
  Scenario: An agent that ignores the order to end goes all the same
    Given a bound repository whose agent ignores the order to end, with an open Issue
    When the member sets "run:dev" on the Issue
    And the process runs
    And staff cancels the run
    Then the run ends as canceled because "canceled_by_staff"
    And the Job, the slot and the credentials of the run are gone
    And the process is gone

  @RL-28 @set-d @p1 @S3-16 @R-82 @needs-pods
  Scenario: Binary files arrive as the agent wrote them
    Given a bound repository whose agent writes every byte there is into a file, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the run ends as succeeded
    And the file on the branch of the Issue has every byte there is, in order

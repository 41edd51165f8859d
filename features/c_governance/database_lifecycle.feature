Feature: Databases of projects
  An agent names a database of its project, somebody agrees, and only the platform makes or removes it.

  @DL-01 @set-c @p0 @S2-6 @S3-7 @G-50 @G-69 @needs-pods
  Scenario: A database is made when somebody agrees
    Given a run that may ask for a database
    When the agent asks to create the database
    Then the tool answers with "approval_required"
    And the server has the database 0 times, registered as ""
    When the owner approves what was asked for
    Then the request comes to be "applied", by "requested system, approved human, applied system"
    And the server has the database 1 times, registered as "ready in dev, ours"
    And of the database is told "created false"
    And the same run goes on, and its agent reads "applied none"
    And "need:km" is the only label that the agent has changed

  @DL-02 @set-c @p0 @S2-6 @S3-7 @G-50 @G-55 @G-67 @needs-pods
  Scenario: What is there is told of without asking
    Given a run whose project has a database
    When the agent asks to create the database
    Then the tool tells of the database "already_exists, applied: false, exists: true, ours: true"
    When the agent asks to describe the database
    Then the tool tells of the database "described, applied: false, exists: true, ours: true"
    And the run goes on, having asked 1 times
    And of the database is told "created false, described"
    And "need:km" is the only label that the agent has changed

  @DL-03 @set-c @p0 @S2-6 @S3-7 @G-53 @needs-pods
  Scenario: A deletion must be meant
    Given a run whose project has a database
    When the agent asks to delete the database
    Then the tool answers with "invalid_argument delete_confirmation_required"
    And the run goes on, having asked 1 times
    And the server has the database 1 times, registered as "ready in dev, ours"
    And "need:km" is the only label that the agent has changed

  @DL-04 @set-c @p0 @S2-6 @S3-7 @G-54 @G-69 @needs-pods
  Scenario: A database goes when the owner agrees
    Given a run that waits for the approval of a deletion
    When the owner approves what was asked for
    Then the request comes to be "applied", by "requested system, approved human, applied system"
    And the server has the database 0 times, registered as ""
    And of the database is told "created false, deleted true"
    And "need:km" is the only label that the agent has changed

  @DL-04 @set-c @p0 @S2-6 @S3-7 @G-54 @needs-pods
  Scenario: A database that is gone already is unregistered
    Given a run that waits for the approval of a deletion
    And somebody has removed the database by hand
    When the owner approves what was asked for
    Then the request comes to be "applied", by "requested system, approved human, applied system"
    And the server has the database 0 times, registered as ""
    And of the database is told "created false, deleted false"
    And "need:km" is the only label that the agent has changed

  @DL-05 @set-c @p1 @S3-7 @G-51 @needs-pods
  Scenario Outline: The name of another project is nobody's business
    Given a run that may ask for a database
    And another project has registered the name
    When the agent asks to <action> the database in "dev"
    Then the tool answers with "forbidden foreign_database"
    And the run goes on, having asked 0 times
    And the server has the database 0 times, registered as "ready in dev, another's"
    And "need:km" is the only label that the agent has changed

    Examples:
      | action   |
      | create   |
      | describe |
      | delete   |

  @DL-05 @set-c @p1 @S3-7 @G-51 @needs-pods
  Scenario: A database is in one environment
    Given a run whose project has a database
    When the agent asks to delete the database in "prod"
    Then the tool answers with "failed_precondition environment_mismatch"
    And the run goes on, having asked 1 times
    And the server has the database 1 times, registered as "ready in dev, ours"
    And "need:km" is the only label that the agent has changed

  @DL-06 @set-c @p1 @S3-7 @G-52 @needs-pods
  Scenario: A database that nobody has registered is nobody's
    Given a run that may ask for a database
    And a database of the name that nobody has registered
    When the agent asks to create the database
    Then the tool answers with "conflict unregistered_database_exists"
    And the run goes on, having asked 0 times
    And the server has the database 1 times, registered as ""
    And "need:km" is the only label that the agent has changed

  @DL-07 @set-c @p0 @S2-6 @S3-7 @G-49 @needs-pods
  Scenario Outline: Some names are no project's
    Given a run that may ask for a database
    When the agent asks to create a database named "<name>"
    Then the tool answers with "<answer>"
    And the run goes on, having asked 0 times
    And "need:km" is the only label that the agent has changed

    Examples:
      | name                               | answer                       |
      | Postgres                           | forbidden protected_database |
      | as the platform's own, in capitals | forbidden protected_database |
      | 1shop; DROP DATABASE postgres      | invalid_argument             |

  @DL-07 @set-c @p0 @S2-6 @S3-7 @G-49 @needs-pods
  Scenario: Some environments are not governed
    Given a run that may ask for a database
    When the agent asks to create the database in "sandbox"
    Then the tool answers with "failed_precondition environment_not_allowed"
    And the run goes on, having asked 0 times
    And "need:km" is the only label that the agent has changed

  @DL-08 @set-c @p1 @S3-7 @G-55 @needs-pods
  Scenario Outline: What is not registered is not there
    Given a run that may ask for a database
    When the agent asks to <action> the database in "dev"
    Then the tool answers with "not_found database_not_registered"
    And the run goes on, having asked 0 times
    And "need:km" is the only label that the agent has changed

    Examples:
      | action   |
      | describe |
      | delete   |

  @DL-09 @set-c @p1 @S3-7 @G-56 @G-86 @needs-pods
  Scenario: A name that another project has taken meanwhile is lost
    Given a run that waits for the approval of a database
    When another project registers the name
    And the owner approves what was asked for
    Then the request comes to be "failed", by "requested system, approved human, failed system facts_changed"
    And the server has the database 0 times, registered as "ready in dev, another's"
    And of the database is told "failed facts_changed"
    And "need:km" is the only label that the agent has changed

  @DL-10 @set-c @p1 @S3-7 @G-85 @needs-pods
  Scenario: A database is made once though its maker dies
    Given a platform of its own
    And a run that waits for the approval of a database
    And the platform cannot tell that a database is ready
    When the owner approves what was asked for
    And the database is there
    And the control planes are killed and start again
    And the platform can tell it again
    And 2 minutes pass
    Then the request comes to be "applied", by "requested system, approved human, applied system"
    And the server has the database 1 times, registered as "ready in dev, ours"
    And of the database is told "created false"
    And "need:km" is the only label that the agent has changed

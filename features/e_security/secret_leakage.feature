Feature: Where secrets are not
  A credential is where it is used, and nowhere else.

  @SK-02 @set-e @p0 @S3-10 @G-123 @G-124 @needs-pods
  Scenario: What an agent prints of its credentials is masked
    Given a bound repository whose agent prints its credentials, with an open Issue
    When the member sets "run:dev" on the Issue
    Then the agent prints its credentials, and nobody reads more than that something was masked

  @SK-04 @set-e @p0 @S3-10 @G-12 @G-119 @G-124 @needs-pods
  Scenario: The credentials of a run are in its own Secret only
    Given a bound repository whose agent waits, with an open Issue
    When the member sets "run:dev" on the Issue
    Then nothing in the namespace but its own Secret holds a credential of the run, in any form

  @SK-05 @set-e @p0 @S3-10 @G-118 @G-122 @needs-pods
  Scenario: A stored token is of no use elsewhere, and a new key leaves nothing to the old one
    Given a platform of its own
    And a bound repository with an open Issue
    When the stored token of the repository is put in the row of another, and another control plane starts
    And the member sets "run:intake" on the Issue
    Then it ends at once and says "failed to open a stored ciphertext", while the platform's own takes a label as before
    When the key of what is stored is changed, and everything is sealed anew
    Then every stored value is under the new key, and no token can be read in the database
    When the member opens another Issue and sets "run:intake" on it
    Then the run ends as succeeded

  @SK-07 @set-e @p0 @S3-10 @G-121 @G-124 @needs-pods
  Scenario: What a chat may call back with is stored as hashes
    Given a running run with a chat
    When the agent asks the person to decide
    Then the chat shows "Which colour?" to the author of the Issue, with 2 buttons
    And what the chat was given to call back with is in the database as hashes only
    When the person presses "Blue"
    Then the chat hears "200 applied"
    And what the chat was given to call back with is in the database as hashes only

  @SK-06 @set-e @p0 @S3-10 @G-120 @needs-pods
  Scenario: A value ends with the request that it was for
    Given a platform of its own
    And a run that waits for the approval of a random secret
    And GitHub fails to take the secret
    When the owner approves what was asked for
    Then the value is kept for the request, encrypted, while it is under way
    When GitHub is itself again
    And 2 minutes pass
    Then the request comes to be "applied", by "requested system, approved human, applied system"
    And no request of the run keeps a value
    When the agent asks for a random secret with another key
    And the owner declines
    Then the request comes to be "denied", by "requested system, denied human"
    And no request of the run keeps a value
    When the agent asks for a secret without a key
    And 25 hours pass
    Then the request comes to be "expired", by "requested system, expired system ttl"
    And no request of the run keeps a value

-- min-binary-version: 20261121000001
CREATE TABLE interaction_requests (
    id                       uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id               uuid NOT NULL REFERENCES projects ON DELETE RESTRICT,
    run_id                   uuid NOT NULL REFERENCES agent_runs ON DELETE RESTRICT,
    interaction_kind         text NOT NULL CHECK (interaction_kind IN ('notify', 'decision_request', 'approval_request', 'owner_feedback')),
    approval_request_id      bigint REFERENCES mcp_action_requests ON DELETE RESTRICT,
    state                    text NOT NULL DEFAULT 'pending_dispatch' CHECK (state IN
        ('pending_dispatch', 'open', 'resolved', 'expired', 'delivery_exhausted', 'cancelled')),
    resolution_kind          text NOT NULL DEFAULT 'none' CHECK (resolution_kind IN
        ('none', 'delivery_only', 'option_selected', 'free_text_submitted')),
    recipient_provider       text NOT NULL,
    recipient_ref            text NOT NULL,
    request_payload_json     jsonb NOT NULL DEFAULT '{}',
    context_links_json       jsonb NOT NULL DEFAULT '{}',
    response_deadline_at     timestamptz,
    effective_response_id    bigint,
    last_delivery_attempt_no integer NOT NULL DEFAULT 0,
    created_at               timestamptz NOT NULL DEFAULT platform_now(),
    updated_at               timestamptz NOT NULL DEFAULT platform_now()
);
CREATE UNIQUE INDEX interaction_requests_one_decision ON interaction_requests (run_id)
    WHERE interaction_kind = 'decision_request' AND state IN ('pending_dispatch', 'open');
CREATE INDEX interaction_requests_deadline ON interaction_requests (state, response_deadline_at);
CREATE INDEX interaction_requests_run ON interaction_requests (run_id, state);
SELECT keep_updated_at('interaction_requests');

CREATE TABLE interaction_delivery_attempts (
    id              bigserial PRIMARY KEY,
    interaction_id  uuid NOT NULL REFERENCES interaction_requests ON DELETE RESTRICT,
    attempt_no      integer NOT NULL,
    delivery_id     uuid NOT NULL UNIQUE,
    adapter_kind    text NOT NULL,
    status          text NOT NULL CHECK (status IN ('pending', 'accepted', 'delivered', 'failed', 'exhausted')),
    next_retry_at   timestamptz,
    last_error_code text,
    created_at      timestamptz NOT NULL DEFAULT platform_now(),
    updated_at      timestamptz NOT NULL DEFAULT platform_now(),
    UNIQUE (interaction_id, attempt_no)
);
CREATE INDEX interaction_delivery_attempts_due ON interaction_delivery_attempts (status, next_retry_at);
SELECT keep_updated_at('interaction_delivery_attempts');

CREATE TABLE interaction_callback_events (
    id               bigserial PRIMARY KEY,
    interaction_id   uuid NOT NULL REFERENCES interaction_requests ON DELETE RESTRICT,
    adapter_event_id text NOT NULL,
    callback_kind    text NOT NULL,
    classification   text NOT NULL CHECK (classification IN ('applied', 'duplicate', 'stale', 'expired', 'invalid')),
    payload          jsonb NOT NULL DEFAULT '{}',
    created_at       timestamptz NOT NULL DEFAULT platform_now(),
    updated_at       timestamptz NOT NULL DEFAULT platform_now(),
    UNIQUE (interaction_id, adapter_event_id)
);
SELECT keep_updated_at('interaction_callback_events');

CREATE TABLE interaction_response_records (
    id                 bigserial PRIMARY KEY,
    interaction_id     uuid NOT NULL REFERENCES interaction_requests ON DELETE RESTRICT,
    response_kind      text NOT NULL CHECK (response_kind IN ('option', 'free_text')),
    selected_option_id text,
    free_text          text,
    is_effective       boolean NOT NULL DEFAULT false,
    created_at         timestamptz NOT NULL DEFAULT platform_now(),
    updated_at         timestamptz NOT NULL DEFAULT platform_now()
);
CREATE UNIQUE INDEX interaction_response_records_effective ON interaction_response_records (interaction_id) WHERE is_effective;
SELECT keep_updated_at('interaction_response_records');
ALTER TABLE interaction_requests ADD FOREIGN KEY (effective_response_id) REFERENCES interaction_response_records ON DELETE SET NULL;

CREATE TABLE callback_adapters (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name       text NOT NULL,
    token_hash bytea NOT NULL UNIQUE,
    is_active  boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT platform_now(),
    updated_at timestamptz NOT NULL DEFAULT platform_now()
);
SELECT keep_updated_at('callback_adapters');

CREATE TABLE callback_adapter_identities (
    adapter_id uuid NOT NULL REFERENCES callback_adapters ON DELETE CASCADE,
    actor_ref  text NOT NULL,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT platform_now(),
    updated_at timestamptz NOT NULL DEFAULT platform_now(),
    PRIMARY KEY (adapter_id, actor_ref)
);
SELECT keep_updated_at('callback_adapter_identities');

CREATE TABLE callback_adapter_events (
    adapter_id       uuid NOT NULL REFERENCES callback_adapters ON DELETE CASCADE,
    adapter_event_id text NOT NULL,
    response         jsonb NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT platform_now(),
    updated_at       timestamptz NOT NULL DEFAULT platform_now(),
    PRIMARY KEY (adapter_id, adapter_event_id)
);
SELECT keep_updated_at('callback_adapter_events');

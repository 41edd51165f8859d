-- min-binary-version: 20261121000001
CREATE TABLE webhook_deliveries (
    delivery_id          text PRIMARY KEY,
    event_type           text NOT NULL,
    action               text,
    repository_full_name text,
    sender_login         text,
    body_sha256          bytea NOT NULL,
    raw_body             bytea,
    status               text NOT NULL DEFAULT 'processing' CHECK (status IN ('processing', 'accepted', 'ignored', 'failed')),
    reason               text,
    run_id               uuid,
    attempts             integer NOT NULL DEFAULT 0,
    next_attempt_at      timestamptz NOT NULL DEFAULT platform_now(),
    lease_owner          text,
    lease_until          timestamptz,
    processed_at         timestamptz,
    created_at           timestamptz NOT NULL DEFAULT platform_now(),
    updated_at           timestamptz NOT NULL DEFAULT platform_now(),
    CONSTRAINT webhook_deliveries_processed_at CHECK ((status = 'processing') = (processed_at IS NULL))
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (status, next_attempt_at);
CREATE INDEX webhook_deliveries_repository ON webhook_deliveries (repository_full_name, created_at DESC);
SELECT keep_updated_at('webhook_deliveries');

CREATE TABLE outbox_effects (
    id              bigserial PRIMARY KEY,
    idempotency_key text NOT NULL UNIQUE,
    kind            text NOT NULL,
    after_id        bigint REFERENCES outbox_effects ON DELETE SET NULL,
    delivery_id     text,
    run_id          uuid,
    project_id      uuid,
    payload         jsonb NOT NULL,
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'given_up')),
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT platform_now(),
    lease_owner     text,
    lease_until     timestamptz,
    fence           bigint NOT NULL DEFAULT 0,
    last_error      text,
    done_at         timestamptz,
    -- The delivery by which GitHub reported this very label change (L-19): it is matched once.
    reported_by_delivery_id text,
    created_at      timestamptz NOT NULL DEFAULT platform_now(),
    updated_at      timestamptz NOT NULL DEFAULT platform_now(),
    CONSTRAINT outbox_effects_done_at CHECK ((state = 'done') = (done_at IS NOT NULL))
);
CREATE INDEX outbox_effects_due ON outbox_effects (state, next_attempt_at);
CREATE INDEX outbox_effects_run ON outbox_effects (run_id, id);
CREATE INDEX outbox_effects_label_changes ON outbox_effects (((payload ->> 'label')), created_at DESC)
    WHERE kind IN ('add_label', 'remove_label') AND reported_by_delivery_id IS NULL;
CREATE INDEX outbox_effects_after ON outbox_effects (after_id) WHERE after_id IS NOT NULL;
SELECT keep_updated_at('outbox_effects');

-- A newer fence is never overwritten by an older owner, whatever the query says.
CREATE FUNCTION outbox_effects_fence_rises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.fence < OLD.fence THEN
        RAISE EXCEPTION 'the fence of effect % may only rise', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER outbox_effects_fence_rises BEFORE UPDATE OF fence ON outbox_effects
    FOR EACH ROW EXECUTE FUNCTION outbox_effects_fence_rises();

CREATE TABLE links (
    id          bigserial PRIMARY KEY,
    source_type text NOT NULL CHECK (source_type IN ('issue', 'pr', 'run', 'doc', 'adr', 'approval_request')),
    source_id   text NOT NULL,
    target_type text NOT NULL CHECK (target_type IN ('issue', 'pr', 'run', 'doc', 'adr', 'approval_request')),
    target_id   text NOT NULL,
    link_type   text NOT NULL CHECK (link_type IN ('references', 'implements', 'supersedes', 'produced', 'decides')),
    metadata    jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT platform_now(),
    updated_at  timestamptz NOT NULL DEFAULT platform_now(),
    UNIQUE (source_type, source_id, target_type, target_id, link_type)
);
CREATE INDEX links_source ON links (source_type, source_id, created_at);
CREATE INDEX links_target ON links (target_type, target_id, created_at);
SELECT keep_updated_at('links');

CREATE TABLE runtime_errors (
    id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source         text NOT NULL,
    level          text NOT NULL CHECK (level IN ('error', 'warning', 'critical')),
    message        text NOT NULL CHECK (length(message) <= 4000),
    details_json   jsonb NOT NULL DEFAULT '{}',
    stack_trace    text CHECK (length(stack_trace) <= 16000),
    correlation_id text,
    run_id         uuid REFERENCES agent_runs ON DELETE SET NULL,
    project_id     uuid REFERENCES projects ON DELETE SET NULL,
    namespace      text,
    job_name       text,
    fingerprint    text NOT NULL,
    occurrences    integer NOT NULL DEFAULT 1,
    last_seen_at   timestamptz NOT NULL DEFAULT platform_now(),
    viewed_at      timestamptz,
    viewed_by      uuid REFERENCES users ON DELETE SET NULL,
    created_at     timestamptz NOT NULL DEFAULT platform_now(),
    updated_at     timestamptz NOT NULL DEFAULT platform_now()
);
CREATE UNIQUE INDEX runtime_errors_open_fingerprint ON runtime_errors (fingerprint) WHERE viewed_at IS NULL;
CREATE INDEX runtime_errors_unviewed ON runtime_errors (created_at DESC) WHERE viewed_at IS NULL;
CREATE INDEX runtime_errors_project ON runtime_errors (project_id, created_at DESC);
CREATE INDEX runtime_errors_run ON runtime_errors (run_id, created_at DESC);
SELECT keep_updated_at('runtime_errors');

CREATE TABLE label_grants (
    id                   bigserial PRIMARY KEY,
    repository_full_name text NOT NULL,
    thread_number        integer NOT NULL,
    label                text NOT NULL,
    user_id              uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    request_id           bigint REFERENCES mcp_action_requests ON DELETE RESTRICT,
    expires_at           timestamptz NOT NULL,
    consumed_delivery_id text,
    created_at           timestamptz NOT NULL DEFAULT platform_now(),
    updated_at           timestamptz NOT NULL DEFAULT platform_now()
);
CREATE UNIQUE INDEX label_grants_open ON label_grants (repository_full_name, thread_number, label)
    WHERE consumed_delivery_id IS NULL;
SELECT keep_updated_at('label_grants');

CREATE TABLE http_idempotency (
    principal   text NOT NULL,
    key         text NOT NULL,
    body_sha256 bytea NOT NULL,
    response    jsonb NOT NULL,
    expires_at  timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT platform_now(),
    updated_at  timestamptz NOT NULL DEFAULT platform_now(),
    PRIMARY KEY (principal, key)
);
CREATE INDEX http_idempotency_expiry ON http_idempotency (expires_at);
SELECT keep_updated_at('http_idempotency');

CREATE TABLE thread_states (
    repository_id     uuid NOT NULL REFERENCES repositories ON DELETE RESTRICT,
    thread_kind       text NOT NULL CHECK (thread_kind IN ('issue', 'pr')),
    thread_number     integer NOT NULL,
    launch_profile    text CHECK (launch_profile IN ('quick-fix', 'feature', 'new-service')),
    risk_signals      text[] NOT NULL DEFAULT '{}',
    need_input_reason text,
    need_input_set_at timestamptz,
    role_label_set_at jsonb NOT NULL DEFAULT '{}',
    created_at        timestamptz NOT NULL DEFAULT platform_now(),
    updated_at        timestamptz NOT NULL DEFAULT platform_now(),
    PRIMARY KEY (repository_id, thread_kind, thread_number)
);
SELECT keep_updated_at('thread_states');

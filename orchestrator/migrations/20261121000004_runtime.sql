-- min-binary-version: 20261121000001
CREATE TABLE worker_instances (
    worker_id    text PRIMARY KEY,
    namespace    text NOT NULL DEFAULT '',
    pod_name     text NOT NULL DEFAULT '',
    status       text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'stopped')),
    started_at   timestamptz NOT NULL DEFAULT platform_now(),
    heartbeat_at timestamptz NOT NULL DEFAULT platform_now(),
    expires_at   timestamptz NOT NULL,
    -- The last clock move this worker stretched its heartbeat for (platform_clock.epoch).
    clock_epoch  bigint NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT platform_now(),
    updated_at   timestamptz NOT NULL DEFAULT platform_now()
);
CREATE INDEX worker_instances_expiry ON worker_instances (status, expires_at);
SELECT keep_updated_at('worker_instances');

CREATE TABLE slots (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id  uuid NOT NULL REFERENCES projects ON DELETE RESTRICT,
    slot_no     integer NOT NULL CHECK (slot_no >= 1),
    state       text NOT NULL DEFAULT 'free' CHECK (state IN ('free', 'leased', 'releasing')),
    lease_owner text,
    lease_until timestamptz,
    created_at  timestamptz NOT NULL DEFAULT platform_now(),
    updated_at  timestamptz NOT NULL DEFAULT platform_now(),
    UNIQUE (project_id, slot_no),
    CONSTRAINT slots_free_has_no_owner CHECK (state <> 'free' OR lease_owner IS NULL)
);
CREATE UNIQUE INDEX slots_lease_owner ON slots (lease_owner) WHERE lease_owner IS NOT NULL;
CREATE INDEX slots_project_state ON slots (project_id, state);
CREATE INDEX slots_state_lease ON slots (state, lease_until);
SELECT keep_updated_at('slots');

CREATE TABLE namespace_leases (
    namespace            text PRIMARY KEY,
    run_id               uuid NOT NULL REFERENCES agent_runs ON DELETE RESTRICT,
    project_id           uuid NOT NULL REFERENCES projects ON DELETE RESTRICT,
    repository_full_name text NOT NULL,
    issue_number         integer,
    agent_key            text NOT NULL,
    runtime_mode         text NOT NULL CHECK (runtime_mode IN ('full-env', 'code-only')),
    ttl                  interval NOT NULL CHECK (ttl > interval '0'),
    expires_at           timestamptz NOT NULL,
    debug_hold           boolean NOT NULL DEFAULT false,
    state                text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'cleaning', 'cleaned', 'failed')),
    last_cleanup_reason  text,
    cleaned_at           timestamptz,
    created_at           timestamptz NOT NULL DEFAULT platform_now(),
    updated_at           timestamptz NOT NULL DEFAULT platform_now()
);
CREATE INDEX namespace_leases_reuse ON namespace_leases (project_id, repository_full_name, issue_number, agent_key)
    WHERE state = 'active';
CREATE INDEX namespace_leases_expiry ON namespace_leases (state, expires_at);
SELECT keep_updated_at('namespace_leases');

CREATE TABLE runtime_deploy_tasks (
    run_id                 uuid PRIMARY KEY REFERENCES agent_runs ON DELETE RESTRICT,
    runtime_mode           text NOT NULL DEFAULT '',
    namespace              text NOT NULL DEFAULT '',
    target_env             text NOT NULL DEFAULT '',
    repository_full_name   text NOT NULL DEFAULT '',
    services_yaml_path     text NOT NULL DEFAULT '',
    build_ref              text NOT NULL DEFAULT '',
    build_ref_sha          text NOT NULL DEFAULT '',
    slot_no                integer NOT NULL DEFAULT 0,
    deploy_only            boolean NOT NULL DEFAULT false,
    status                 text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'succeeded', 'failed', 'canceled')),
    lease_owner            text,
    lease_until            timestamptz,
    attempts               integer NOT NULL DEFAULT 0,
    last_error             text CHECK (length(last_error) <= 4000),
    result_namespace       text,
    result_target_env      text,
    cancel_requested_at    timestamptz,
    cancel_requested_by    text,
    cancel_reason          text,
    stop_requested_at      timestamptz,
    stop_requested_by      text,
    stop_reason            text,
    terminal_status_source text CHECK (terminal_status_source IN ('worker', 'operator', 'system')),
    terminal_event_seq     bigint NOT NULL DEFAULT 0,
    logs_json              jsonb NOT NULL DEFAULT '[]',
    started_at             timestamptz,
    finished_at            timestamptz,
    created_at             timestamptz NOT NULL DEFAULT platform_now(),
    updated_at             timestamptz NOT NULL DEFAULT platform_now()
);
CREATE UNIQUE INDEX runtime_deploy_tasks_one_running ON runtime_deploy_tasks (target_env, namespace)
    WHERE status = 'running' AND namespace <> '';
CREATE INDEX runtime_deploy_tasks_claim ON runtime_deploy_tasks (status, lease_until, updated_at);
CREATE INDEX runtime_deploy_tasks_recent ON runtime_deploy_tasks (status, updated_at DESC);
SELECT keep_updated_at('runtime_deploy_tasks');

CREATE TABLE run_log_chunks (
    id         bigserial PRIMARY KEY,
    run_id     uuid NOT NULL REFERENCES agent_runs ON DELETE RESTRICT,
    stream     text NOT NULL CHECK (stream IN ('agent', 'git', 'runner', 'system')),
    seq        bigint NOT NULL,
    line_count integer NOT NULL,
    text       text NOT NULL CHECK (octet_length(text) <= 32768),
    created_at timestamptz NOT NULL DEFAULT platform_now(),
    UNIQUE (run_id, stream, seq)
);
CREATE INDEX run_log_chunks_run ON run_log_chunks (run_id, id);

CREATE TABLE token_usage (
    id                bigserial PRIMARY KEY,
    run_id            uuid NOT NULL REFERENCES agent_runs ON DELETE RESTRICT,
    session_id        text NOT NULL,
    turn_no           integer NOT NULL,
    model             text NOT NULL,
    prompt_tokens     integer NOT NULL DEFAULT 0,
    completion_tokens integer NOT NULL DEFAULT 0,
    total_tokens      integer NOT NULL DEFAULT 0,
    cost_usd          numeric(18, 6),
    created_at        timestamptz NOT NULL DEFAULT platform_now(),
    UNIQUE (session_id, turn_no)
);
CREATE INDEX token_usage_run ON token_usage (run_id);
CREATE INDEX token_usage_model ON token_usage (model, created_at);

CREATE TABLE run_mcp_tokens (
    run_id     uuid NOT NULL REFERENCES agent_runs ON DELETE RESTRICT,
    generation integer NOT NULL,
    token_id   uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT platform_now(),
    updated_at timestamptz NOT NULL DEFAULT platform_now(),
    PRIMARY KEY (run_id, generation)
);
SELECT keep_updated_at('run_mcp_tokens');

CREATE TABLE mcp_idempotency (
    scope_run_id      uuid NOT NULL REFERENCES agent_runs ON DELETE RESTRICT,
    tool_name         text NOT NULL,
    idempotency_key   text NOT NULL,
    input_fingerprint bytea NOT NULL,
    result            jsonb,
    request_id        bigint,
    created_at        timestamptz NOT NULL DEFAULT platform_now(),
    updated_at        timestamptz NOT NULL DEFAULT platform_now(),
    PRIMARY KEY (scope_run_id, tool_name, idempotency_key)
);
SELECT keep_updated_at('mcp_idempotency');

CREATE TABLE github_rate_limit_waits (
    id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id        uuid NOT NULL REFERENCES projects ON DELETE RESTRICT,
    run_id            uuid NOT NULL REFERENCES agent_runs ON DELETE RESTRICT,
    contour_kind      text NOT NULL CHECK (contour_kind IN ('platform_pat', 'agent_bot_token')),
    limit_kind        text NOT NULL CHECK (limit_kind IN ('primary', 'secondary')),
    operation_class   text NOT NULL,
    state             text NOT NULL CHECK (state IN
        ('open', 'auto_resume_scheduled', 'auto_resume_in_progress', 'resolved', 'manual_action_required', 'cancelled')),
    signal_id         text NOT NULL UNIQUE,
    resume_not_before timestamptz,
    attempts_used     integer NOT NULL DEFAULT 0,
    max_attempts      integer NOT NULL DEFAULT 0,
    resolved_at       timestamptz,
    created_at        timestamptz NOT NULL DEFAULT platform_now(),
    updated_at        timestamptz NOT NULL DEFAULT platform_now(),
    CHECK (attempts_used <= max_attempts)
);
CREATE UNIQUE INDEX github_rate_limit_waits_one_open ON github_rate_limit_waits (run_id, contour_kind)
    WHERE state IN ('open', 'auto_resume_scheduled', 'auto_resume_in_progress', 'manual_action_required');
CREATE INDEX github_rate_limit_waits_due ON github_rate_limit_waits (state, resume_not_before);
SELECT keep_updated_at('github_rate_limit_waits');

CREATE TABLE github_rate_limit_wait_evidence (
    id         bigserial PRIMARY KEY,
    wait_id    uuid NOT NULL REFERENCES github_rate_limit_waits ON DELETE CASCADE,
    event_kind text NOT NULL CHECK (event_kind IN
        ('signal_detected', 'classified', 'resume_scheduled', 'resume_attempted', 'resume_failed', 'resolved',
         'manual_action_required', 'comment_mirror_failed')),
    signal_id  text,
    excerpt    text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT platform_now(),
    UNIQUE (wait_id, event_kind, signal_id)
);

-- min-binary-version: 20261121000001
CREATE TABLE agent_runs (
    id                    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    correlation_id        text NOT NULL,
    project_id            uuid REFERENCES projects ON DELETE RESTRICT,
    agent_id              uuid REFERENCES agents ON DELETE RESTRICT,
    resumed_from_run_id   uuid REFERENCES agent_runs ON DELETE SET NULL,
    scope_run_id          uuid NOT NULL,
    status                text NOT NULL DEFAULT 'pending' CHECK (status IN
        ('pending', 'running', 'waiting_mcp', 'waiting_owner_review', 'waiting_backpressure', 'succeeded', 'failed', 'canceled')),
    queue_reason          text CHECK (queue_reason IN ('no_free_slot', 'role_limit', 'branch_busy')),
    finish_reason         text CHECK (finish_reason IN
        ('kubernetes job failed', 'kubernetes job not found', 'namespace_prepare_failed', 'runtime_deploy_failed',
         'mcp_token_issue_failed', 'agent_context_resolve_failed', 'failed_precondition', 'run_timeout',
         'canceled_by_staff', 'canceled_by_state_abandoned', 'discussion_stopped', 'runtime_deploy_canceled',
         'continued_in_resume_run')),
    trigger_source        text NOT NULL CHECK (trigger_source IN
        ('issue_label', 'issue_comment', 'pull_request_label', 'pull_request_review', 'push_main', 'staff', 'resume')),
    trigger_kind          text NOT NULL,
    trigger_label         text NOT NULL DEFAULT '',
    discussion_mode       boolean NOT NULL DEFAULT false,
    repository_full_name  text NOT NULL,
    issue_number          integer,
    pr_number             integer,
    agent_key             text,
    runtime_mode          text CHECK (runtime_mode IN ('full-env', 'code-only')),
    target_env            text,
    namespace             text,
    job_name              text,
    job_namespace         text,
    run_payload           jsonb NOT NULL DEFAULT '{}',
    agent_logs_json       jsonb,
    deploy_only           boolean NOT NULL DEFAULT false,
    status_comment_id     bigint,
    status_comment_phase  text CHECK (status_comment_phase IN
        ('created', 'preparing_runtime', 'started', 'auth_required', 'auth_resolved', 'ready', 'finished', 'namespace_deleted')),
    wait_reason           text CHECK (wait_reason IN ('owner_review', 'approval_pending', 'interaction_response', 'github_rate_limit')),
    wait_target_kind      text CHECK (wait_target_kind IN ('approval_request', 'interaction_request', 'github_rate_limit_wait')),
    wait_target_ref       text,
    wait_deadline_at      timestamptz,
    timeout_at            timestamptz,
    timeout_paused        boolean NOT NULL DEFAULT false,
    timeout_remaining     interval,
    lease_owner           text,
    lease_until           timestamptz,
    stale_reclaim_pending boolean NOT NULL DEFAULT false,
    state_version         bigint NOT NULL DEFAULT 1,
    started_at            timestamptz,
    finished_at           timestamptz,
    created_at            timestamptz NOT NULL DEFAULT platform_now(),
    updated_at            timestamptz NOT NULL DEFAULT platform_now(),
    CONSTRAINT agent_runs_correlation_id_key UNIQUE (correlation_id),
    CONSTRAINT agent_runs_finish_reason_matches_status CHECK ((status IN ('failed', 'canceled')) = (finish_reason IS NOT NULL)),
    CONSTRAINT agent_runs_finished_at_matches_status CHECK ((status IN ('succeeded', 'failed', 'canceled')) = (finished_at IS NOT NULL)),
    CONSTRAINT agent_runs_queue_reason_only_pending CHECK (queue_reason IS NULL OR status = 'pending'),
    CONSTRAINT agent_runs_agent_key_unless_deploy CHECK (deploy_only OR agent_key IS NOT NULL),
    CONSTRAINT agent_runs_wait_fields CHECK (
        wait_reason IS NOT NULL OR (wait_target_kind IS NULL AND wait_target_ref IS NULL AND wait_deadline_at IS NULL)),
    -- D-10: the only pairs of status and reason.
    CONSTRAINT agent_runs_wait_reason_matches_status CHECK (CASE status
        WHEN 'waiting_mcp' THEN coalesce(wait_reason IN ('approval_pending', 'interaction_response'), false)
        WHEN 'waiting_owner_review' THEN coalesce(wait_reason = 'owner_review', false)
        WHEN 'waiting_backpressure' THEN coalesce(wait_reason = 'github_rate_limit', false)
        ELSE wait_reason IS NULL END)
);
CREATE INDEX agent_runs_claim ON agent_runs (status, created_at);
CREATE INDEX agent_runs_lease ON agent_runs (status, lease_owner, lease_until);
CREATE INDEX agent_runs_project ON agent_runs (project_id, created_at DESC);
CREATE INDEX agent_runs_issue ON agent_runs (repository_full_name, issue_number, created_at DESC);
CREATE INDEX agent_runs_pull_request ON agent_runs (repository_full_name, pr_number, created_at DESC);
CREATE INDEX agent_runs_trigger ON agent_runs (trigger_label, status, created_at);
CREATE INDEX agent_runs_wait ON agent_runs (status, wait_reason, wait_deadline_at);
CREATE INDEX agent_runs_kept_logs ON agent_runs (finished_at) WHERE agent_logs_json IS NOT NULL;
SELECT keep_updated_at('agent_runs');

CREATE FUNCTION agent_runs_default_scope() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.scope_run_id := coalesce(NEW.scope_run_id, NEW.id);
    RETURN NEW;
END $$;
CREATE TRIGGER agent_runs_default_scope BEFORE INSERT ON agent_runs
    FOR EACH ROW EXECUTE FUNCTION agent_runs_default_scope();

-- D-17: the moves of runtime 1.1 and no other.
CREATE FUNCTION agent_runs_guard_status() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    allowed boolean := CASE
        WHEN NEW.status = OLD.status THEN true
        WHEN OLD.status = 'pending' THEN NEW.status IN ('running', 'canceled')
        WHEN OLD.status = 'running' THEN NEW.status IN
            ('waiting_mcp', 'waiting_owner_review', 'waiting_backpressure', 'succeeded', 'failed', 'canceled')
        WHEN OLD.status IN ('waiting_mcp', 'waiting_owner_review', 'waiting_backpressure') THEN NEW.status IN
            ('running', 'failed', 'canceled')
        ELSE false END;
BEGIN
    IF NOT allowed THEN
        RAISE EXCEPTION 'run status may not move from % to % (D-17)', OLD.status, NEW.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER agent_runs_guard_status BEFORE UPDATE OF status ON agent_runs
    FOR EACH ROW EXECUTE FUNCTION agent_runs_guard_status();

-- `state_version` rises on every change a reader can see; leases and heartbeats are not such a change.
CREATE FUNCTION agent_runs_bump_state_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.status, NEW.queue_reason, NEW.finish_reason, NEW.pr_number, NEW.runtime_mode, NEW.target_env, NEW.namespace,
        NEW.job_name, NEW.job_namespace, NEW.status_comment_id, NEW.status_comment_phase, NEW.wait_reason,
        NEW.wait_target_kind, NEW.wait_target_ref, NEW.wait_deadline_at, NEW.timeout_paused, NEW.started_at, NEW.finished_at)
       IS DISTINCT FROM
       (OLD.status, OLD.queue_reason, OLD.finish_reason, OLD.pr_number, OLD.runtime_mode, OLD.target_env, OLD.namespace,
        OLD.job_name, OLD.job_namespace, OLD.status_comment_id, OLD.status_comment_phase, OLD.wait_reason,
        OLD.wait_target_kind, OLD.wait_target_ref, OLD.wait_deadline_at, OLD.timeout_paused, OLD.started_at, OLD.finished_at)
    THEN
        NEW.state_version := OLD.state_version + 1;
    ELSE
        NEW.state_version := OLD.state_version;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER agent_runs_bump_state_version BEFORE UPDATE ON agent_runs
    FOR EACH ROW EXECUTE FUNCTION agent_runs_bump_state_version();

CREATE TABLE agent_sessions (
    id                     bigserial PRIMARY KEY,
    run_id                 uuid NOT NULL UNIQUE REFERENCES agent_runs ON DELETE RESTRICT,
    correlation_id         text NOT NULL,
    project_id             uuid,
    repository_full_name   text NOT NULL,
    agent_key              text NOT NULL,
    issue_number           integer,
    branch_name            text,
    pr_number              integer,
    pr_url                 text,
    trigger_kind           text,
    template_kind          text,
    template_source        text,
    template_locale        text,
    template_version       text,
    model                  text,
    reasoning_effort       text,
    status                 text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'succeeded', 'failed', 'canceled', 'failed_precondition')),
    wait_state             text CHECK (wait_state IN ('owner_review', 'mcp', 'backpressure')),
    wait_since             timestamptz,
    timeout_guard_disabled boolean NOT NULL DEFAULT false,
    last_heartbeat_at      timestamptz,
    session_id             text,
    session_json           jsonb NOT NULL DEFAULT '{}',
    agent_session_path     text,
    agent_session_json     jsonb,
    snapshot_version       bigint NOT NULL DEFAULT 1,
    snapshot_checksum      text,
    snapshot_updated_at    timestamptz NOT NULL DEFAULT platform_now(),
    started_at             timestamptz NOT NULL DEFAULT platform_now(),
    finished_at            timestamptz,
    created_at             timestamptz NOT NULL DEFAULT platform_now(),
    updated_at             timestamptz NOT NULL DEFAULT platform_now(),
    CONSTRAINT agent_sessions_wait_since CHECK ((wait_state IS NULL) = (wait_since IS NULL))
);
CREATE INDEX agent_sessions_resume ON agent_sessions
    (repository_full_name, branch_name, agent_key, snapshot_updated_at DESC, snapshot_version DESC);
CREATE INDEX agent_sessions_issue ON agent_sessions (repository_full_name, issue_number, created_at DESC);
CREATE INDEX agent_sessions_wait ON agent_sessions (wait_state, wait_since) WHERE wait_state IS NOT NULL;
SELECT keep_updated_at('agent_sessions');

CREATE TABLE mcp_action_requests (
    id                bigserial PRIMARY KEY,
    correlation_id    text NOT NULL,
    run_id            uuid REFERENCES agent_runs ON DELETE RESTRICT,
    scope_run_id      uuid,
    project_id        uuid REFERENCES projects ON DELETE RESTRICT,
    tool_name         text NOT NULL,
    action            text NOT NULL,
    target_ref        jsonb NOT NULL DEFAULT '{}',
    environment       text,
    justification     text,
    signature         text NOT NULL,
    idempotency_key   text,
    input_fingerprint bytea NOT NULL,
    approval_mode     text NOT NULL DEFAULT 'owner' CHECK (approval_mode IN ('owner', 'delegated')),
    approval_state    text NOT NULL DEFAULT 'requested' CHECK (approval_state IN
        ('requested', 'approved', 'denied', 'expired', 'failed', 'applied')),
    requested_by      text NOT NULL,
    decided_by        uuid,
    decided_at        timestamptz,
    decision_reason   text,
    answer_option_id  text,
    answer_text       text,
    applied_by        text,
    applied_at        timestamptz,
    completed_steps   text[] NOT NULL DEFAULT '{}',
    apply_attempts    integer NOT NULL DEFAULT 0,
    apply_lease_until timestamptz,
    last_error        text,
    payload           jsonb NOT NULL DEFAULT '{}',
    detached          boolean NOT NULL DEFAULT false,
    expires_at        timestamptz NOT NULL,
    state_version     integer NOT NULL DEFAULT 1,
    created_at        timestamptz NOT NULL DEFAULT platform_now(),
    updated_at        timestamptz NOT NULL DEFAULT platform_now()
);
CREATE UNIQUE INDEX mcp_action_requests_open_signature ON mcp_action_requests (scope_run_id, signature)
    WHERE approval_state IN ('requested', 'approved');
CREATE UNIQUE INDEX mcp_action_requests_idempotency ON mcp_action_requests (scope_run_id, tool_name, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX mcp_action_requests_one_waiting ON mcp_action_requests (run_id)
    WHERE approval_state = 'requested' AND NOT detached;
CREATE INDEX mcp_action_requests_state ON mcp_action_requests (approval_state, created_at);
CREATE INDEX mcp_action_requests_correlation ON mcp_action_requests (correlation_id, created_at DESC);
CREATE INDEX mcp_action_requests_project ON mcp_action_requests (project_id, approval_state);
SELECT keep_updated_at('mcp_action_requests');

CREATE FUNCTION mcp_action_requests_guard_state() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    allowed boolean := NEW.approval_state = OLD.approval_state OR CASE OLD.approval_state
        WHEN 'requested' THEN NEW.approval_state IN ('approved', 'denied', 'expired')
        WHEN 'approved' THEN NEW.approval_state IN ('applied', 'failed')
        ELSE false END;
BEGIN
    IF NOT allowed THEN
        RAISE EXCEPTION 'approval state may not move from % to %', OLD.approval_state, NEW.approval_state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER mcp_action_requests_guard_state BEFORE UPDATE OF approval_state ON mcp_action_requests
    FOR EACH ROW EXECUTE FUNCTION mcp_action_requests_guard_state();

-- min-binary-version: 20261121000001
CREATE TABLE flow_events (
    id             bigserial PRIMARY KEY,
    correlation_id text NOT NULL,
    run_id         uuid,
    project_id     uuid,
    actor_type     text NOT NULL CHECK (actor_type IN ('human', 'agent', 'system')),
    actor_id       text NOT NULL CHECK (actor_id <> ''),
    event_type     text NOT NULL,
    payload        jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(payload) = 'object' AND octet_length(payload::text) <= 65536),
    dedup_key      text,
    created_at     timestamptz NOT NULL DEFAULT platform_now(),
    -- DF-1: the closed catalogue; a new type is a migration, a code change and a line of the catalogue.
    CONSTRAINT flow_events_type_is_known CHECK (event_type IN (
        'webhook.received', 'webhook.duplicate', 'webhook.ignored', 'effect.given_up', 'label.drift_detected',
        'run.enqueued', 'run.trigger.conflict.comment', 'run.review.changes_requested.received',
        'run.revise.stage_resolved', 'run.revise.stage_ambiguous', 'run.profile.resolved', 'run.job.image.resolved',
        'run.namespace.prepared', 'run.namespace.ttl_scheduled', 'run.namespace.ttl_extended',
        'run.namespace.cleaned', 'run.namespace.cleanup_skipped', 'run.namespace.cleanup_failed',
        'run.namespace.reuse_fast_path', 'run.namespace.reuse_fallback_redeploy', 'run.namespace.delete_by_staff',
        'run.namespace.delete_by_system', 'run.started', 'run.mcp.token.issued', 'run.mcp.token.revoked',
        'prompt.context.assembled', 'run.agent.started', 'run.agent.ready', 'run.agent.status_reported',
        'run.agent.session.saved', 'run.agent.session.restored', 'run.agent.resume.used', 'run.codex.auth.required',
        'run.codex.auth.synchronized', 'run.pr.created', 'run.pr.updated', 'run.revise.pr_not_found',
        'run.self_improve.diagnosis_ready', 'run.toolchain.gap_detected', 'run.status.comment.upserted',
        'run.service_message.updated', 'run.wait.paused', 'run.wait.resumed', 'run.succeeded', 'run.failed',
        'run.failed.job_not_found', 'run.failed.launch_error', 'run.failed.precondition', 'run.failed.timeout',
        'run.canceled', 'worker.instance.heartbeat.missed', 'run.lease.detected_stale', 'run.lease.released',
        'run.reclaimed_after_stale_lease', 'runtime_deploy.cancel_requested', 'runtime_deploy.stop_requested',
        'runtime_deploy.rolled_back', 'runtime_deploy.rollback_failed', 'run.hygiene.leak_detected',
        'mcp.tool.called', 'mcp.tool.succeeded', 'mcp.tool.failed', 'mcp.tool.approval_pending',
        'mcp.policy.resolved', 'mcp.auth.rejected', 'approval.requested', 'approval.approved', 'approval.denied',
        'approval.expired', 'approval.failed', 'approval.applied', 'approval.decision.ignored',
        'secret.sync.step_completed', 'secret.sync.step_failed', 'secret.sync.applied', 'secret.sync.failed',
        'database.created', 'database.deleted', 'database.described', 'database.failed', 'feedback.requested',
        'feedback.answered', 'feedback.declined', 'feedback.expired', 'label.requested', 'label.applied',
        'label.rejected', 'label.grant.consumed', 'run.next_step.matrix_rendered', 'run.next_step.preview_requested',
        'run.next_step.executed', 'run.next_step.blocked_need_input', 'run.stage.skipped', 'run.stage.escalated',
        'stage.launch_profile.resolved', 'interaction.request.created', 'interaction.wait.entered',
        'interaction.wait.resumed', 'interaction.dispatch.attempted', 'interaction.dispatch.retry_scheduled',
        'interaction.callback.received', 'interaction.response.accepted', 'interaction.response.rejected',
        'repository.preflight.finished', 'platform.bootstrap.completed', 'staff.change.recorded', 'access.denied',
        'config.entry.upserted', 'config.entry.synced'))
);
CREATE UNIQUE INDEX flow_events_dedup ON flow_events (correlation_id, event_type, dedup_key) WHERE dedup_key IS NOT NULL;
CREATE INDEX flow_events_correlation ON flow_events (correlation_id, id);
CREATE INDEX flow_events_run ON flow_events (run_id, id);
CREATE INDEX flow_events_type ON flow_events (event_type, created_at);
CREATE INDEX flow_events_project ON flow_events (project_id, created_at);
-- DF-5: exactly one terminal event per run.
CREATE UNIQUE INDEX flow_events_one_terminal ON flow_events (run_id) WHERE event_type IN
    ('run.succeeded', 'run.failed', 'run.failed.job_not_found', 'run.failed.launch_error', 'run.failed.precondition',
     'run.failed.timeout', 'run.canceled');

-- D-20: the journal is append-only. Only the retention job, under its own role, may remove aged rows.
CREATE FUNCTION flow_events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_user = 'codex_k8s_retention' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'flow_events is append-only (D-20)' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER flow_events_append_only BEFORE UPDATE OR DELETE ON flow_events
    FOR EACH ROW EXECUTE FUNCTION flow_events_append_only();
CREATE TRIGGER flow_events_no_truncate BEFORE TRUNCATE ON flow_events
    FOR EACH STATEMENT EXECUTE FUNCTION flow_events_append_only();

CREATE TABLE realtime_events (
    id         bigserial PRIMARY KEY,
    xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    topic      text NOT NULL,
    kind       text NOT NULL,
    project_id uuid,
    run_id     uuid,
    payload    jsonb NOT NULL CHECK (octet_length(payload::text) <= 8192),
    created_at timestamptz NOT NULL DEFAULT platform_now()
);
CREATE INDEX realtime_events_topic ON realtime_events (topic, xid, id);
CREATE INDEX realtime_events_run ON realtime_events (run_id, xid, id);
CREATE INDEX realtime_events_created_at ON realtime_events (created_at);

-- min-binary-version: 20261121000001
-- What the retention looks for each hour (R-181).
CREATE INDEX agent_runs_finished ON agent_runs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX agent_sessions_kept ON agent_sessions (run_id)
    WHERE agent_session_json IS NOT NULL OR session_json <> '{}';
CREATE INDEX webhook_deliveries_processed ON webhook_deliveries (processed_at) WHERE processed_at IS NOT NULL;

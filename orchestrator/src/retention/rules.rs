//! What goes when: one statement each, at most [`BATCH`] rows a time.
use crate::config::RetentionConfig;

/// Rows that one statement changes at most (D-29).
pub(super) const BATCH: i64 = 1000;

/// A kind of data and its end. The statement takes the days as `$1` and the batch as `$2`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub what: &'static str,
    pub days: u32,
    pub statement: &'static str,
}

/// All of them. A run that waits or goes on has no end yet, so nothing of it is old.
pub(super) fn rules(config: &RetentionConfig) -> [Rule; 9] {
    [
        Rule {
            what: "logs of runs",
            days: config.run_logs_days,
            statement: "DELETE FROM run_log_chunks WHERE id IN (
                SELECT c.id FROM run_log_chunks c JOIN agent_runs r ON r.id = c.run_id
                WHERE r.finished_at < platform_now() - make_interval(days => $1) LIMIT $2)",
        },
        Rule {
            what: "stored logs of runs",
            days: config.run_logs_days,
            statement: "UPDATE agent_runs SET agent_logs_json = NULL WHERE id IN (
                SELECT id FROM agent_runs WHERE agent_logs_json IS NOT NULL
                AND finished_at < platform_now() - make_interval(days => $1) LIMIT $2)",
        },
        Rule {
            what: "logs of deploy tasks",
            days: config.run_logs_days,
            statement: "UPDATE runtime_deploy_tasks SET logs_json = '[]' WHERE run_id IN (
                SELECT run_id FROM runtime_deploy_tasks WHERE logs_json <> '[]'
                AND finished_at < platform_now() - make_interval(days => $1) LIMIT $2)",
        },
        Rule {
            what: "sessions of agents",
            days: config.heavy_fields_days,
            statement: "UPDATE agent_sessions SET session_json = '{}', agent_session_json = NULL WHERE id IN (
                SELECT s.id FROM agent_sessions s JOIN agent_runs r ON r.id = s.run_id
                WHERE (s.agent_session_json IS NOT NULL OR s.session_json <> '{}') AND s.wait_state IS NULL
                AND r.finished_at < platform_now() - make_interval(days => $1) LIMIT $2)",
        },
        Rule {
            what: "what started runs, as GitHub sent it",
            days: config.heavy_fields_days,
            statement: "UPDATE agent_runs SET run_payload = run_payload - 'raw_payload' WHERE id IN (
                SELECT id FROM agent_runs WHERE run_payload ? 'raw_payload'
                AND finished_at < platform_now() - make_interval(days => $1) LIMIT $2)",
        },
        Rule {
            what: "bodies of deliveries",
            days: config.heavy_fields_days,
            statement: "UPDATE webhook_deliveries SET raw_body = NULL WHERE delivery_id IN (
                SELECT delivery_id FROM webhook_deliveries WHERE raw_body IS NOT NULL
                AND processed_at < platform_now() - make_interval(days => $1) LIMIT $2)",
        },
        Rule {
            what: "effects that are over",
            days: config.deliveries_days,
            statement: "DELETE FROM outbox_effects WHERE id IN (
                SELECT id FROM outbox_effects WHERE state <> 'pending'
                AND updated_at < platform_now() - make_interval(days => $1) LIMIT $2)",
        },
        Rule {
            what: "deliveries that are decided",
            days: config.deliveries_days,
            statement: "DELETE FROM webhook_deliveries WHERE delivery_id IN (
                SELECT delivery_id FROM webhook_deliveries
                WHERE processed_at < platform_now() - make_interval(days => $1) LIMIT $2)",
        },
        Rule {
            what: "errors that were told",
            days: config.runtime_errors_days,
            statement: "DELETE FROM runtime_errors WHERE id IN (
                SELECT id FROM runtime_errors
                WHERE last_seen_at < platform_now() - make_interval(days => $1) LIMIT $2)",
        },
    ]
}

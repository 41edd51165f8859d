-- min-binary-version: 20261121000001
-- Whether the agent of a waiting run has ended: its wait then ends in a resume run (R-24).
ALTER TABLE agent_runs ADD COLUMN parked_at timestamptz;

-- What started the work: a run that goes on has the threads and states of the run that it goes on from (R-24).
CREATE FUNCTION run_source(run agent_runs) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN run.trigger_source = 'resume'
                THEN (SELECT first.trigger_source FROM agent_runs first WHERE first.id = run.scope_run_id)
                ELSE run.trigger_source END
$$;

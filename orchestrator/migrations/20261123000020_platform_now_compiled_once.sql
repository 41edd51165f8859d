-- min-binary-version: 20261121000001
-- A function in SQL is parsed and planned anew in every statement that calls it, and nearly every statement asks for the
-- time; PL/pgSQL keeps its plan for the session.
CREATE OR REPLACE FUNCTION platform_now() RETURNS timestamptz LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    RETURN clock_timestamp() + (SELECT offset_interval FROM platform_clock WHERE id = 1);
END $$;

-- min-binary-version: 20261121000001
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE EXTENSION IF NOT EXISTS citext;

-- D-7: one offset row, moved only forward and only in test mode. `pending_offset` (by how much) and `epoch` carry
-- the first phase of a move, so that live workers can stretch their heartbeat before time jumps over it.
CREATE TABLE platform_clock (
    id              smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    offset_interval interval NOT NULL DEFAULT interval '0' CHECK (offset_interval >= interval '0'),
    pending_offset  interval CHECK (pending_offset >= interval '0'),
    epoch           bigint   NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO platform_clock (id) VALUES (1);

CREATE FUNCTION platform_clock_moves_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.offset_interval < OLD.offset_interval THEN
        RAISE EXCEPTION 'platform time moves only forward (D-7)' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER platform_clock_moves_forward BEFORE UPDATE ON platform_clock
    FOR EACH ROW EXECUTE FUNCTION platform_clock_moves_forward();

CREATE FUNCTION platform_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT clock_timestamp() + (SELECT offset_interval FROM platform_clock WHERE id = 1)
$$;

CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := platform_now();
    RETURN NEW;
END $$;

-- Tables call it once after CREATE TABLE.
CREATE FUNCTION keep_updated_at(target regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER touch_updated_at BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION touch_updated_at()', target);
END $$;
SELECT keep_updated_at('platform_clock');

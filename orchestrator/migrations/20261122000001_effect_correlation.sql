-- min-binary-version: 20261121000001
-- What a person asked for over the staff API belongs to no delivery and to no run.
ALTER TABLE outbox_effects ADD COLUMN correlation_id text;

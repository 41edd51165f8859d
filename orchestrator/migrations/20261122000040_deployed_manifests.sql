-- min-binary-version: 20261121000001
-- What was applied, for the fingerprint of the namespace (R-51).
ALTER TABLE runtime_deploy_tasks ADD COLUMN manifest_hash text NOT NULL DEFAULT '';

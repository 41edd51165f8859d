-- min-binary-version: 20261121000001
CREATE TABLE users (
    id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email             citext NOT NULL,
    github_user_id    bigint,
    github_login      citext,
    is_platform_admin boolean NOT NULL DEFAULT false,
    is_platform_owner boolean NOT NULL DEFAULT false,
    disabled_at       timestamptz,
    created_at        timestamptz NOT NULL DEFAULT platform_now(),
    updated_at        timestamptz NOT NULL DEFAULT platform_now(),
    CONSTRAINT users_email_key UNIQUE (email),
    CONSTRAINT users_owner_is_admin CHECK (NOT is_platform_owner OR is_platform_admin)
);
CREATE UNIQUE INDEX users_github_user_id_key ON users (github_user_id) WHERE github_user_id IS NOT NULL;
CREATE UNIQUE INDEX users_github_login_key ON users (github_login) WHERE github_login IS NOT NULL;
CREATE UNIQUE INDEX users_one_owner ON users (is_platform_owner) WHERE is_platform_owner;
SELECT keep_updated_at('users');

CREATE TABLE staff_sessions (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    token_hash   bytea NOT NULL UNIQUE,
    csrf_hash    bytea NOT NULL,
    auth_method  text NOT NULL CHECK (auth_method IN ('local_token', 'github_oauth')),
    last_seen_at timestamptz NOT NULL DEFAULT platform_now(),
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    user_agent   text,
    created_at   timestamptz NOT NULL DEFAULT platform_now(),
    updated_at   timestamptz NOT NULL DEFAULT platform_now()
);
CREATE INDEX staff_sessions_user_id ON staff_sessions (user_id);
CREATE INDEX staff_sessions_expires_at ON staff_sessions (expires_at);
SELECT keep_updated_at('staff_sessions');

CREATE TABLE staff_tokens (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    name         text NOT NULL,
    token_hash   bytea NOT NULL UNIQUE,
    last_used_at timestamptz,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    created_at   timestamptz NOT NULL DEFAULT platform_now(),
    updated_at   timestamptz NOT NULL DEFAULT platform_now()
);
CREATE UNIQUE INDEX staff_tokens_live_name ON staff_tokens (user_id, name) WHERE revoked_at IS NULL;
SELECT keep_updated_at('staff_tokens');

CREATE TABLE projects (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    slug         text NOT NULL,
    name         text NOT NULL,
    settings     jsonb NOT NULL DEFAULT '{}',
    is_protected boolean NOT NULL DEFAULT false,
    deleted_at   timestamptz,
    created_at   timestamptz NOT NULL DEFAULT platform_now(),
    updated_at   timestamptz NOT NULL DEFAULT platform_now()
);
CREATE UNIQUE INDEX projects_live_slug ON projects (slug) WHERE deleted_at IS NULL;
SELECT keep_updated_at('projects');

CREATE TABLE project_members (
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    role       text NOT NULL CHECK (role IN ('read', 'read_write', 'admin')),
    created_at timestamptz NOT NULL DEFAULT platform_now(),
    updated_at timestamptz NOT NULL DEFAULT platform_now(),
    PRIMARY KEY (project_id, user_id)
);
CREATE INDEX project_members_user_id ON project_members (user_id);
SELECT keep_updated_at('project_members');

CREATE TABLE repositories (
    id                    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id            uuid NOT NULL REFERENCES projects ON DELETE RESTRICT,
    alias                 text NOT NULL CHECK (alias ~ '^[a-z0-9][a-z0-9._-]*$'),
    provider              text NOT NULL DEFAULT 'github' CHECK (provider IN ('github')),
    external_id           bigint NOT NULL,
    owner                 text NOT NULL,
    name                  text NOT NULL,
    role                  text NOT NULL DEFAULT 'service' CHECK (role IN ('orchestrator', 'service', 'docs', 'mixed')),
    default_ref           text NOT NULL DEFAULT 'main',
    services_yaml_path    text NOT NULL DEFAULT 'services.yaml',
    docs_root_path        text,
    token_encrypted       bytea NOT NULL,
    bot_token_encrypted   bytea,
    bot_username          text NOT NULL DEFAULT '',
    bot_email             text NOT NULL DEFAULT '',
    preflight_report_json jsonb NOT NULL DEFAULT '{}',
    preflight_updated_at  timestamptz,
    is_platform           boolean NOT NULL DEFAULT false,
    is_protected          boolean NOT NULL DEFAULT false,
    unbound_at            timestamptz,
    created_at            timestamptz NOT NULL DEFAULT platform_now(),
    updated_at            timestamptz NOT NULL DEFAULT platform_now()
);
CREATE UNIQUE INDEX repositories_one_platform ON repositories (is_platform) WHERE is_platform AND unbound_at IS NULL;
CREATE UNIQUE INDEX repositories_live_external_id ON repositories (provider, external_id) WHERE unbound_at IS NULL;
CREATE UNIQUE INDEX repositories_live_full_name ON repositories (project_id, provider, owner, name) WHERE unbound_at IS NULL;
CREATE UNIQUE INDEX repositories_live_alias ON repositories (project_id, alias) WHERE unbound_at IS NULL;
CREATE INDEX repositories_project_id ON repositories (project_id);
CREATE INDEX repositories_lower_full_name ON repositories (provider, lower(owner), lower(name));
SELECT keep_updated_at('repositories');

CREATE TABLE repository_preflight_locks (
    repository_id     uuid PRIMARY KEY REFERENCES repositories ON DELETE CASCADE,
    lock_token        uuid NOT NULL,
    locked_by_user_id uuid REFERENCES users ON DELETE SET NULL,
    locked_until      timestamptz NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT platform_now(),
    updated_at        timestamptz NOT NULL DEFAULT platform_now()
);
CREATE INDEX repository_preflight_locks_locked_until ON repository_preflight_locks (locked_until);
SELECT keep_updated_at('repository_preflight_locks');

CREATE TABLE platform_github_tokens (
    id                       smallint PRIMARY KEY CHECK (id = 1),
    platform_token_encrypted bytea,
    bot_token_encrypted      bytea,
    created_at               timestamptz NOT NULL DEFAULT platform_now(),
    updated_at               timestamptz NOT NULL DEFAULT platform_now()
);
SELECT keep_updated_at('platform_github_tokens');

CREATE TABLE project_github_tokens (
    project_id               uuid PRIMARY KEY REFERENCES projects ON DELETE CASCADE,
    platform_token_encrypted bytea,
    bot_token_encrypted      bytea,
    bot_username             text NOT NULL DEFAULT '',
    bot_email                text NOT NULL DEFAULT '',
    created_at               timestamptz NOT NULL DEFAULT platform_now(),
    updated_at               timestamptz NOT NULL DEFAULT platform_now()
);
SELECT keep_updated_at('project_github_tokens');

CREATE TABLE agents (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_key  text NOT NULL,
    role_kind  text NOT NULL DEFAULT 'system' CHECK (role_kind IN ('system', 'custom')),
    project_id uuid REFERENCES projects ON DELETE RESTRICT,
    name       text NOT NULL,
    is_active  boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT platform_now(),
    updated_at timestamptz NOT NULL DEFAULT platform_now()
);
CREATE UNIQUE INDEX agents_system_key ON agents (agent_key) WHERE project_id IS NULL;
CREATE UNIQUE INDEX agents_project_key ON agents (project_id, agent_key) WHERE project_id IS NOT NULL;
SELECT keep_updated_at('agents');

CREATE TABLE prompt_templates (
    id            bigserial PRIMARY KEY,
    role_key      text NOT NULL,
    stage         text NOT NULL,
    template_kind text NOT NULL CHECK (template_kind IN ('work', 'revise', 'discussion')),
    locale        text NOT NULL CHECK (locale IN ('ru', 'en')),
    source        text NOT NULL DEFAULT 'repo_seed' CHECK (source IN ('repo_seed')),
    version       integer NOT NULL,
    checksum      text NOT NULL,
    body_markdown text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT platform_now(),
    updated_at    timestamptz NOT NULL DEFAULT platform_now(),
    UNIQUE (role_key, stage, template_kind, locale, version)
);
SELECT keep_updated_at('prompt_templates');

CREATE TABLE config_entries (
    id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    scope              text NOT NULL CHECK (scope IN ('platform', 'project', 'repository')),
    kind               text NOT NULL CHECK (kind IN ('secret', 'variable')),
    project_id         uuid REFERENCES projects ON DELETE CASCADE,
    repository_id      uuid REFERENCES repositories ON DELETE CASCADE,
    key                text NOT NULL,
    value_plain        text NOT NULL DEFAULT '',
    value_encrypted    bytea,
    sync_targets       text[] NOT NULL DEFAULT '{}',
    mutability         text NOT NULL DEFAULT 'startup_required' CHECK (mutability IN ('startup_required', 'runtime_mutable')),
    is_dangerous       boolean NOT NULL DEFAULT false,
    last_synced_at     timestamptz,
    last_sync_error    text,
    created_by_user_id uuid REFERENCES users ON DELETE SET NULL,
    updated_by_user_id uuid REFERENCES users ON DELETE SET NULL,
    created_at         timestamptz NOT NULL DEFAULT platform_now(),
    updated_at         timestamptz NOT NULL DEFAULT platform_now(),
    CONSTRAINT config_entries_scope_ids CHECK (
        (scope = 'platform' AND project_id IS NULL AND repository_id IS NULL)
        OR (scope = 'project' AND project_id IS NOT NULL AND repository_id IS NULL)
        OR (scope = 'repository' AND project_id IS NULL AND repository_id IS NOT NULL)),
    CONSTRAINT config_entries_secret_is_encrypted CHECK (kind <> 'secret' OR (value_encrypted IS NOT NULL AND value_plain = '')),
    CONSTRAINT config_entries_target_form CHECK (
        sync_targets = '{}' OR array_to_string(sync_targets, E'\n') ~ '^(k8s_(secret|configmap):[^/\n]+/[^/\n]+(\n|$))+$')
);
CREATE UNIQUE INDEX config_entries_platform_key ON config_entries (key) WHERE scope = 'platform';
CREATE UNIQUE INDEX config_entries_project_key ON config_entries (project_id, key) WHERE scope = 'project';
CREATE UNIQUE INDEX config_entries_repository_key ON config_entries (repository_id, key) WHERE scope = 'repository';
CREATE INDEX config_entries_project_id ON config_entries (project_id);
CREATE INDEX config_entries_repository_id ON config_entries (repository_id);
SELECT keep_updated_at('config_entries');

CREATE TABLE system_settings (
    key                text PRIMARY KEY,
    value_kind         text NOT NULL CHECK (value_kind IN ('boolean')),
    value_json         jsonb NOT NULL,
    source             text NOT NULL CHECK (source IN ('default', 'staff')),
    version            bigint NOT NULL CHECK (version > 0),
    updated_by_user_id uuid REFERENCES users ON DELETE SET NULL,
    updated_by_email   text,
    created_at         timestamptz NOT NULL DEFAULT platform_now(),
    updated_at         timestamptz NOT NULL DEFAULT platform_now()
);
SELECT keep_updated_at('system_settings');

CREATE TABLE system_setting_changes (
    id                  bigserial PRIMARY KEY,
    setting_key         text NOT NULL REFERENCES system_settings (key),
    value_kind          text NOT NULL CHECK (value_kind IN ('boolean')),
    value_json          jsonb NOT NULL,
    previous_value_json jsonb,
    source              text NOT NULL CHECK (source IN ('default', 'staff')),
    version             bigint NOT NULL,
    change_kind         text NOT NULL CHECK (change_kind IN ('seeded', 'updated', 'reset')),
    actor_user_id       uuid,
    actor_email         text,
    created_at          timestamptz NOT NULL DEFAULT platform_now(),
    UNIQUE (setting_key, version)
);
CREATE INDEX system_setting_changes_recent ON system_setting_changes (setting_key, created_at DESC);

CREATE TABLE project_databases (
    database_name text PRIMARY KEY,
    project_id    uuid NOT NULL REFERENCES projects ON DELETE RESTRICT,
    environment   text NOT NULL CHECK (btrim(environment) <> ''),
    state         text NOT NULL DEFAULT 'provisioning' CHECK (state IN ('provisioning', 'ready', 'deleting')),
    created_at    timestamptz NOT NULL DEFAULT platform_now(),
    updated_at    timestamptz NOT NULL DEFAULT platform_now()
);
CREATE INDEX project_databases_project ON project_databases (project_id, environment);
SELECT keep_updated_at('project_databases');

-- DM-8: insert-or-nothing; operator edits are never overwritten.
INSERT INTO platform_github_tokens (id) VALUES (1) ON CONFLICT DO NOTHING;
INSERT INTO agents (agent_key, name) VALUES
    ('pm', 'Product manager'), ('sa', 'Solution architect'), ('em', 'Engineering manager'), ('dev', 'Developer'),
    ('reviewer', 'Reviewer'), ('qa', 'Quality assurance'), ('sre', 'Site reliability engineer'), ('km', 'Knowledge manager')
ON CONFLICT DO NOTHING;
INSERT INTO system_settings (key, value_kind, value_json, source, version)
    VALUES ('github_rate_limit_wait_enabled', 'boolean', 'true', 'default', 1) ON CONFLICT DO NOTHING;
INSERT INTO system_setting_changes (setting_key, value_kind, value_json, source, version, change_kind)
    VALUES ('github_rate_limit_wait_enabled', 'boolean', 'true', 'default', 1, 'seeded') ON CONFLICT DO NOTHING;

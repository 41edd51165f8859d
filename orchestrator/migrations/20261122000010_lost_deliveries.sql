-- min-binary-version: 20261121000001
-- R-186: how far each repository's deliveries and labels were compared with GitHub, by GitHub's clock, and when the
-- next pass is due, by the platform's.
CREATE TABLE hook_reads (
    repository_id  uuid PRIMARY KEY REFERENCES repositories ON DELETE CASCADE,
    next_pass_at   timestamptz NOT NULL,
    follows_up     boolean NOT NULL DEFAULT false,
    read_until     timestamptz,
    compared_until timestamptz,
    passed_at      timestamptz,
    created_at     timestamptz NOT NULL DEFAULT platform_now(),
    updated_at     timestamptz NOT NULL DEFAULT platform_now()
);
CREATE INDEX hook_reads_due ON hook_reads (next_pass_at);
SELECT keep_updated_at('hook_reads');
INSERT INTO hook_reads (repository_id, next_pass_at) SELECT id, platform_now() FROM repositories;

-- Written before GitHub is asked, so that two control planes do not ask for one delivery at once.
CREATE TABLE redelivery_requests (
    delivery_id   text PRIMARY KEY,
    repository_id uuid NOT NULL REFERENCES repositories ON DELETE CASCADE,
    attempt_id    bigint NOT NULL,
    requests      integer NOT NULL DEFAULT 1,
    requested_at  timestamptz NOT NULL DEFAULT platform_now(),
    created_at    timestamptz NOT NULL DEFAULT platform_now(),
    updated_at    timestamptz NOT NULL DEFAULT platform_now()
);
CREATE INDEX redelivery_requests_repository ON redelivery_requests (repository_id, requested_at);
SELECT keep_updated_at('redelivery_requests');

-- What the newest delivery of each trigger label told, by GitHub's time of the change.
CREATE TABLE told_labels (
    repository_id uuid NOT NULL REFERENCES repositories ON DELETE CASCADE,
    thread_kind   text NOT NULL CHECK (thread_kind IN ('issue', 'pr')),
    thread_number bigint NOT NULL,
    label         text NOT NULL,
    is_set        boolean NOT NULL,
    changed_at    timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT platform_now(),
    updated_at    timestamptz NOT NULL DEFAULT platform_now(),
    PRIMARY KEY (repository_id, thread_kind, thread_number, label)
);
SELECT keep_updated_at('told_labels');

-- Threads whose labels differ from what was told, in the state that was reported last.
CREATE TABLE label_drifts (
    repository_id uuid NOT NULL REFERENCES repositories ON DELETE CASCADE,
    thread_kind   text NOT NULL CHECK (thread_kind IN ('issue', 'pr')),
    thread_number bigint NOT NULL,
    labels        text[] NOT NULL,
    expected      text[] NOT NULL,
    since         timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT platform_now(),
    updated_at    timestamptz NOT NULL DEFAULT platform_now(),
    PRIMARY KEY (repository_id, thread_kind, thread_number)
);
SELECT keep_updated_at('label_drifts');

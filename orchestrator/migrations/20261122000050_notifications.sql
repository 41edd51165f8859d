-- min-binary-version: 20261121000001
-- An adapter that is also delivered to, for one project or for all (governance 7).
ALTER TABLE callback_adapters
    ADD COLUMN project_id uuid REFERENCES projects ON DELETE CASCADE,
    ADD COLUMN delivery_url text,
    ADD COLUMN delivery_token_encrypted bytea,
    ADD CHECK ((delivery_url IS NULL) = (delivery_token_encrypted IS NULL));

ALTER TABLE interaction_requests
    ADD COLUMN adapter_id uuid REFERENCES callback_adapters ON DELETE SET NULL,
    ADD COLUMN tool_name text NOT NULL,
    ADD COLUMN correlation_id text NOT NULL,
    ADD COLUMN scope_run_id uuid NOT NULL,
    ADD COLUMN idempotency_key text,
    ADD COLUMN input_fingerprint bytea,
    ADD COLUMN provider_message_ref text,
    ADD COLUMN edit_capability text CHECK (edit_capability IN ('editable', 'keyboard_only', 'follow_up_only', 'unknown')),
    ADD COLUMN continuation text NOT NULL DEFAULT 'none'
        CHECK (continuation IN ('none', 'edit_message', 'send_follow_up', 'manual_fallback'));
CREATE UNIQUE INDEX interaction_requests_idempotency ON interaction_requests (scope_run_id, tool_name, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX interaction_requests_approval ON interaction_requests (approval_request_id)
    WHERE approval_request_id IS NOT NULL;

ALTER TABLE interaction_delivery_attempts
    ADD COLUMN delivery_role text NOT NULL DEFAULT 'primary_dispatch'
        CHECK (delivery_role IN ('primary_dispatch', 'message_edit', 'follow_up_notify'));

-- What a person may press: the option comes from the handle, never from the adapter (G-137).
CREATE TABLE interaction_handles (
    handle_hash    bytea PRIMARY KEY,
    interaction_id uuid NOT NULL REFERENCES interaction_requests ON DELETE CASCADE,
    handle_kind    text NOT NULL CHECK (handle_kind IN ('option', 'free_text_session')),
    option_id      text,
    used_at        timestamptz,
    created_at     timestamptz NOT NULL DEFAULT platform_now(),
    updated_at     timestamptz NOT NULL DEFAULT platform_now(),
    CHECK ((handle_kind = 'option') = (option_id IS NOT NULL))
);
CREATE INDEX interaction_handles_interaction ON interaction_handles (interaction_id);
SELECT keep_updated_at('interaction_handles');

CREATE TABLE endpoints (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- JSON: what differs from the kind's defaults; secrets are sealed.
    config TEXT NOT NULL,
    interval_seconds INTEGER NOT NULL,
    timeout_ms INTEGER NOT NULL,
    assertions TEXT NOT NULL,
    retries INTEGER NOT NULL,
    failure_threshold INTEGER NOT NULL,
    success_threshold INTEGER NOT NULL,
    enabled BOOLEAN NOT NULL,
    tags TEXT NOT NULL,
    -- As last observed (pending, up, down); shown as paused while not enabled.
    status TEXT NOT NULL,
    -- Unix seconds: the slot that decided.
    status_changed_at BIGINT,
    -- Unix seconds.
    last_checked_at BIGINT,
    -- Unix seconds: the first slot that was not handed out yet. Its phase is the endpoint's jitter.
    next_slot BIGINT NOT NULL,
    -- Unix seconds: until then the slots are promised to somebody who has not confirmed yet.
    leased_until BIGINT,
    missed_slots BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
-- Every claim and every check writes the row: room on the page keeps that cheap.
) WITH (fillfactor = 80);
CREATE INDEX endpoints_by_user ON endpoints (user_id, id);
CREATE INDEX endpoints_due ON endpoints (next_slot) WHERE enabled;

-- Users who are gone: a key that the gateway still believes for a moment must bring nothing back.
CREATE TABLE endpoint_gone_users (user_id BIGINT PRIMARY KEY);

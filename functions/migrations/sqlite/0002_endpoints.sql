CREATE TABLE endpoints (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
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
    status_changed_at INTEGER,
    -- Unix seconds.
    last_checked_at INTEGER,
    -- Unix seconds: the first slot that was not handed out yet. Its phase is the endpoint's jitter.
    next_slot INTEGER NOT NULL,
    -- Unix seconds: until then the slots are promised to somebody who has not confirmed yet.
    leased_until INTEGER,
    missed_slots INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX endpoints_by_user ON endpoints (user_id, id);
CREATE INDEX endpoints_due ON endpoints (next_slot) WHERE enabled;

-- Users who are gone: a key that the gateway still believes for a moment must bring nothing back.
CREATE TABLE endpoint_gone_users (user_id INTEGER PRIMARY KEY);

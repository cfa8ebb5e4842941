CREATE TABLE dead_letters (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- Who did not take it, and what it said: as the broker tells.
    destination TEXT NOT NULL,
    error_code TEXT,
    error TEXT,
    -- A JSON array of [name, value].
    headers TEXT NOT NULL,
    body BYTEA NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    replayed_at TIMESTAMPTZ,
    UNIQUE (source, event_id, destination)
);
CREATE INDEX dead_letters_by_time ON dead_letters (received_at);

CREATE TABLE dead_letters (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- The subscriber that did not accept the event, and its answer, as the broker reports them.
    destination TEXT NOT NULL,
    error_code TEXT,
    error TEXT,
    -- A JSON array of [name, value].
    headers TEXT NOT NULL,
    body BYTEA NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    replayed_at TIMESTAMPTZ,
    -- When it is automatically published again; NULL: it was, or is left to the operator.
    due_at TIMESTAMPTZ,
    replays INTEGER NOT NULL DEFAULT 0,
    UNIQUE (source, event_id, destination)
);
CREATE INDEX dead_letters_by_time ON dead_letters (received_at);
CREATE INDEX dead_letters_due ON dead_letters (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE dead_letter_purges (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    trusted_at BIGINT NOT NULL,
    doubted_at BIGINT
);
INSERT INTO dead_letter_purges (id, trusted_at) VALUES (1, 0);

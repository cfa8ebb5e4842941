CREATE TABLE notifications (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    channel TEXT NOT NULL,
    -- The whole config as JSON, sealed with ENCRYPTION_KEY.
    sealed_config TEXT NOT NULL,
    -- A JSON array; NULL: all of the user's endpoints. An empty one covers none.
    endpoint_ids TEXT,
    enabled BOOLEAN NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX notifications_by_user ON notifications (user_id, id);

-- What the state machine knows of an endpoint. Slots are microseconds: compared and written with
-- every check, so they are kept small. No index covers what a check changes.
CREATE TABLE notification_states (
    endpoint_id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL,
    status TEXT NOT NULL,
    -- How many results in a row spoke for another status.
    run INTEGER NOT NULL,
    last_slot INTEGER NOT NULL,
    failing_since INTEGER,
    cause TEXT,
    -- Set when the endpoint is gone: a late result must not bring it back.
    deleted_at TEXT
);
CREATE INDEX notification_states_by_user ON notification_states (user_id);
CREATE INDEX notification_states_deleted ON notification_states (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE notification_forgotten_users (
    user_id INTEGER PRIMARY KEY,
    deleted_at TEXT NOT NULL
);
CREATE INDEX notification_forgotten_users_by_time ON notification_forgotten_users (deleted_at);

-- What was replied to which event, so that a redelivery is given the same reply.
CREATE TABLE notification_changes (
    endpoint_id INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    change TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    PRIMARY KEY (endpoint_id, slot)
);
CREATE INDEX notification_changes_by_event ON notification_changes (event_id);
CREATE INDEX notification_changes_by_user ON notification_changes (user_id);
CREATE INDEX notification_changes_by_time ON notification_changes (recorded_at);

-- One message to one channel about one change.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    notification_id INTEGER NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    endpoint_id INTEGER NOT NULL,
    changed_at TEXT NOT NULL,
    what TEXT NOT NULL,
    channel TEXT NOT NULL,
    -- Masked: for people.
    recipient TEXT NOT NULL,
    alert TEXT NOT NULL,
    status TEXT NOT NULL,
    error TEXT,
    attempt INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    -- NULL until the broker has it.
    published_at TEXT,
    finished_at TEXT,
    UNIQUE (notification_id, endpoint_id, changed_at, what)
);
CREATE INDEX deliveries_by_user ON deliveries (user_id, id);
CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint_id);
CREATE INDEX deliveries_by_time ON deliveries (created_at);

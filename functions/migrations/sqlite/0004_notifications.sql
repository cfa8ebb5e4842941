CREATE TABLE notifications (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- The whole config as JSON, sealed with ENCRYPTION_KEY.
    sealed_config TEXT NOT NULL,
    -- Those to come included; otherwise those in notification_endpoints, perhaps none.
    all_endpoints BOOLEAN NOT NULL,
    enabled BOOLEAN NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    -- Failures of a channel in a row, each round of messages sent at once counted once; and until when none may be sent
    -- (`Retry-After`).
    failures INTEGER NOT NULL DEFAULT 0,
    failed_at TEXT,
    not_before TEXT,
    -- Whether a notification is told of it.
    send_degraded BOOLEAN NOT NULL DEFAULT TRUE,
    -- When a message of the current config first arrived, of a test or of an alert; NULL: never.
    tested_at TEXT
);
CREATE INDEX notifications_by_user ON notifications (user_id, id);

CREATE TABLE notification_endpoints (
    notification_id INTEGER NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    endpoint_id INTEGER NOT NULL,
    PRIMARY KEY (notification_id, endpoint_id)
) WITHOUT ROWID;
CREATE INDEX notification_endpoints_by_endpoint ON notification_endpoints (endpoint_id);

-- With its endpoints as a JSON array; NULL: all of the user's.
CREATE VIEW notification_rows AS
SELECT n.*, CASE WHEN n.all_endpoints THEN NULL ELSE
    (SELECT JSON_GROUP_ARRAY(endpoint_id ORDER BY endpoint_id) FROM notification_endpoints WHERE notification_id = n.id) END AS endpoint_ids
FROM notifications n;

-- What the state machine knows of an endpoint. Scheduled times are microseconds: compared and written with
-- every check, so they are kept small. No index covers what a check changes.
CREATE TABLE notification_states (
    endpoint_id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL,
    status TEXT NOT NULL,
    -- How many results in a row spoke for another status.
    run INTEGER NOT NULL,
    last_scheduled_at INTEGER NOT NULL,
    failing_since INTEGER,
    cause TEXT,
    -- Set when the endpoint is gone: a late result must not bring it back.
    deleted_at TEXT,
    -- Where the newest result was made; NULL until the next one, and in a maintenance.
    region TEXT,
    revision INTEGER NOT NULL DEFAULT 0,
    -- Since when the endpoint cannot be reached. An endpoint that answers, whatever it answers, says that its
    -- region works: only this counts against a region. Microseconds.
    unreachable_since INTEGER,
    -- An endpoint that works, but not as it should.
    degraded BOOLEAN NOT NULL DEFAULT FALSE,
    -- How many results in a row spoke against that.
    degraded_run INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX notification_states_by_user ON notification_states (user_id);
CREATE INDEX notification_states_deleted ON notification_states (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX notification_states_unreachable ON notification_states (region, unreachable_since)
    WHERE unreachable_since IS NOT NULL;

-- How users read messages, as `user.changed` told: a copy of what is in `users`.
CREATE TABLE notification_readers (
    user_id INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL,
    language TEXT NOT NULL,
    time_zone TEXT NOT NULL
);

CREATE TABLE notification_user_tombstones (
    user_id INTEGER PRIMARY KEY,
    deleted_at TEXT NOT NULL
);
CREATE INDEX notification_user_tombstones_by_time ON notification_user_tombstones (deleted_at);

-- What was replied to which event, so that a redelivery is given the same reply.
CREATE TABLE notification_changes (
    endpoint_id INTEGER NOT NULL,
    scheduled_at INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    change TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    -- When it is to be told again, for nobody was yet; NULL: it was told.
    due_at TEXT,
    PRIMARY KEY (endpoint_id, scheduled_at)
);
CREATE INDEX notification_changes_by_event ON notification_changes (event_id);
CREATE INDEX notification_changes_by_user ON notification_changes (user_id);
CREATE INDEX notification_changes_by_time ON notification_changes (recorded_at);
CREATE INDEX notification_changes_due ON notification_changes (due_at) WHERE due_at IS NOT NULL;

-- One message to one channel about one change.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    notification_id INTEGER NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    endpoint_id INTEGER NOT NULL,
    changed_at TEXT NOT NULL,
    what TEXT NOT NULL,
    kind TEXT NOT NULL,
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
    -- The target's host; empty: our own mail server's.
    host TEXT NOT NULL DEFAULT '',
    -- Failed tries of this attempt.
    tries INTEGER NOT NULL DEFAULT 0,
    asked_at TEXT NOT NULL DEFAULT '',
    due_at TEXT NOT NULL DEFAULT '',
    -- Set while a sender has it.
    leased_at TEXT,
    -- Of an email: the addresses that have it already, hashed, as a JSON array.
    reached TEXT NOT NULL DEFAULT '[]',
    -- When it was first handed to the broker: its text stays as it is from then on. NULL: what comes later of its endpoint
    -- takes its place in the same row.
    handed_at TEXT,
    UNIQUE (notification_id, endpoint_id, changed_at, what)
);
CREATE INDEX deliveries_by_user ON deliveries (user_id, id);
CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint_id);
CREATE INDEX deliveries_by_time ON deliveries (created_at);
CREATE INDEX deliveries_waiting ON deliveries (notification_id, due_at, id)
    WHERE status = 'pending' AND leased_at IS NULL;
CREATE INDEX deliveries_waiting_for_host ON deliveries (host, user_id)
    WHERE status = 'pending' AND leased_at IS NULL;
CREATE INDEX deliveries_leased ON deliveries (user_id) WHERE leased_at IS NOT NULL;
CREATE INDEX deliveries_leased_for_host ON deliveries (host) WHERE leased_at IS NOT NULL;
CREATE INDEX deliveries_open ON deliveries (notification_id, endpoint_id) WHERE status = 'pending';
-- What `delivery-resume` looks for each minute.
CREATE INDEX deliveries_due ON deliveries (due_at, user_id) WHERE status = 'pending' AND leased_at IS NULL;
CREATE INDEX deliveries_asked ON deliveries (asked_at) WHERE status = 'pending' AND leased_at IS NULL;

CREATE TABLE notification_idempotency_keys (
    user_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    notification_id INTEGER NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, key)
) WITHOUT ROWID;
CREATE INDEX notification_idempotency_keys_by_notification ON notification_idempotency_keys (notification_id);

-- The outage of a region, as one user was told.
CREATE TABLE notification_region_outages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    region TEXT NOT NULL,
    user_id INTEGER NOT NULL,
    -- Microseconds, as scheduled times are: the first failure of what was held first.
    since INTEGER NOT NULL,
    -- It lasted for too long: nothing is held any more.
    given_up BOOLEAN NOT NULL,
    UNIQUE (region, user_id)
);
CREATE INDEX notification_region_outages_by_user ON notification_region_outages (user_id);

CREATE TABLE notification_purges (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    trusted_at INTEGER NOT NULL,
    doubted_at INTEGER
);
INSERT INTO notification_purges (id, trusted_at) VALUES (1, 0);

-- E-mail addresses that channels name: notifications/addresses. Times are Unix seconds.
CREATE TABLE notification_addresses (
    -- In lower case.
    address TEXT NOT NULL,
    -- Whose messages it is about; 0: everybody's.
    user_id INTEGER NOT NULL,
    -- When the link that confirms it was mailed last.
    mailed_at INTEGER,
    confirmed_at INTEGER,
    unsubscribed_at INTEGER,
    PRIMARY KEY (address, user_id)
) WITHOUT ROWID;
CREATE INDEX notification_addresses_by_user ON notification_addresses (user_id);
CREATE INDEX notification_addresses_unconfirmed ON notification_addresses (mailed_at)
    WHERE confirmed_at IS NULL AND unsubscribed_at IS NULL;

-- Mails of one day.
CREATE TABLE notification_mail_counts (
    -- What is counted, such as the mails to one address (hashed).
    subject TEXT PRIMARY KEY,
    mails INTEGER NOT NULL,
    -- The count starts again after this.
    window_ends INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX notification_mail_counts_by_end ON notification_mail_counts (window_ends);

-- When `delivery-resume` last ran, in Unix seconds: time that passed without it is no time of trying.
CREATE TABLE notification_resumes (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    resumed_at INTEGER NOT NULL
);
INSERT INTO notification_resumes (id, resumed_at) VALUES (1, 0);

CREATE TABLE notifications (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- The whole config as JSON, sealed with ENCRYPTION_KEY.
    sealed_config TEXT NOT NULL,
    -- All endpoints, including future ones; otherwise those in notification_endpoints, perhaps none.
    all_endpoints BOOLEAN NOT NULL,
    enabled BOOLEAN NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    -- Failures in a row, where messages sent at the same time count once; the last failure; and the earliest
    -- time for the next message (`Retry-After`).
    failures INTEGER NOT NULL DEFAULT 0,
    failed_at TEXT,
    not_before TEXT,
    -- Whether messages are sent when an endpoint is degraded.
    send_degraded BOOLEAN NOT NULL DEFAULT TRUE,
    -- When a message (a test or an alert) first arrived with the current config; NULL: never.
    tested_at TEXT
);
CREATE INDEX notifications_by_user ON notifications (user_id, id);

CREATE TABLE notification_endpoints (
    notification_id INTEGER NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    endpoint_id INTEGER NOT NULL,
    PRIMARY KEY (notification_id, endpoint_id)
) WITHOUT ROWID;
CREATE INDEX notification_endpoints_by_endpoint ON notification_endpoints (endpoint_id);

-- With the endpoints as a JSON array; NULL: all of the user's.
CREATE VIEW notification_rows AS
SELECT n.*, CASE WHEN n.all_endpoints THEN NULL ELSE
    (SELECT JSON_GROUP_ARRAY(endpoint_id ORDER BY endpoint_id) FROM notification_endpoints WHERE notification_id = n.id) END AS endpoint_ids
FROM notifications n;

-- The state machine's state of each endpoint. Scheduled times are in microseconds: each check compares and
-- writes them, so they are kept small. No index covers the columns that a check changes.
CREATE TABLE notification_states (
    endpoint_id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL,
    status TEXT NOT NULL,
    -- Number of results in a row that indicate another status.
    run INTEGER NOT NULL,
    last_scheduled_at INTEGER NOT NULL,
    failing_since INTEGER,
    cause TEXT,
    -- Set when the endpoint is deleted: a late result must not create the state again.
    deleted_at TEXT,
    -- The region of the newest result; NULL until the next result, and during a maintenance.
    region TEXT,
    revision INTEGER NOT NULL DEFAULT 0,
    -- Since when the endpoint has been unreachable, in microseconds. Any answer of an endpoint shows that the
    -- region works, so only unreachable endpoints count towards a region outage.
    unreachable_since INTEGER,
    -- The endpoint works, but a warning condition is not met.
    degraded BOOLEAN NOT NULL DEFAULT FALSE,
    -- Number of results in a row that contradict `degraded`.
    degraded_run INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX notification_states_by_user ON notification_states (user_id);
CREATE INDEX notification_states_deleted ON notification_states (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX notification_states_unreachable ON notification_states (region, unreachable_since)
    WHERE unreachable_since IS NOT NULL;

-- Users' language and time zone for messages: a copy from `users`, updated by `user.changed`.
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

-- The reply to each event, so that a redelivered event gets the same reply.
CREATE TABLE notification_changes (
    endpoint_id INTEGER NOT NULL,
    scheduled_at INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    change TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    -- When to publish the change again if it is not handled by then; NULL: it was handled.
    due_at TEXT,
    PRIMARY KEY (endpoint_id, scheduled_at)
);
CREATE INDEX notification_changes_by_event ON notification_changes (event_id);
CREATE INDEX notification_changes_by_user ON notification_changes (user_id);
CREATE INDEX notification_changes_by_time ON notification_changes (recorded_at);
CREATE INDEX notification_changes_due ON notification_changes (due_at) WHERE due_at IS NOT NULL;

-- One message to one notification about one change.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    notification_id INTEGER NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    endpoint_id INTEGER NOT NULL,
    changed_at TEXT NOT NULL,
    what TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- Masked, for display.
    recipient TEXT NOT NULL,
    alert TEXT NOT NULL,
    status TEXT NOT NULL,
    error TEXT,
    attempt INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    -- NULL until the broker has accepted it.
    published_at TEXT,
    finished_at TEXT,
    -- The target's host; empty: our own mail server.
    host TEXT NOT NULL DEFAULT '',
    -- Failed tries of this attempt.
    tries INTEGER NOT NULL DEFAULT 0,
    asked_at TEXT NOT NULL DEFAULT '',
    due_at TEXT NOT NULL DEFAULT '',
    -- Set while a sender handles it.
    leased_at TEXT,
    -- For email: the hashed addresses that have received it, as a JSON array.
    reached TEXT NOT NULL DEFAULT '[]',
    -- When it was first handed to the broker: from then on its text is fixed. NULL: a later change of the
    -- endpoint replaces it in the same row.
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
-- `delivery-resume` searches by these each minute.
CREATE INDEX deliveries_due ON deliveries (due_at, user_id) WHERE status = 'pending' AND leased_at IS NULL;
CREATE INDEX deliveries_asked ON deliveries (asked_at) WHERE status = 'pending' AND leased_at IS NULL;

CREATE TABLE notification_idempotency_keys (
    user_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    notification_id INTEGER NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, key)
) WITHOUT ROWID;
CREATE INDEX notification_idempotency_keys_by_notification ON notification_idempotency_keys (notification_id);

-- A region outage that was reported to a user.
CREATE TABLE notification_region_outages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    region TEXT NOT NULL,
    user_id INTEGER NOT NULL,
    -- Microseconds, like scheduled times: the first failure whose alert was held.
    since INTEGER NOT NULL,
    -- It lasted too long: alerts are no longer held.
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

-- Email addresses of notifications: notifications/addresses. Times are Unix seconds.
CREATE TABLE notification_addresses (
    -- In lower case.
    address TEXT NOT NULL,
    -- The user whose messages this is about; 0: all users.
    user_id INTEGER NOT NULL,
    -- When the confirmation link was last mailed.
    mailed_at INTEGER,
    confirmed_at INTEGER,
    unsubscribed_at INTEGER,
    PRIMARY KEY (address, user_id)
) WITHOUT ROWID;
CREATE INDEX notification_addresses_by_user ON notification_addresses (user_id);
CREATE INDEX notification_addresses_unconfirmed ON notification_addresses (mailed_at)
    WHERE confirmed_at IS NULL AND unsubscribed_at IS NULL;

-- Emails of one day.
CREATE TABLE notification_mail_counts (
    -- What is counted, such as the emails to one address (hashed).
    subject TEXT PRIMARY KEY,
    mails INTEGER NOT NULL,
    -- The count restarts after this time.
    window_ends INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX notification_mail_counts_by_end ON notification_mail_counts (window_ends);

-- When `delivery-resume` last ran, in Unix seconds: time without it does not count as time of trying.
CREATE TABLE notification_resumes (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    resumed_at INTEGER NOT NULL
);
INSERT INTO notification_resumes (id, resumed_at) VALUES (1, 0);

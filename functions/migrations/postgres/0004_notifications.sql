CREATE TABLE notifications (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- The whole config as JSON, sealed with ENCRYPTION_KEY.
    sealed_config TEXT NOT NULL,
    -- All endpoints, including future ones; otherwise those in notification_endpoints, perhaps none.
    all_endpoints BOOLEAN NOT NULL,
    enabled BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    -- Failures in a row, where messages sent at the same time count once; the last failure; and the earliest
    -- time for the next message (`Retry-After`).
    failures BIGINT NOT NULL DEFAULT 0,
    failed_at TIMESTAMPTZ,
    not_before TIMESTAMPTZ,
    -- Whether messages are sent when an endpoint is degraded.
    send_degraded BOOLEAN NOT NULL DEFAULT TRUE,
    -- When a message (a test or an alert) first arrived with the current config; NULL: never.
    tested_at TIMESTAMPTZ
);
CREATE INDEX notifications_by_user ON notifications (user_id, id);

CREATE TABLE notification_endpoints (
    notification_id BIGINT NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    endpoint_id BIGINT NOT NULL,
    PRIMARY KEY (notification_id, endpoint_id)
);
CREATE INDEX notification_endpoints_by_endpoint ON notification_endpoints (endpoint_id);

-- With the endpoints as a JSON array; NULL: all of the user's.
CREATE VIEW notification_rows AS
SELECT n.*, CASE WHEN n.all_endpoints THEN NULL ELSE
    COALESCE((SELECT JSON_AGG(endpoint_id ORDER BY endpoint_id)::TEXT FROM notification_endpoints WHERE notification_id = n.id), '[]') END AS endpoint_ids
FROM notifications n;

-- The state machine's state of each endpoint. Scheduled times are in microseconds: each check compares and
-- writes them, so they are kept small. No index covers the columns that a check changes.
CREATE TABLE notification_states (
    endpoint_id BIGINT PRIMARY KEY,
    user_id BIGINT NOT NULL,
    status TEXT NOT NULL,
    -- Number of results in a row that indicate another status.
    run INTEGER NOT NULL,
    last_scheduled_at BIGINT NOT NULL,
    failing_since BIGINT,
    cause TEXT,
    -- Set when the endpoint is deleted: a late result must not create the state again.
    deleted_at TIMESTAMPTZ,
    -- The region of the newest result; NULL until the next result, and during a maintenance.
    region TEXT,
    revision BIGINT NOT NULL DEFAULT 0,
    -- Since when the endpoint has been unreachable, in microseconds. Any answer of an endpoint shows that the
    -- region works, so only unreachable endpoints count towards a region outage.
    unreachable_since BIGINT,
    -- The endpoint works, but a warning condition is not met.
    degraded BOOLEAN NOT NULL DEFAULT FALSE,
    -- Number of results in a row that contradict `degraded`.
    degraded_run INTEGER NOT NULL DEFAULT 0
) WITH (fillfactor = 70);
CREATE INDEX notification_states_by_user ON notification_states (user_id);
CREATE INDEX notification_states_deleted ON notification_states (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX notification_states_unreachable ON notification_states (region, unreachable_since)
    WHERE unreachable_since IS NOT NULL;

-- Users' language and time zone for messages: a copy from `users`, updated by `user.changed`.
CREATE TABLE notification_readers (
    user_id BIGINT PRIMARY KEY,
    revision BIGINT NOT NULL,
    language TEXT NOT NULL,
    time_zone TEXT NOT NULL
);

CREATE TABLE notification_user_tombstones (
    user_id BIGINT PRIMARY KEY,
    deleted_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX notification_user_tombstones_by_time ON notification_user_tombstones (deleted_at);

-- The reply to each event, so that a redelivered event gets the same reply.
CREATE TABLE notification_changes (
    endpoint_id BIGINT NOT NULL,
    scheduled_at BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    change TEXT NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    -- When to publish the change again if it is not handled by then; NULL: it was handled.
    due_at TIMESTAMPTZ,
    PRIMARY KEY (endpoint_id, scheduled_at)
);
CREATE INDEX notification_changes_by_event ON notification_changes (event_id);
CREATE INDEX notification_changes_by_user ON notification_changes (user_id);
CREATE INDEX notification_changes_by_time ON notification_changes (recorded_at);
CREATE INDEX notification_changes_due ON notification_changes (due_at) WHERE due_at IS NOT NULL;

-- One message to one notification about one change.
CREATE TABLE deliveries (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL,
    notification_id BIGINT NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    endpoint_id BIGINT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL,
    what TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- Masked, for display.
    recipient TEXT NOT NULL,
    alert TEXT NOT NULL,
    status TEXT NOT NULL,
    error TEXT,
    attempt BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    -- NULL until the broker has accepted it.
    published_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    -- The target's host; empty: our own mail server.
    host TEXT NOT NULL DEFAULT '',
    -- Failed tries of this attempt.
    tries BIGINT NOT NULL DEFAULT 0,
    asked_at TIMESTAMPTZ NOT NULL,
    due_at TIMESTAMPTZ NOT NULL,
    -- Set while a sender handles it.
    leased_at TIMESTAMPTZ,
    -- For email: the hashed addresses that have received it, as a JSON array.
    reached TEXT NOT NULL DEFAULT '[]',
    -- When it was first handed to the broker: from then on its text is fixed. NULL: a later change of the
    -- endpoint replaces it in the same row.
    handed_at TIMESTAMPTZ,
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
    user_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    notification_id BIGINT NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, key)
);
CREATE INDEX notification_idempotency_keys_by_notification ON notification_idempotency_keys (notification_id);

-- A region outage that was reported to a user.
CREATE TABLE notification_region_outages (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region TEXT NOT NULL,
    user_id BIGINT NOT NULL,
    -- Microseconds, like scheduled times: the first failure whose alert was held.
    since BIGINT NOT NULL,
    -- It lasted too long: alerts are no longer held.
    given_up BOOLEAN NOT NULL,
    UNIQUE (region, user_id)
);
CREATE INDEX notification_region_outages_by_user ON notification_region_outages (user_id);

CREATE TABLE notification_purges (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    trusted_at BIGINT NOT NULL,
    doubted_at BIGINT
);
INSERT INTO notification_purges (id, trusted_at) VALUES (1, 0);

-- Email addresses of notifications: notifications/addresses. Times are Unix seconds.
CREATE TABLE notification_addresses (
    -- In lower case.
    address TEXT NOT NULL,
    -- The user whose messages this is about; 0: all users.
    user_id BIGINT NOT NULL,
    -- When the confirmation link was last mailed.
    mailed_at BIGINT,
    confirmed_at BIGINT,
    unsubscribed_at BIGINT,
    PRIMARY KEY (address, user_id)
);
CREATE INDEX notification_addresses_by_user ON notification_addresses (user_id);
CREATE INDEX notification_addresses_unconfirmed ON notification_addresses (mailed_at)
    WHERE confirmed_at IS NULL AND unsubscribed_at IS NULL;

-- Emails of one day.
CREATE TABLE notification_mail_counts (
    -- What is counted, such as the emails to one address (hashed).
    subject TEXT PRIMARY KEY,
    mails BIGINT NOT NULL,
    -- The count restarts after this time.
    window_ends BIGINT NOT NULL
);
CREATE INDEX notification_mail_counts_by_end ON notification_mail_counts (window_ends);

-- When `delivery-resume` last ran, in Unix seconds: time without it does not count as time of trying.
CREATE TABLE notification_resumes (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    resumed_at BIGINT NOT NULL
);
INSERT INTO notification_resumes (id, resumed_at) VALUES (1, 0);

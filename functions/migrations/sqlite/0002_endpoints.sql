CREATE TABLE endpoints (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- JSON: the values that differ from the kind's defaults; secrets are sealed.
    config TEXT NOT NULL,
    interval_seconds INTEGER NOT NULL,
    timeout_ms INTEGER NOT NULL,
    assertions TEXT NOT NULL,
    retries INTEGER NOT NULL,
    failure_threshold INTEGER NOT NULL,
    success_threshold INTEGER NOT NULL,
    enabled BOOLEAN NOT NULL,
    tags TEXT NOT NULL,
    -- Last observed status (pending, up, down); shown as paused while not enabled.
    status TEXT NOT NULL,
    -- Unix seconds: the scheduled time of the check that decided the status.
    status_changed_at INTEGER,
    -- Unix seconds.
    last_checked_at INTEGER,
    -- Unix seconds: the first scheduled time that is not handed out yet. Its phase is the endpoint's jitter.
    next_check_at INTEGER NOT NULL,
    -- Unix seconds: the end of the lease on the scheduled times for a claimer that has not confirmed yet.
    leased_until INTEGER,
    missed_checks INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    -- Incremented by each change of what a check does or means.
    revision INTEGER NOT NULL DEFAULT 1,
    -- The newest revision whose settings differ from those of the one before. A maintenance begins a revision
    -- too.
    settings_revision INTEGER NOT NULL DEFAULT 1,
    -- The newest revision that the state machine was notified of; if it is older than `revision`,
    -- endpoint-announce notifies it again.
    announced_revision INTEGER NOT NULL DEFAULT 1,
    -- The revision that decided `status`: a status change of an older revision does not override it.
    status_revision INTEGER NOT NULL DEFAULT 0,
    -- Unix seconds; set while `status` is down.
    down_since INTEGER,
    -- The newest result, for `status_reason`: its revision and its scheduled time (Unix seconds).
    result_revision INTEGER NOT NULL DEFAULT 0,
    result_scheduled_at INTEGER,
    -- Failed checks in a row.
    failures INTEGER NOT NULL DEFAULT 0,
    -- JSON; NULL: the check succeeded, and counts.
    result_note TEXT,
    -- Bytes that the endpoint's checks send through the broker; a quota limits their sum for each user.
    bytes_per_minute INTEGER NOT NULL DEFAULT 0,
    -- Bytes of the endpoint's settings, however rarely it is checked; a quota limits their sum for each user,
    -- because lists contain them.
    settings_bytes INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX endpoints_by_user ON endpoints (user_id, id);
CREATE INDEX endpoints_due ON endpoints (next_check_at) WHERE enabled;
CREATE INDEX endpoints_unannounced ON endpoints (id) WHERE announced_revision < revision;

-- Deleted users: a key that the gateway accepts for a moment longer must not create objects again.
CREATE TABLE endpoint_user_tombstones (
    user_id INTEGER PRIMARY KEY,
    -- Unix seconds: tombstones are purged too.
    deleted_at INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX endpoint_user_tombstones_by_time ON endpoint_user_tombstones (deleted_at);

-- During a maintenance, the results of its endpoints are marked and do not count.
CREATE TABLE endpoint_maintenances (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    -- Unix seconds.
    starts_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    -- All endpoints, including future ones; otherwise those in endpoint_maintenance_endpoints, perhaps none.
    all_endpoints BOOLEAN NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX endpoint_maintenances_by_user ON endpoint_maintenances (user_id, starts_at);
-- Every claim selects the maintenances that have not ended.
CREATE INDEX endpoint_maintenances_by_end ON endpoint_maintenances (ends_at);

CREATE TABLE endpoint_maintenance_endpoints (
    maintenance_id INTEGER NOT NULL REFERENCES endpoint_maintenances (id) ON DELETE CASCADE,
    endpoint_id INTEGER NOT NULL,
    PRIMARY KEY (maintenance_id, endpoint_id)
) WITHOUT ROWID;
CREATE INDEX endpoint_maintenance_endpoints_by_endpoint ON endpoint_maintenance_endpoints (endpoint_id);

-- With the endpoints as a JSON array; NULL: all of the user's.
CREATE VIEW endpoint_maintenance_rows AS
SELECT m.*, CASE WHEN m.all_endpoints THEN NULL ELSE
    (SELECT JSON_GROUP_ARRAY(endpoint_id ORDER BY endpoint_id) FROM endpoint_maintenance_endpoints WHERE maintenance_id = m.id) END AS endpoint_ids
FROM endpoint_maintenances m;

-- The endpoint that a request created: a repeated request does not create another one.
CREATE TABLE endpoint_idempotency_keys (
    user_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    endpoint_id INTEGER NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, key)
) WITHOUT ROWID;
CREATE INDEX endpoint_idempotency_keys_by_endpoint ON endpoint_idempotency_keys (endpoint_id);

-- Number of endpoints by user. Each page of the list contains it, and counting ten thousand takes longer than
-- finding a page of them. Each statement that adds or removes endpoints updates it.
CREATE TABLE endpoint_counts (
    user_id INTEGER PRIMARY KEY,
    endpoints INTEGER NOT NULL,
    bytes_per_minute INTEGER NOT NULL DEFAULT 0,
    settings_bytes INTEGER NOT NULL DEFAULT 0
);

CREATE TRIGGER endpoint_counts_added AFTER INSERT ON endpoints BEGIN
    INSERT INTO endpoint_counts (user_id, endpoints, bytes_per_minute, settings_bytes)
    VALUES (new.user_id, 1, new.bytes_per_minute, new.settings_bytes)
    ON CONFLICT (user_id) DO UPDATE SET endpoints = endpoints + 1,
        bytes_per_minute = bytes_per_minute + excluded.bytes_per_minute,
        settings_bytes = settings_bytes + excluded.settings_bytes;
END;
CREATE TRIGGER endpoint_counts_changed AFTER UPDATE OF bytes_per_minute, settings_bytes ON endpoints BEGIN
    UPDATE endpoint_counts SET bytes_per_minute = bytes_per_minute + new.bytes_per_minute - old.bytes_per_minute,
        settings_bytes = settings_bytes + new.settings_bytes - old.settings_bytes
    WHERE user_id = new.user_id;
END;
CREATE TRIGGER endpoint_counts_removed AFTER DELETE ON endpoints BEGIN
    UPDATE endpoint_counts SET endpoints = endpoints - 1, bytes_per_minute = bytes_per_minute - old.bytes_per_minute,
        settings_bytes = settings_bytes - old.settings_bytes
    WHERE user_id = old.user_id;
END;

-- The time of the last claim [Unix seconds]: a clock that shows an earlier time was set back.
CREATE TABLE endpoint_clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    claimed_at INTEGER NOT NULL
);
INSERT INTO endpoint_clock (id, claimed_at) VALUES (1, 0);

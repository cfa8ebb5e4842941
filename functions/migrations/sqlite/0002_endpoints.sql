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
    -- Unix seconds: the scheduled time that decided.
    status_changed_at INTEGER,
    -- Unix seconds.
    last_checked_at INTEGER,
    -- Unix seconds: the first scheduled time that was not handed out yet. Its phase is the endpoint's jitter.
    next_check_at INTEGER NOT NULL,
    -- Unix seconds: until then the scheduled times are promised to somebody who has not confirmed yet.
    leased_until INTEGER,
    missed_checks INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    -- Grows with each change of what a check does or means.
    revision INTEGER NOT NULL DEFAULT 1,
    -- The newest of them that has other settings than the one before it: a maintenance begins one, too.
    settings_revision INTEGER NOT NULL DEFAULT 1,
    -- The newest revision of which the state machine was told: where it is older, endpoint-announce tells it again.
    announced_revision INTEGER NOT NULL DEFAULT 1,
    -- What `status` was decided by: a change of an older revision does not undo it.
    status_revision INTEGER NOT NULL DEFAULT 0,
    -- Unix seconds; set while `status` is down.
    down_since INTEGER,
    -- What the newest result says, for `status_reason`. Its revision and scheduled time (Unix seconds):
    result_revision INTEGER NOT NULL DEFAULT 0,
    result_scheduled_at INTEGER,
    -- Failed checks in a row.
    failures INTEGER NOT NULL DEFAULT 0,
    -- JSON; NULL: the check succeeded, and counts.
    result_note TEXT,
    -- What an endpoint's checks make the broker carry, and of a user's endpoints together: bounded by a quota.
    bytes_per_minute INTEGER NOT NULL DEFAULT 0,
    -- What an endpoint's settings take however seldom it is checked, and a user's endpoints together: bounded by a quota,
    -- for lists show them.
    settings_bytes INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX endpoints_by_user ON endpoints (user_id, id);
CREATE INDEX endpoints_due ON endpoints (next_check_at) WHERE enabled;
CREATE INDEX endpoints_unannounced ON endpoints (id) WHERE announced_revision < revision;

-- Users who are gone: a key that the gateway still believes for a moment must bring nothing back.
CREATE TABLE endpoint_user_tombstones (
    user_id INTEGER PRIMARY KEY,
    -- Unix seconds: what remembers deleted users is purged, too.
    deleted_at INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX endpoint_user_tombstones_by_time ON endpoint_user_tombstones (deleted_at);

-- While one lasts, the results of its endpoints are marked, and count for nothing.
CREATE TABLE endpoint_maintenances (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    -- Unix seconds.
    starts_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    -- Those to come included; otherwise those in endpoint_maintenance_endpoints, perhaps none.
    all_endpoints BOOLEAN NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX endpoint_maintenances_by_user ON endpoint_maintenances (user_id, starts_at);
-- Every claim asks for those that are not over.
CREATE INDEX endpoint_maintenances_by_end ON endpoint_maintenances (ends_at);

CREATE TABLE endpoint_maintenance_endpoints (
    maintenance_id INTEGER NOT NULL REFERENCES endpoint_maintenances (id) ON DELETE CASCADE,
    endpoint_id INTEGER NOT NULL,
    PRIMARY KEY (maintenance_id, endpoint_id)
) WITHOUT ROWID;
CREATE INDEX endpoint_maintenance_endpoints_by_endpoint ON endpoint_maintenance_endpoints (endpoint_id);

-- With its endpoints as a JSON array; NULL: all of the user's.
CREATE VIEW endpoint_maintenance_rows AS
SELECT m.*, CASE WHEN m.all_endpoints THEN NULL ELSE
    (SELECT JSON_GROUP_ARRAY(endpoint_id ORDER BY endpoint_id) FROM endpoint_maintenance_endpoints WHERE maintenance_id = m.id) END AS endpoint_ids
FROM endpoint_maintenances m;

-- Which request made which endpoint: one that is sent again makes no other.
CREATE TABLE endpoint_idempotency_keys (
    user_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    endpoint_id INTEGER NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, key)
) WITHOUT ROWID;
CREATE INDEX endpoint_idempotency_keys_by_endpoint ON endpoint_idempotency_keys (endpoint_id);

-- How many endpoints a user has: each page of the list says it, and to count ten thousand takes longer
-- than to find a page of them. The statement that adds or removes endpoints keeps it right.
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

-- When endpoints were last claimed [Unix seconds]: a clock that shows less was set back.
CREATE TABLE endpoint_clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    claimed_at INTEGER NOT NULL
);
INSERT INTO endpoint_clock (id, claimed_at) VALUES (1, 0);

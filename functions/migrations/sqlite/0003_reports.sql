-- One row for each endpoint and region that ever had a result. A result names its series instead of
-- repeating user, endpoint and region.
CREATE TABLE report_series (
    -- The low 23 bits of a result's id.
    id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 8388607),
    user_id INTEGER NOT NULL,
    endpoint_id INTEGER NOT NULL,
    region TEXT NOT NULL,
    -- Being deleted: shown to nobody, and given no more results.
    forgotten BOOLEAN NOT NULL DEFAULT FALSE,
    -- Scheduled times, from and before, whose results count as in maintenance, whatever their checks were told: it began, or was
    -- changed, after they had been asked for.
    maintenance_from INTEGER,
    maintenance_until INTEGER,
    UNIQUE (endpoint_id, region)
);
CREATE INDEX report_series_by_user ON report_series (user_id);

-- Whose late results must not bring them back.
CREATE TABLE report_tombstones (
    what TEXT NOT NULL CHECK (what IN ('user', 'endpoint')),
    id INTEGER NOT NULL,
    -- Unix seconds.
    deleted_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (what, id)
) WITHOUT ROWID;
CREATE INDEX report_tombstones_by_time ON report_tombstones (deleted_at);

-- When endpoints got other settings, the last few times: checks made after that with older ones are not recorded.
CREATE TABLE report_revisions (
    endpoint_id INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    -- Unix milliseconds.
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (endpoint_id, revision)
);
CREATE INDEX report_revisions_by_user ON report_revisions (user_id);

-- The id is the scheduled time (seconds since 2025) and the series: rows are appended in the order of time, and
-- a result that comes twice meets itself.
CREATE TABLE report_results (
    id INTEGER PRIMARY KEY,
    series_id INTEGER NOT NULL,
    checked_after_ms INTEGER NOT NULL,
    up BOOLEAN NOT NULL,
    status_code INTEGER,
    dns_ms INTEGER,
    connect_ms INTEGER,
    tls_ms INTEGER,
    first_byte_ms INTEGER,
    transfer_ms INTEGER,
    total_ms INTEGER NOT NULL,
    ip BLOB,
    certificate_expires INTEGER,
    response_bytes INTEGER NOT NULL,
    error_code TEXT,
    error_message TEXT,
    -- TRUE, or NULL, which is the smallest.
    maintenance BOOLEAN
);
-- Holds the id as well, as every index does: one series in the order of time.
CREATE INDEX report_results_by_series ON report_results (series_id);

-- What is left of a series' hour (span 3600) or day (span 86400).
CREATE TABLE report_rollups (
    series_id INTEGER NOT NULL,
    span INTEGER NOT NULL,
    start INTEGER NOT NULL,
    checks INTEGER NOT NULL,
    up INTEGER NOT NULL,
    sum_ms INTEGER NOT NULL,
    min_ms INTEGER NOT NULL,
    max_ms INTEGER NOT NULL,
    latency BLOB NOT NULL,
    -- Sums over the successful checks; NULL where none had the phase.
    dns_ms INTEGER,
    connect_ms INTEGER,
    tls_ms INTEGER,
    first_byte_ms INTEGER,
    transfer_ms INTEGER,
    -- What `checks` and `up` leave out: lists show it all the same.
    maintenance_checks INTEGER NOT NULL DEFAULT 0,
    maintenance_up INTEGER NOT NULL DEFAULT 0,
    -- How many of those that are up were degraded.
    degraded INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (series_id, span, start)
) WITHOUT ROWID;
CREATE INDEX report_rollups_by_start ON report_rollups (span, start);

-- Hours that got a result after they may have been rolled up.
CREATE TABLE report_late_hours (
    start INTEGER PRIMARY KEY,
    -- Counts, so that a mark that came while the hour was being redone is not taken for done.
    marks INTEGER NOT NULL
);

CREATE TABLE report_state (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO report_state (name, value) VALUES ('series_given', 0);

CREATE TABLE report_incidents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    endpoint_id INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    -- NULL: still open.
    ended_at TEXT,
    cause_code TEXT,
    cause_message TEXT,
    -- recovered, paused; NULL while it is open.
    end_reason TEXT,
    UNIQUE (endpoint_id, started_at)
);
CREATE INDEX report_incidents_by_user ON report_incidents (user_id, started_at);

-- What a series comes to in the buckets of an overview (16 minutes), of the last days: to add up single results
-- of many endpoints would take too long.
CREATE TABLE report_buckets (
    series_id INTEGER NOT NULL,
    start INTEGER NOT NULL,
    checks INTEGER NOT NULL,
    up INTEGER NOT NULL,
    sum_ms INTEGER NOT NULL,
    PRIMARY KEY (series_id, start)
) WITHOUT ROWID;
CREATE INDEX report_buckets_by_start ON report_buckets (start);

-- The time that a service's purges go by, in Unix seconds: functions/purge.rs.
CREATE TABLE report_purges (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    trusted_at INTEGER NOT NULL,
    -- Since when a clock showed a time too far ahead of that; NULL: none did.
    doubted_at INTEGER
);
INSERT INTO report_purges (id, trusted_at) VALUES (1, 0);

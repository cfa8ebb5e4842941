-- One row for each endpoint and region that ever had a result. A result refers to its series instead of
-- repeating user, endpoint and region.
CREATE TABLE report_series (
    -- The low 23 bits of a result's id.
    id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 8388607),
    user_id INTEGER NOT NULL,
    endpoint_id INTEGER NOT NULL,
    region TEXT NOT NULL,
    -- Being deleted: hidden, and accepts no more results.
    forgotten BOOLEAN NOT NULL DEFAULT FALSE,
    -- Scheduled times (from inclusive, until exclusive) whose results count as in maintenance, whatever their
    -- checks say: the maintenance began or changed after the checks were requested.
    maintenance_from INTEGER,
    maintenance_until INTEGER,
    UNIQUE (endpoint_id, region)
);
CREATE INDEX report_series_by_user ON report_series (user_id);

-- Deleted users and endpoints: late results must not create their series again.
CREATE TABLE report_tombstones (
    what TEXT NOT NULL CHECK (what IN ('user', 'endpoint')),
    id INTEGER NOT NULL,
    -- Unix seconds.
    deleted_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (what, id)
) WITHOUT ROWID;
CREATE INDEX report_tombstones_by_time ON report_tombstones (deleted_at);

-- The most recent changes of endpoints' settings: checks made after a change with older settings are not
-- recorded.
CREATE TABLE report_revisions (
    endpoint_id INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    -- Unix milliseconds.
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (endpoint_id, revision)
);
CREATE INDEX report_revisions_by_user ON report_revisions (user_id);

-- The id consists of the scheduled time (seconds since 2025) and the series: rows are appended in the order
-- of time, and a duplicate result has the same id.
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
    -- TRUE or NULL, which takes the least space.
    maintenance BOOLEAN
);
-- Every index contains the id too: one series is ordered by time.
CREATE INDEX report_results_by_series ON report_results (series_id);

-- The summary of a series' hour (span 3600) or day (span 86400).
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
    -- Sums over the successful checks; NULL if none had the phase.
    dns_ms INTEGER,
    connect_ms INTEGER,
    tls_ms INTEGER,
    first_byte_ms INTEGER,
    transfer_ms INTEGER,
    -- Checks that `checks` and `up` leave out; lists show them anyway.
    maintenance_checks INTEGER NOT NULL DEFAULT 0,
    maintenance_up INTEGER NOT NULL DEFAULT 0,
    -- How many of the checks that are up were degraded.
    degraded INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (series_id, span, start)
) WITHOUT ROWID;
CREATE INDEX report_rollups_by_start ON report_rollups (span, start);

-- Hours that got a result after they may have been rolled up.
CREATE TABLE report_late_hours (
    start INTEGER PRIMARY KEY,
    -- Counts the marks, so that a mark made while the hour is rolled up again is not lost.
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

-- Sums of a series for the last days in the buckets of an overview (16 minutes): adding up the single results
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

-- The trusted time for a service's purges, in Unix seconds: functions/purge.rs.
CREATE TABLE report_purges (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    trusted_at INTEGER NOT NULL,
    -- Since when a clock has shown a time too far ahead of it; NULL: no clock has.
    doubted_at INTEGER
);
INSERT INTO report_purges (id, trusted_at) VALUES (1, 0);

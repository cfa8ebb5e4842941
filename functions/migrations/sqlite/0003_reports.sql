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
    UNIQUE (endpoint_id, region)
);
CREATE INDEX report_series_by_user ON report_series (user_id);

-- Whose late results must not bring them back.
CREATE TABLE report_forgotten (
    what TEXT NOT NULL CHECK (what IN ('user', 'endpoint')),
    id INTEGER NOT NULL,
    PRIMARY KEY (what, id)
) WITHOUT ROWID;

-- The id is the slot (seconds since 2025) and the series: rows are appended in the order of time, and
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
    error_message TEXT
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

CREATE TABLE report_incidents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    endpoint_id INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    -- NULL: still open.
    ended_at TEXT,
    cause_code TEXT,
    cause_message TEXT,
    UNIQUE (endpoint_id, started_at)
);
CREATE INDEX report_incidents_by_user ON report_incidents (user_id, started_at);

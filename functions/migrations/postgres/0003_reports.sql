-- One row for each endpoint and region that ever had a result. A result names its series instead of
-- repeating user, endpoint and region.
CREATE TABLE report_series (
    -- The low 23 bits of a result's id.
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY CHECK (id BETWEEN 1 AND 8388607),
    user_id BIGINT NOT NULL,
    endpoint_id BIGINT NOT NULL,
    region TEXT NOT NULL,
    -- Being deleted: shown to nobody, and given no more results.
    forgotten BOOLEAN NOT NULL DEFAULT FALSE,
    UNIQUE (endpoint_id, region)
);
CREATE INDEX report_series_by_user ON report_series (user_id);

-- Whose late results must not bring them back.
CREATE TABLE report_forgotten (
    what TEXT NOT NULL CHECK (what IN ('user', 'endpoint')),
    id BIGINT NOT NULL,
    PRIMARY KEY (what, id)
);

-- The id is the slot (seconds since 2025) and the series: rows are appended in the order of time, and
-- a result that comes twice meets itself. One partition a day, made when its first result comes.
CREATE TABLE report_results (
    id BIGINT PRIMARY KEY,
    response_bytes BIGINT NOT NULL,
    certificate_expires BIGINT,
    series_id BIGINT NOT NULL,
    checked_after_ms INTEGER NOT NULL,
    dns_ms INTEGER,
    connect_ms INTEGER,
    tls_ms INTEGER,
    first_byte_ms INTEGER,
    transfer_ms INTEGER,
    total_ms INTEGER NOT NULL,
    status_code INTEGER,
    up BOOLEAN NOT NULL,
    ip BYTEA,
    error_code TEXT,
    error_message TEXT
) PARTITION BY RANGE (id);
CREATE INDEX report_results_by_series ON report_results (series_id, id);

-- What is left of a series' hour (span 3600) or day (span 86400).
CREATE TABLE report_rollups (
    series_id BIGINT NOT NULL,
    span BIGINT NOT NULL,
    start BIGINT NOT NULL,
    checks BIGINT NOT NULL,
    up BIGINT NOT NULL,
    sum_ms BIGINT NOT NULL,
    min_ms BIGINT NOT NULL,
    max_ms BIGINT NOT NULL,
    latency BYTEA NOT NULL,
    PRIMARY KEY (series_id, span, start)
);
CREATE INDEX report_rollups_by_start ON report_rollups (span, start);

-- Hours that got a result after they may have been rolled up.
CREATE TABLE report_late_hours (
    start BIGINT PRIMARY KEY,
    -- Counts, so that a mark that came while the hour was being redone is not taken for done.
    marks BIGINT NOT NULL
);

CREATE TABLE report_state (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE report_incidents (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL,
    endpoint_id BIGINT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    -- NULL: still open.
    ended_at TIMESTAMPTZ,
    cause_code TEXT,
    cause_message TEXT,
    UNIQUE (endpoint_id, started_at)
);
CREATE INDEX report_incidents_by_user ON report_incidents (user_id, started_at);

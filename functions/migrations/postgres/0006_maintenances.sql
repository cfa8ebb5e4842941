-- While one lasts, the results of its endpoints are marked, and count for nothing.
CREATE TABLE endpoint_maintenances (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    -- Unix seconds.
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    -- A JSON array; NULL: all of the user's endpoints. An empty one covers none.
    endpoint_ids TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX endpoint_maintenances_by_user ON endpoint_maintenances (user_id, starts_at);
-- Every claim asks for those that are not over.
CREATE INDEX endpoint_maintenances_by_end ON endpoint_maintenances (ends_at);

-- Which request made which endpoint: one that is sent again makes no other.
CREATE TABLE endpoint_idempotency_keys (
    user_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    endpoint_id BIGINT NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, key)
);
CREATE INDEX endpoint_idempotency_keys_by_endpoint ON endpoint_idempotency_keys (endpoint_id);

CREATE TABLE notification_idempotency_keys (
    user_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    notification_id BIGINT NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, key)
);
CREATE INDEX notification_idempotency_keys_by_notification ON notification_idempotency_keys (notification_id);

-- TRUE, or NULL, which is the smallest.
ALTER TABLE report_results ADD COLUMN maintenance BOOLEAN;

-- Sums over the successful checks; NULL where none had the phase.
ALTER TABLE report_rollups ADD COLUMN dns_ms BIGINT;
ALTER TABLE report_rollups ADD COLUMN connect_ms BIGINT;
ALTER TABLE report_rollups ADD COLUMN tls_ms BIGINT;
ALTER TABLE report_rollups ADD COLUMN first_byte_ms BIGINT;
ALTER TABLE report_rollups ADD COLUMN transfer_ms BIGINT;
-- What `checks` and `up` leave out: lists show it all the same.
ALTER TABLE report_rollups ADD COLUMN maintenance_checks BIGINT NOT NULL DEFAULT 0;
ALTER TABLE report_rollups ADD COLUMN maintenance_up BIGINT NOT NULL DEFAULT 0;

-- What a series comes to in the slots of an overview (16 minutes), of the last days: to add up single results
-- of many endpoints would take too long.
CREATE TABLE report_slots (
    series_id BIGINT NOT NULL,
    start BIGINT NOT NULL,
    checks BIGINT NOT NULL,
    up BIGINT NOT NULL,
    sum_ms BIGINT NOT NULL,
    PRIMARY KEY (series_id, start)
);
CREATE INDEX report_slots_by_start ON report_slots (start);

-- The next rollup makes anew what was rolled up without phases, as long as the results are there.
INSERT INTO report_late_hours (start, marks)
SELECT DISTINCT start, 1 FROM report_rollups
WHERE span = 3600 AND start >= COALESCE((SELECT value FROM report_state WHERE name = 'raw_from'), 0)
ON CONFLICT (start) DO UPDATE SET marks = report_late_hours.marks + 1;

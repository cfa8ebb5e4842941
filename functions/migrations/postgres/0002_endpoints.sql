-- Every claim and every check writes the row: room on the page keeps that cheap.
CREATE TABLE endpoints (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL,
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
    status_changed_at BIGINT,
    -- Unix seconds.
    last_checked_at BIGINT,
    -- Unix seconds: the first scheduled time that was not handed out yet. Its phase is the endpoint's jitter.
    next_check_at BIGINT NOT NULL,
    -- Unix seconds: until then the scheduled times are promised to somebody who has not confirmed yet.
    leased_until BIGINT,
    missed_checks BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    -- Grows with each change of what a check does or means.
    revision BIGINT NOT NULL DEFAULT 1,
    -- The newest of them that has other settings than the one before it: a maintenance begins one, too.
    settings_revision BIGINT NOT NULL DEFAULT 1,
    -- The newest revision of which the state machine was told: where it is older, endpoint-announce tells it again.
    announced_revision BIGINT NOT NULL DEFAULT 1,
    -- What `status` was decided by: a change of an older revision does not undo it.
    status_revision BIGINT NOT NULL DEFAULT 0,
    -- Unix seconds; set while `status` is down.
    down_since BIGINT,
    -- What the newest result says, for `status_reason`. Its revision and scheduled time (Unix seconds):
    result_revision BIGINT NOT NULL DEFAULT 0,
    result_scheduled_at BIGINT,
    -- Failed checks in a row.
    failures BIGINT NOT NULL DEFAULT 0,
    -- JSON; NULL: the check succeeded, and counts.
    result_note TEXT,
    -- What an endpoint's checks make the broker carry, and of a user's endpoints together: bounded by a quota.
    bytes_per_minute BIGINT NOT NULL DEFAULT 0,
    -- What an endpoint's settings take however seldom it is checked, and a user's endpoints together: bounded by a quota,
    -- for lists show them.
    settings_bytes BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 80);
CREATE INDEX endpoints_by_user ON endpoints (user_id, id);
CREATE INDEX endpoints_due ON endpoints (next_check_at) WHERE enabled;
CREATE INDEX endpoints_unannounced ON endpoints (id) WHERE announced_revision < revision;

-- Users who are gone: a key that the gateway still believes for a moment must bring nothing back.
CREATE TABLE endpoint_user_tombstones (
    user_id BIGINT PRIMARY KEY,
    -- Unix seconds: what remembers deleted users is purged, too.
    deleted_at BIGINT NOT NULL DEFAULT EXTRACT(EPOCH FROM now())::BIGINT
);
CREATE INDEX endpoint_user_tombstones_by_time ON endpoint_user_tombstones (deleted_at);

-- While one lasts, the results of its endpoints are marked, and count for nothing.
CREATE TABLE endpoint_maintenances (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    -- Unix seconds.
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    -- Those to come included; otherwise those in endpoint_maintenance_endpoints, perhaps none.
    all_endpoints BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX endpoint_maintenances_by_user ON endpoint_maintenances (user_id, starts_at);
-- Every claim asks for those that are not over.
CREATE INDEX endpoint_maintenances_by_end ON endpoint_maintenances (ends_at);

CREATE TABLE endpoint_maintenance_endpoints (
    maintenance_id BIGINT NOT NULL REFERENCES endpoint_maintenances (id) ON DELETE CASCADE,
    endpoint_id BIGINT NOT NULL,
    PRIMARY KEY (maintenance_id, endpoint_id)
);
CREATE INDEX endpoint_maintenance_endpoints_by_endpoint ON endpoint_maintenance_endpoints (endpoint_id);

-- With its endpoints as a JSON array; NULL: all of the user's.
CREATE VIEW endpoint_maintenance_rows AS
SELECT m.*, CASE WHEN m.all_endpoints THEN NULL ELSE
    COALESCE((SELECT JSON_AGG(endpoint_id ORDER BY endpoint_id)::TEXT FROM endpoint_maintenance_endpoints WHERE maintenance_id = m.id), '[]') END AS endpoint_ids
FROM endpoint_maintenances m;

-- Which request made which endpoint: one that is sent again makes no other.
CREATE TABLE endpoint_idempotency_keys (
    user_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    endpoint_id BIGINT NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, key)
);
CREATE INDEX endpoint_idempotency_keys_by_endpoint ON endpoint_idempotency_keys (endpoint_id);

-- How many endpoints a user has: each page of the list says it, and to count ten thousand takes longer
-- than to find a page of them. The statement that adds or removes endpoints keeps it right.
CREATE TABLE endpoint_counts (
    user_id BIGINT PRIMARY KEY,
    endpoints BIGINT NOT NULL,
    bytes_per_minute BIGINT NOT NULL DEFAULT 0,
    settings_bytes BIGINT NOT NULL DEFAULT 0
);

-- By its owner's rights: functions that run while this is migrated have none to the table until their role is
-- given it.
CREATE FUNCTION endpoint_count() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    sign CONSTANT BIGINT := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    INSERT INTO endpoint_counts AS kept (user_id, endpoints, bytes_per_minute, settings_bytes)
    SELECT user_id, sign * COUNT(*), sign * SUM(bytes_per_minute), sign * SUM(settings_bytes)
    FROM changed GROUP BY user_id ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET endpoints = kept.endpoints + excluded.endpoints,
        bytes_per_minute = kept.bytes_per_minute + excluded.bytes_per_minute,
        settings_bytes = kept.settings_bytes + excluded.settings_bytes;
    RETURN NULL;
END $$;

CREATE FUNCTION endpoint_bytes_changed() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE endpoint_counts
    SET bytes_per_minute = bytes_per_minute + NEW.bytes_per_minute - OLD.bytes_per_minute,
        settings_bytes = settings_bytes + NEW.settings_bytes - OLD.settings_bytes
    WHERE user_id = NEW.user_id;
    RETURN NULL;
END $$;

CREATE TRIGGER endpoint_counts_added AFTER INSERT ON endpoints
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION endpoint_count();
CREATE TRIGGER endpoint_counts_removed AFTER DELETE ON endpoints
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION endpoint_count();
-- Of columns that only a change of settings writes: claims do not pay for it.
CREATE TRIGGER endpoint_counts_changed AFTER UPDATE OF bytes_per_minute, settings_bytes ON endpoints
    FOR EACH ROW EXECUTE FUNCTION endpoint_bytes_changed();

-- When endpoints were last claimed [Unix seconds]: a clock that shows less was set back.
CREATE TABLE endpoint_clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    claimed_at BIGINT NOT NULL
);
INSERT INTO endpoint_clock (id, claimed_at) VALUES (1, 0);

-- Every claim and every check updates a row: free space on its page keeps that cheap.
CREATE TABLE endpoints (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL,
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
    status_changed_at BIGINT,
    -- Unix seconds.
    last_checked_at BIGINT,
    -- Unix seconds: the first scheduled time that is not handed out yet. Its phase is the endpoint's jitter.
    next_check_at BIGINT NOT NULL,
    -- Unix seconds: the end of the lease on the scheduled times for a claimer that has not confirmed yet.
    leased_until BIGINT,
    missed_checks BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    -- Incremented by each change of what a check does or means.
    revision BIGINT NOT NULL DEFAULT 1,
    -- The newest revision whose settings differ from those of the one before. A maintenance begins a revision
    -- too.
    settings_revision BIGINT NOT NULL DEFAULT 1,
    -- The newest revision that the state machine was notified of; if it is older than `revision`,
    -- endpoint-announce notifies it again.
    announced_revision BIGINT NOT NULL DEFAULT 1,
    -- The revision that decided `status`: a status change of an older revision does not override it.
    status_revision BIGINT NOT NULL DEFAULT 0,
    -- Unix seconds; set while `status` is down.
    down_since BIGINT,
    -- The newest result, for `status_reason`: its revision and its scheduled time (Unix seconds).
    result_revision BIGINT NOT NULL DEFAULT 0,
    result_scheduled_at BIGINT,
    -- Failed checks in a row.
    failures BIGINT NOT NULL DEFAULT 0,
    -- JSON; NULL: the check succeeded, and counts.
    result_note TEXT,
    -- Bytes that the endpoint's checks send through the broker; a quota limits their sum for each user.
    bytes_per_minute BIGINT NOT NULL DEFAULT 0,
    -- Bytes of the endpoint's settings, however rarely it is checked; a quota limits their sum for each user,
    -- because lists contain them.
    settings_bytes BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 80);
CREATE INDEX endpoints_by_user ON endpoints (user_id, id);
CREATE INDEX endpoints_due ON endpoints (next_check_at) WHERE enabled;
CREATE INDEX endpoints_unannounced ON endpoints (id) WHERE announced_revision < revision;

-- Deleted users: a key that the gateway accepts for a moment longer must not create objects again.
CREATE TABLE endpoint_user_tombstones (
    user_id BIGINT PRIMARY KEY,
    -- Unix seconds: tombstones are purged too.
    deleted_at BIGINT NOT NULL DEFAULT EXTRACT(EPOCH FROM now())::BIGINT
);
CREATE INDEX endpoint_user_tombstones_by_time ON endpoint_user_tombstones (deleted_at);

-- During a maintenance, the results of its endpoints are marked and do not count.
CREATE TABLE endpoint_maintenances (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    -- Unix seconds.
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    -- All endpoints, including future ones; otherwise those in endpoint_maintenance_endpoints, perhaps none.
    all_endpoints BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX endpoint_maintenances_by_user ON endpoint_maintenances (user_id, starts_at);
-- Every claim selects the maintenances that have not ended.
CREATE INDEX endpoint_maintenances_by_end ON endpoint_maintenances (ends_at);

CREATE TABLE endpoint_maintenance_endpoints (
    maintenance_id BIGINT NOT NULL REFERENCES endpoint_maintenances (id) ON DELETE CASCADE,
    endpoint_id BIGINT NOT NULL,
    PRIMARY KEY (maintenance_id, endpoint_id)
);
CREATE INDEX endpoint_maintenance_endpoints_by_endpoint ON endpoint_maintenance_endpoints (endpoint_id);

-- With the endpoints as a JSON array; NULL: all of the user's.
CREATE VIEW endpoint_maintenance_rows AS
SELECT m.*, CASE WHEN m.all_endpoints THEN NULL ELSE
    COALESCE((SELECT JSON_AGG(endpoint_id ORDER BY endpoint_id)::TEXT FROM endpoint_maintenance_endpoints WHERE maintenance_id = m.id), '[]') END AS endpoint_ids
FROM endpoint_maintenances m;

-- The endpoint that a request created: a repeated request does not create another one.
CREATE TABLE endpoint_idempotency_keys (
    user_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    endpoint_id BIGINT NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, key)
);
CREATE INDEX endpoint_idempotency_keys_by_endpoint ON endpoint_idempotency_keys (endpoint_id);

-- Number of endpoints by user. Each page of the list contains it, and counting ten thousand takes longer than
-- finding a page of them. Each statement that adds or removes endpoints updates it.
CREATE TABLE endpoint_counts (
    user_id BIGINT PRIMARY KEY,
    endpoints BIGINT NOT NULL,
    bytes_per_minute BIGINT NOT NULL DEFAULT 0,
    settings_bytes BIGINT NOT NULL DEFAULT 0
);

-- With the rights of its owner: functions that run during the migration have no rights on the table until
-- they are granted to their role.
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
-- Only a change of settings writes these columns: claims do not fire the trigger.
CREATE TRIGGER endpoint_counts_changed AFTER UPDATE OF bytes_per_minute, settings_bytes ON endpoints
    FOR EACH ROW EXECUTE FUNCTION endpoint_bytes_changed();

-- The time of the last claim [Unix seconds]: a clock that shows an earlier time was set back.
CREATE TABLE endpoint_clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    claimed_at BIGINT NOT NULL
);
INSERT INTO endpoint_clock (id, claimed_at) VALUES (1, 0);

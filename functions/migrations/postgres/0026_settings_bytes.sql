-- What an endpoint's settings take however seldom it is checked, and a user's endpoints together: bounded by a quota,
-- for lists show them.
ALTER TABLE endpoints ADD COLUMN settings_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE endpoint_counts ADD COLUMN settings_bytes BIGINT NOT NULL DEFAULT 0;
UPDATE endpoints SET settings_bytes =
    OCTET_LENGTH(config) + OCTET_LENGTH(assertions);
UPDATE endpoint_counts SET settings_bytes =
    (SELECT COALESCE(SUM(e.settings_bytes), 0) FROM endpoints e WHERE e.user_id = endpoint_counts.user_id);

CREATE OR REPLACE FUNCTION endpoint_count() RETURNS TRIGGER
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

CREATE OR REPLACE FUNCTION endpoint_bytes_changed() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE endpoint_counts
    SET bytes_per_minute = bytes_per_minute + NEW.bytes_per_minute - OLD.bytes_per_minute,
        settings_bytes = settings_bytes + NEW.settings_bytes - OLD.settings_bytes
    WHERE user_id = NEW.user_id;
    RETURN NULL;
END $$;

DROP TRIGGER endpoint_counts_changed ON endpoints;
-- Of columns that only a change of settings writes: claims do not pay for it.
CREATE TRIGGER endpoint_counts_changed AFTER UPDATE OF bytes_per_minute, settings_bytes ON endpoints
    FOR EACH ROW EXECUTE FUNCTION endpoint_bytes_changed();

-- What an endpoint's checks make the broker carry, and of a user's endpoints together: bounded by a quota.
ALTER TABLE endpoints ADD COLUMN bytes_per_minute BIGINT NOT NULL DEFAULT 0;
ALTER TABLE endpoint_counts ADD COLUMN bytes_per_minute BIGINT NOT NULL DEFAULT 0;

CREATE OR REPLACE FUNCTION endpoint_count() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    sign CONSTANT BIGINT := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    INSERT INTO endpoint_counts AS kept (user_id, endpoints, bytes_per_minute)
    SELECT user_id, sign * COUNT(*), sign * SUM(bytes_per_minute)
    FROM changed GROUP BY user_id ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET endpoints = kept.endpoints + excluded.endpoints,
        bytes_per_minute = kept.bytes_per_minute + excluded.bytes_per_minute;
    RETURN NULL;
END $$;

CREATE FUNCTION endpoint_bytes_changed() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE endpoint_counts
    SET bytes_per_minute = bytes_per_minute + NEW.bytes_per_minute - OLD.bytes_per_minute
    WHERE user_id = NEW.user_id;
    RETURN NULL;
END $$;

-- Of a column that only a change of settings writes: claims do not pay for it.
CREATE TRIGGER endpoint_counts_changed AFTER UPDATE OF bytes_per_minute ON endpoints
    FOR EACH ROW EXECUTE FUNCTION endpoint_bytes_changed();

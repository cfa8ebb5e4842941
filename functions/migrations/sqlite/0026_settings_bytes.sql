-- What an endpoint's settings take however seldom it is checked, and a user's endpoints together: bounded by a quota,
-- for lists show them.
ALTER TABLE endpoints ADD COLUMN settings_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE endpoint_counts ADD COLUMN settings_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE endpoints SET settings_bytes =
    OCTET_LENGTH(config) + OCTET_LENGTH(assertions);
UPDATE endpoint_counts SET settings_bytes =
    (SELECT COALESCE(SUM(e.settings_bytes), 0) FROM endpoints e WHERE e.user_id = endpoint_counts.user_id);

DROP TRIGGER endpoint_counts_added;
DROP TRIGGER endpoint_counts_changed;
DROP TRIGGER endpoint_counts_removed;
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

-- What an endpoint's checks make the broker carry, and of a user's endpoints together: bounded by a quota.
ALTER TABLE endpoints ADD COLUMN bytes_per_minute INTEGER NOT NULL DEFAULT 0;
ALTER TABLE endpoint_counts ADD COLUMN bytes_per_minute INTEGER NOT NULL DEFAULT 0;

DROP TRIGGER endpoint_counts_added;
DROP TRIGGER endpoint_counts_removed;
CREATE TRIGGER endpoint_counts_added AFTER INSERT ON endpoints BEGIN
    INSERT INTO endpoint_counts (user_id, endpoints, bytes_per_minute)
    VALUES (new.user_id, 1, new.bytes_per_minute)
    ON CONFLICT (user_id) DO UPDATE SET endpoints = endpoints + 1,
        bytes_per_minute = bytes_per_minute + excluded.bytes_per_minute;
END;
CREATE TRIGGER endpoint_counts_changed AFTER UPDATE OF bytes_per_minute ON endpoints BEGIN
    UPDATE endpoint_counts SET bytes_per_minute = bytes_per_minute + new.bytes_per_minute - old.bytes_per_minute
    WHERE user_id = new.user_id;
END;
CREATE TRIGGER endpoint_counts_removed AFTER DELETE ON endpoints BEGIN
    UPDATE endpoint_counts SET endpoints = endpoints - 1, bytes_per_minute = bytes_per_minute - old.bytes_per_minute
    WHERE user_id = old.user_id;
END;

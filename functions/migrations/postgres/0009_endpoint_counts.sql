-- How many endpoints a user has: each page of the list says it, and to count ten thousand takes longer
-- than to find a page of them. The statement that adds or removes endpoints keeps it right.
CREATE TABLE endpoint_counts (
    user_id BIGINT PRIMARY KEY,
    endpoints BIGINT NOT NULL
);

-- By its owner's rights: functions that run while this is migrated have none to the table until their role is
-- given it.
CREATE FUNCTION endpoint_count() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO endpoint_counts AS kept (user_id, endpoints)
    SELECT user_id, CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END * COUNT(*)
    FROM changed GROUP BY user_id ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET endpoints = kept.endpoints + excluded.endpoints;
    RETURN NULL;
END $$;

CREATE TRIGGER endpoint_counts_added AFTER INSERT ON endpoints
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION endpoint_count();
CREATE TRIGGER endpoint_counts_removed AFTER DELETE ON endpoints
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION endpoint_count();

INSERT INTO endpoint_counts (user_id, endpoints) SELECT user_id, COUNT(*) FROM endpoints GROUP BY user_id;

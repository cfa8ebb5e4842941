-- How many endpoints a user has: each page of the list says it, and to count ten thousand takes longer
-- than to find a page of them. The statement that adds or removes endpoints keeps it right.
CREATE TABLE endpoint_counts (
    user_id INTEGER PRIMARY KEY,
    endpoints INTEGER NOT NULL
);

CREATE TRIGGER endpoint_counts_added AFTER INSERT ON endpoints BEGIN
    INSERT INTO endpoint_counts (user_id, endpoints) VALUES (new.user_id, 1)
    ON CONFLICT (user_id) DO UPDATE SET endpoints = endpoints + 1;
END;
CREATE TRIGGER endpoint_counts_removed AFTER DELETE ON endpoints BEGIN
    UPDATE endpoint_counts SET endpoints = endpoints - 1 WHERE user_id = old.user_id;
END;

INSERT INTO endpoint_counts (user_id, endpoints) SELECT user_id, COUNT(*) FROM endpoints GROUP BY user_id;

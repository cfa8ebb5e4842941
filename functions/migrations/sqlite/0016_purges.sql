-- The time that a service's purges go by, in Unix seconds: functions/purge.rs.
CREATE TABLE report_purges (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    trusted_at INTEGER NOT NULL,
    -- Since when a clock showed a time too far ahead of that; NULL: none did.
    doubted_at INTEGER
);
INSERT INTO report_purges (id, trusted_at) VALUES (1, 0);
CREATE TABLE user_purges (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    trusted_at INTEGER NOT NULL,
    doubted_at INTEGER
);
INSERT INTO user_purges (id, trusted_at) VALUES (1, 0);
CREATE TABLE notification_purges (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    trusted_at INTEGER NOT NULL,
    doubted_at INTEGER
);
INSERT INTO notification_purges (id, trusted_at) VALUES (1, 0);
CREATE TABLE dead_letter_purges (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    trusted_at INTEGER NOT NULL,
    doubted_at INTEGER
);
INSERT INTO dead_letter_purges (id, trusted_at) VALUES (1, 0);

-- Unix seconds.
ALTER TABLE report_forgotten ADD COLUMN deleted_at INTEGER NOT NULL DEFAULT 0;
UPDATE report_forgotten SET deleted_at = unixepoch();
CREATE INDEX report_forgotten_by_time ON report_forgotten (deleted_at);

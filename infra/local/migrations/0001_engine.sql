-- Consumers and their keys: on a cluster, Kong keeps them.
CREATE TABLE consumer (
    id TEXT PRIMARY KEY,
    username TEXT UNIQUE,
    custom_id TEXT UNIQUE,
    tags TEXT,
    created_at INTEGER NOT NULL -- seconds
) STRICT;

CREATE TABLE credential (
    id TEXT PRIMARY KEY,
    consumer_id TEXT NOT NULL REFERENCES consumer (id) ON DELETE CASCADE,
    hash TEXT NOT NULL UNIQUE, -- never the key itself
    tags TEXT,
    created_at INTEGER NOT NULL, -- seconds
    expires_at INTEGER -- seconds; NULL: never
) STRICT;
CREATE INDEX credential_consumer ON credential (consumer_id);
CREATE INDEX credential_expiry ON credential (expires_at) WHERE expires_at IS NOT NULL;

-- Events that the broker has accepted: one row per event, and one row per delivery that is still to be made.
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    headers TEXT NOT NULL, -- JSON: [[name, value], ...]
    body BLOB NOT NULL
) STRICT;

CREATE TABLE delivery (
    id INTEGER PRIMARY KEY,
    event_id INTEGER NOT NULL REFERENCES event (id),
    queue TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER NOT NULL, -- microseconds
    error TEXT -- JSON; only of a dead letter: why the delivery was given up
) STRICT;
CREATE INDEX delivery_due ON delivery (queue, due_at, id);
CREATE INDEX delivery_event ON delivery (event_id);

-- The last tick of each CronJob.
CREATE TABLE tick (
    job TEXT PRIMARY KEY,
    at INTEGER NOT NULL -- microseconds
) STRICT;

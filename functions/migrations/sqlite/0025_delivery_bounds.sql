-- When it was first handed to the broker: its text stays as it is from then on. NULL: what comes later of its endpoint
-- takes its place in the same row.
ALTER TABLE deliveries ADD COLUMN handed_at TEXT;
UPDATE deliveries SET handed_at = created_at WHERE status = 'pending';

CREATE INDEX deliveries_open ON deliveries (notification_id, endpoint_id) WHERE status = 'pending';
-- What `delivery-resume` looks for each minute.
CREATE INDEX deliveries_due ON deliveries (due_at, user_id) WHERE status = 'pending' AND leased_at IS NULL;
CREATE INDEX deliveries_asked ON deliveries (asked_at) WHERE status = 'pending' AND leased_at IS NULL;

-- When `delivery-resume` last ran, in Unix seconds: time that passed without it is no time of trying.
CREATE TABLE notification_resumes (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    resumed_at INTEGER NOT NULL
);
INSERT INTO notification_resumes (id, resumed_at) VALUES (1, 0);

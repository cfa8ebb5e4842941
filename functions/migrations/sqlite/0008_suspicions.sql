-- Where the newest result was made; NULL until the next one, and in a maintenance.
ALTER TABLE notification_states ADD COLUMN region TEXT;
-- What fails is looked for whenever something would go down. It costs nothing while all is well: a check
-- that succeeds again changes nothing that is indexed.
CREATE INDEX notification_states_failing ON notification_states (region, failing_since)
    WHERE failing_since IS NOT NULL;

-- A location that is suspected, as one user was told.
CREATE TABLE notification_suspicions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    region TEXT NOT NULL,
    user_id INTEGER NOT NULL,
    -- Microseconds, as slots are: the first failure of what was held first.
    since INTEGER NOT NULL,
    -- It lasted for too long: nothing is held any more.
    given_up BOOLEAN NOT NULL,
    UNIQUE (region, user_id)
);
CREATE INDEX notification_suspicions_by_user ON notification_suspicions (user_id);

-- When endpoints were last claimed [Unix seconds]: a clock that shows less was set back.
CREATE TABLE endpoint_clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    claimed_at BIGINT NOT NULL
);
INSERT INTO endpoint_clock (id, claimed_at) VALUES (1, 0);

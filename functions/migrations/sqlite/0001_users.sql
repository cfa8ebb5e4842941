CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    -- NULL until the gateway has the consumer: an interrupted sign-up does not count.
    activated_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    -- The user's language for messages (`en` or `ko`), and an IANA time zone.
    language TEXT NOT NULL DEFAULT 'en',
    time_zone TEXT NOT NULL DEFAULT 'UTC',
    -- The revision of these two columns, and the newest revision that `user.changed` has announced.
    revision INTEGER NOT NULL DEFAULT 1,
    announced_revision INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX users_unannounced ON users (id) WHERE announced_revision < revision;

CREATE TABLE user_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The gateway's id of the key; only the gateway has the key itself.
    credential_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT
);
CREATE INDEX user_keys_by_user ON user_keys (user_id);

CREATE TABLE password_resets (
    token_hash TEXT PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at TEXT NOT NULL,
    -- The address that a link restores. NULL: the link only sets a password.
    restores_email TEXT
) WITHOUT ROWID;
CREATE INDEX password_resets_by_user ON password_resets (user_id);
CREATE INDEX password_resets_by_restored_email ON password_resets (restores_email) WHERE restores_email IS NOT NULL;
CREATE INDEX password_resets_by_expiry ON password_resets (expires_at);

-- Failed password attempts by account: users/tries.rs.
CREATE TABLE user_tries (
    -- Hash of the email address, which may belong to no user.
    account TEXT NOT NULL,
    -- A network that the account has used before; empty: all other networks together.
    network TEXT NOT NULL,
    failed INTEGER NOT NULL,
    -- Unix seconds. The count restarts after this time.
    window_ends INTEGER NOT NULL,
    PRIMARY KEY (account, network)
) WITHOUT ROWID;
CREATE INDEX user_tries_by_end ON user_tries (window_ends);

-- Networks from which the correct password or a mailed link was used.
CREATE TABLE user_networks (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network TEXT NOT NULL,
    -- Unix seconds.
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, network)
) WITHOUT ROWID;
CREATE INDEX user_networks_by_time ON user_networks (seen_at);

CREATE TABLE user_purges (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    trusted_at INTEGER NOT NULL,
    doubted_at INTEGER
);
INSERT INTO user_purges (id, trusted_at) VALUES (1, 0);

CREATE TABLE users (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    -- NULL until the gateway knows the consumer: a sign-up that broke off does not count.
    activated_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    -- How the user reads messages: `en` or `ko`, and an IANA time zone.
    language TEXT NOT NULL DEFAULT 'en',
    time_zone TEXT NOT NULL DEFAULT 'UTC',
    -- Of these two; and the newest that `user.changed` told of.
    revision BIGINT NOT NULL DEFAULT 1,
    announced_revision BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX users_unannounced ON users (id) WHERE announced_revision < revision;

CREATE TABLE user_keys (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The gateway's own id of the key; the key itself is only there.
    credential_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ
);
CREATE INDEX user_keys_by_user ON user_keys (user_id);

CREATE TABLE password_resets (
    token_hash TEXT PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at TIMESTAMPTZ NOT NULL,
    -- The address that a link restores. NULL: the link only sets a password.
    restores_email TEXT
);
CREATE INDEX password_resets_by_user ON password_resets (user_id);
CREATE INDEX password_resets_by_restored_email ON password_resets (restores_email) WHERE restores_email IS NOT NULL;
CREATE INDEX password_resets_by_expiry ON password_resets (expires_at);

-- Failed tries of passwords, by account: users/tries.rs.
CREATE TABLE user_tries (
    -- Hash of the e-mail address, which may be nobody's.
    account TEXT NOT NULL,
    -- A network that the account is known from; empty: all other networks together.
    network TEXT NOT NULL,
    failed BIGINT NOT NULL,
    -- Unix seconds. The count starts again after this.
    window_ends BIGINT NOT NULL,
    PRIMARY KEY (account, network)
);
CREATE INDEX user_tries_by_end ON user_tries (window_ends);

-- Networks from which the right password, or a mailed link, was used.
CREATE TABLE user_networks (
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network TEXT NOT NULL,
    -- Unix seconds.
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, network)
);
CREATE INDEX user_networks_by_time ON user_networks (seen_at);

CREATE TABLE user_purges (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    trusted_at BIGINT NOT NULL,
    doubted_at BIGINT
);
INSERT INTO user_purges (id, trusted_at) VALUES (1, 0);

-- The address that a link restores. NULL: the link only sets a password.
ALTER TABLE password_resets ADD COLUMN restores_email TEXT;
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

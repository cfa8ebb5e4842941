-- Whether a check speaks TLS that is no longer safe, for servers that can do no better.
ALTER TABLE endpoints ADD COLUMN legacy_tls BOOLEAN NOT NULL DEFAULT FALSE;

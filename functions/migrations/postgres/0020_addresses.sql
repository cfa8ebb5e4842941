-- E-mail addresses that channels name: notifications/addresses. Times are Unix seconds.
CREATE TABLE notification_addresses (
    -- In lower case.
    address TEXT NOT NULL,
    -- Whose messages it is about; 0: everybody's.
    user_id BIGINT NOT NULL,
    -- When the link that confirms it was mailed last.
    mailed_at BIGINT,
    confirmed_at BIGINT,
    unsubscribed_at BIGINT,
    PRIMARY KEY (address, user_id)
);
CREATE INDEX notification_addresses_by_user ON notification_addresses (user_id);
CREATE INDEX notification_addresses_unconfirmed ON notification_addresses (mailed_at)
    WHERE confirmed_at IS NULL AND unsubscribed_at IS NULL;

-- Mails of one day.
CREATE TABLE notification_mail_counts (
    -- What is counted, such as the mails to one address (hashed).
    subject TEXT PRIMARY KEY,
    mails BIGINT NOT NULL,
    -- The count starts again after this.
    window_ends BIGINT NOT NULL
);
CREATE INDEX notification_mail_counts_by_end ON notification_mail_counts (window_ends);

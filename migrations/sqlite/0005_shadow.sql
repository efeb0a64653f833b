-- Channels that run beside an application that still does the work.

-- What was thought of each request, under the id that the proxy in front gave it; the newest ones only.
CREATE TABLE shadow (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    channel      INTEGER NOT NULL,
    request      TEXT NOT NULL,
    at           INTEGER NOT NULL,
    -- The notification, for a genuine request; else the reason's word.
    notification BLOB CHECK (length(notification) = 16),
    reason       TEXT
) STRICT;

-- Refused requests, bounded by quotas.

-- One row for each refused request that was kept. A request with the same bytes is counted on its row.
CREATE TABLE rejections (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    -- What of the request, reason and channel is compared to find a repetition.
    digest       BLOB NOT NULL UNIQUE,
    -- Which quota it counts against.
    shelf        INTEGER NOT NULL,
    -- NULL where the request named no channel that was known.
    channel      TEXT,
    reason       TEXT NOT NULL,
    rejection    TEXT NOT NULL,
    -- The network of the source, as the quotas see it.
    network      BLOB NOT NULL,
    source       BLOB,
    received_at  INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    -- How often these bytes came.
    count        INTEGER NOT NULL DEFAULT 1,
    -- Further refusals of the same channel, reason and network that were only counted.
    more         INTEGER NOT NULL DEFAULT 0,
    -- What it weighs against the caps.
    bytes        INTEGER NOT NULL,
    -- The notification that it became when it was verified again.
    notification BLOB,
    reverified_at INTEGER
) STRICT;
CREATE INDEX rejections_by_group ON rejections (shelf, channel, reason, bytes);

-- The request, away from what lists read.
CREATE TABLE rejected_requests (
    rejection   INTEGER PRIMARY KEY,
    method      TEXT NOT NULL,
    path        TEXT NOT NULL,
    query       TEXT,
    headers     BLOB NOT NULL,
    -- The first bytes of the body, all of them when there are `body_bytes`.
    body        BLOB NOT NULL,
    -- NULL where the body was never read.
    body_bytes  INTEGER,
    is_redacted INTEGER NOT NULL
) STRICT;

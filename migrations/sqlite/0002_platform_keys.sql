-- Keys that platforms gave: public certificates, with what proves each once more when it is read. Times are
-- milliseconds since 1970.

CREATE TABLE platform_keys (
    channel     TEXT NOT NULL,
    serial      TEXT NOT NULL,
    certificate TEXT NOT NULL,
    evidence    BLOB NOT NULL,
    not_before  INTEGER NOT NULL,
    not_after   INTEGER NOT NULL,
    fetched_at  INTEGER NOT NULL,
    PRIMARY KEY (channel, serial)
) STRICT, WITHOUT ROWID;

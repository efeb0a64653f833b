-- Times from which something may be missing: opened when a backup is restored, closed by a person.
--
-- `from_at` is the time of the newest thing that the backup held, nothing for an empty one; `to_at` is the time of
-- the restore.
CREATE TABLE gaps (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    from_at   INTEGER,
    to_at     INTEGER NOT NULL,
    why       TEXT NOT NULL,
    closed_at INTEGER,
    closed_by TEXT,
    -- What was done about it, in the words of who closed it.
    remedy    TEXT,
    CHECK ((closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (remedy IS NULL))
) STRICT;
CREATE INDEX gaps_open ON gaps (id) WHERE closed_at IS NULL;

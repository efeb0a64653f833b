-- Hints: numbers that somebody named, to be asked about. They prove nothing and are never notifications.

-- One row for each number. States: 0 due, 1 being asked, 2 answered, 3 not known to the platform.
CREATE TABLE hints (
    channel      INTEGER NOT NULL,
    number       TEXT NOT NULL,
    -- The network that named it first, or one that named it on better ground since; empty where it is not known.
    network      BLOB NOT NULL,
    -- Its sender knew the channel's secret.
    is_vouched   INTEGER NOT NULL,
    -- What its sender showed was worth nothing: it stays in the last class, whatever its network is known for.
    is_doubtful  INTEGER NOT NULL DEFAULT 0,
    -- Its sender knew the secret, the platform knew something that its network named, or it knew the number itself: when it
    -- does not know it now, it is asked for hours.
    is_trusted   INTEGER NOT NULL DEFAULT 0,
    -- Whether it stands for one of the places that its network has.
    is_counted   INTEGER NOT NULL,
    -- Whose turn comes when: 0 proven ground, 1 new networks, 2 networks that mostly named what does not exist.
    class        INTEGER NOT NULL CHECK (class BETWEEN 0 AND 2),
    state        INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
    -- When it is due, its lease ends, or it is forgotten.
    due_at       INTEGER NOT NULL,
    -- Since when there is no answer: since it was due first, or after the last answer.
    waits_since  INTEGER NOT NULL,
    -- Since when it may be forgotten although it is open.
    over_since   INTEGER,
    -- Within a class the lowest goes first, so that networks take turns.
    turn         INTEGER NOT NULL,
    -- The platform once said something about it.
    is_known     INTEGER NOT NULL,
    -- The platform did not know it when it was asked, which its network was charged with.
    is_missed    INTEGER NOT NULL DEFAULT 0,
    -- Named again while it was being asked.
    is_told_again INTEGER NOT NULL DEFAULT 0,
    -- How often it was named; within a second counts once.
    told         INTEGER NOT NULL DEFAULT 1,
    -- Answers since it was opened by which the platform did not know it.
    misses       INTEGER NOT NULL DEFAULT 0,
    -- Questions since it became due, and of these the last ones that failed.
    asks         INTEGER NOT NULL DEFAULT 0,
    failures     INTEGER NOT NULL DEFAULT 0,
    -- Questions that followed each other closely; they make the next one wait.
    busy         INTEGER NOT NULL DEFAULT 0,
    first_at     INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    asked_at     INTEGER,
    -- The word of the last answer.
    outcome      TEXT NOT NULL DEFAULT '',
    -- The notification that an answer brought last.
    notification BLOB CHECK (length(notification) = 16),
    token        BLOB,
    PRIMARY KEY (channel, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX hints_open ON hints (channel, state, class, turn, due_at) WHERE state <= 1;
CREATE INDEX hints_closed ON hints (channel, state, due_at) WHERE state >= 2;

-- What is known of the networks that name numbers.
CREATE TABLE hint_networks (
    channel  INTEGER NOT NULL,
    network  BLOB NOT NULL,
    -- Numbers that it named first, by what the platform said of them. Both are halved when they grow large, so that
    -- they tell of the present.
    known    INTEGER NOT NULL DEFAULT 0,
    unknown  INTEGER NOT NULL DEFAULT 0,
    -- Its places that are taken.
    open     INTEGER NOT NULL DEFAULT 0,
    turn     INTEGER NOT NULL DEFAULT 0,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (channel, network)
) STRICT, WITHOUT ROWID;
CREATE INDEX hint_networks_idle ON hint_networks (channel, last_at) WHERE open = 0 AND known <= unknown;

-- How much of its bounds a channel uses.
CREATE TABLE hint_totals (
    channel  INTEGER PRIMARY KEY,
    open     INTEGER NOT NULL DEFAULT 0,
    closed   INTEGER NOT NULL DEFAULT 0,
    networks INTEGER NOT NULL DEFAULT 0,
    turn     INTEGER NOT NULL DEFAULT 0,
    -- When a hint was leased last; a clock that tells less has been set back.
    looked_at INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Held events, by their reasons: those that wait for an answer about one number have one text.
CREATE INDEX events_held ON events (concerns) WHERE concerns IS NOT NULL AND hold_end IS NULL;

-- By which way a notification came: 0 a callback, 1 the answer to a question about a hint.
ALTER TABLE notifications ADD COLUMN way INTEGER NOT NULL DEFAULT 0;

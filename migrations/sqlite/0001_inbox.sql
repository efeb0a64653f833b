-- The inbox: notifications, the events that they brought, and the deliveries of those events.
--
-- Times are milliseconds since 1970. What a callback must wait for is kept small: every index costs a page of
-- the log in every commit, and each platform waits for that commit. So
--
-- * a notification's `seq` is 1, 2, 3 … in the order of the commits, given by the one writer. No number is used twice,
--   so that a name which outlived its event is harmless;
-- * the `seq` of its events and deliveries is its own, shifted by 16 bits, plus their position: all of a notification
--   is one range, and needs no index by notification;
-- * ids are the 16 bytes of a UUID version 7 and are what the outside sees. They carry the `seq`, so a row is found by
--   its id without an index; the id in the row is compared.

-- Texts of which there are few: channels, merchants, platforms, targets, kinds of event, proofs.
CREATE TABLE words (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

-- Where identities and keys are unique.
CREATE TABLE scopes (
    id          INTEGER PRIMARY KEY,
    environment TEXT NOT NULL,
    family      TEXT NOT NULL,
    account     TEXT NOT NULL,
    UNIQUE (account, family, environment)
) STRICT;

-- Every target that ever got a delivery; the id is that of its word.
CREATE TABLE targets (
    id INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE notifications (
    seq                INTEGER PRIMARY KEY,
    id                 BLOB NOT NULL CHECK (length(id) = 16),
    -- The three by which a repetition is recognised. The platform's number leads, because most rise with the time.
    scope              INTEGER NOT NULL,
    platform_id        TEXT NOT NULL,
    digest             INTEGER NOT NULL,
    channel            INTEGER NOT NULL,
    merchant           INTEGER NOT NULL,
    platform           INTEGER NOT NULL,
    platform_kind      TEXT NOT NULL,
    received_at        INTEGER NOT NULL,
    sent_at            INTEGER,
    proof              INTEGER NOT NULL,
    concerns           TEXT,
    is_held            INTEGER NOT NULL,
    -- Whether it arrived while its channel ran beside an application that still did the work: its deliveries were skipped.
    is_shadow          INTEGER NOT NULL,
    repeats            INTEGER NOT NULL DEFAULT 0,
    repeated_after_ack INTEGER NOT NULL DEFAULT 0,
    last_repeated_at   INTEGER,
    UNIQUE (scope, platform_id, digest)
) STRICT;
CREATE INDEX notifications_held ON notifications (seq) WHERE is_held = 1;

-- The highest `seq` of a notification that was removed.
CREATE TABLE numbers (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    used INTEGER NOT NULL
) STRICT;

-- When the success reply was on its way. Written after the reply, in rows of their own: nothing that is large is
-- written once more for them.
CREATE TABLE acks (
    notification INTEGER PRIMARY KEY,
    at           INTEGER NOT NULL
) STRICT;

-- Which blocks of 1024 notifications hold any of a channel; in place of an index with a row for each notification.
CREATE TABLE channel_blocks (
    channel INTEGER NOT NULL,
    block   INTEGER NOT NULL,
    PRIMARY KEY (channel, block)
) STRICT, WITHOUT ROWID;

-- The request as it came, away from everything that is read often, and gone before the rest.
CREATE TABLE bodies (
    notification INTEGER PRIMARY KEY,
    method       TEXT NOT NULL,
    path         TEXT NOT NULL,
    query        TEXT,
    source       BLOB,
    headers      BLOB NOT NULL,
    body         BLOB NOT NULL
) STRICT;

CREATE TABLE events (
    seq          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL CHECK (length(id) = 16),
    scope        INTEGER NOT NULL,
    kind         INTEGER NOT NULL,
    order_no     TEXT,
    platform_no  TEXT,
    payee        TEXT,
    amount       INTEGER,
    basis        INTEGER NOT NULL CHECK (basis BETWEEN 0 AND 3),
    total        INTEGER,
    currency     TEXT,
    occurred_at  INTEGER,
    created_at   INTEGER NOT NULL,
    concerns     TEXT,
    -- The identity of the payment that this event follows.
    payment      TEXT,
    -- The event that this one contradicts.
    contradicts  INTEGER,
    is_unrouted  INTEGER NOT NULL,
    -- NULL while the hold of an event with concerns is open; 1 released, 2 discarded.
    hold_end     INTEGER
) STRICT;
CREATE INDEX events_by_order ON events (order_no) WHERE order_no IS NOT NULL;
CREATE INDEX events_unrouted ON events (seq) WHERE is_unrouted = 1;

-- Which blocks of 1024 notifications brought any event of a kind.
CREATE TABLE kind_blocks (
    kind  INTEGER NOT NULL,
    block INTEGER NOT NULL,
    PRIMARY KEY (kind, block)
) STRICT, WITHOUT ROWID;

-- Every name of every fact. `kind` is the word of the event's kind, or `conflict`.
CREATE TABLE identities (
    scope INTEGER NOT NULL,
    kind  INTEGER NOT NULL,
    text  TEXT NOT NULL,
    event INTEGER NOT NULL,
    -- The currency in which the message proved that nothing of this payment had been refunded.
    unrefunded TEXT,
    PRIMARY KEY (scope, kind, text)
) STRICT, WITHOUT ROWID;

-- The highest running total that is known of a series, when it is not the zero of `identities.unrefunded`.
CREATE TABLE totals (
    scope      INTEGER NOT NULL,
    series     TEXT NOT NULL,
    currency   TEXT NOT NULL,
    total      INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (scope, series, currency)
) STRICT, WITHOUT ROWID;

-- States: 0 waiting, 1 held, 2 pending, 3 leased, 4 delivered, 5 dead, 6 skipped, 7 discarded.
CREATE TABLE deliveries (
    seq          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL CHECK (length(id) = 16),
    event        INTEGER NOT NULL,
    target       INTEGER NOT NULL,
    is_raw       INTEGER NOT NULL,
    state        INTEGER NOT NULL CHECK (state BETWEEN 0 AND 7),
    -- When it is due (pending), its lease ends (leased) or it goes out without its payment (waiting).
    due_at       INTEGER,
    attempts     INTEGER NOT NULL DEFAULT 0,
    tries        INTEGER NOT NULL DEFAULT 0,
    changed_at   INTEGER NOT NULL,
    waits_for    INTEGER,
    token        BLOB,
    -- The event that made a delivery pointless: a payment that succeeded supersedes what was still to be told of
    -- its pending, failed or closed state. Kept when a person replays the delivery, so that it is skipped once.
    superseded_by INTEGER
) STRICT;
-- Delivered ones, the many, are not in it.
CREATE INDEX deliveries_open ON deliveries (state, target, due_at) WHERE state <> 4;
CREATE INDEX deliveries_by_wait ON deliveries (waits_for) WHERE waits_for IS NOT NULL;

-- The further events of a raw delivery that covers several.
CREATE TABLE delivery_events (
    delivery INTEGER NOT NULL,
    event    INTEGER NOT NULL,
    PRIMARY KEY (delivery, event)
) STRICT, WITHOUT ROWID;

-- Payments that are not known yet and that a delivery waits for.
CREATE TABLE awaited (
    scope    INTEGER NOT NULL,
    payment  TEXT NOT NULL,
    delivery INTEGER NOT NULL,
    PRIMARY KEY (scope, payment, delivery)
) STRICT, WITHOUT ROWID;

-- Append-only.
CREATE TABLE attempts (
    delivery   INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    outcome    TEXT NOT NULL,
    reason     TEXT NOT NULL,
    detail     TEXT NOT NULL,
    status     INTEGER,
    body_head  TEXT NOT NULL,
    stderr     TEXT NOT NULL,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

-- What people did.
CREATE TABLE audit (
    seq  INTEGER PRIMARY KEY,
    at   INTEGER NOT NULL,
    who  TEXT NOT NULL,
    what TEXT NOT NULL,
    -- Who did what to what.
    subjects TEXT NOT NULL DEFAULT '[]',
    why      TEXT,
    result   INTEGER
) STRICT;

-- Written to see whether writing works again.
CREATE TABLE probe (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;

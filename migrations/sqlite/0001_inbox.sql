-- The inbox: notifications, the events that they brought, and the deliveries of those events.
--
-- Times are milliseconds since 1970. Ids are the 16 bytes of a UUID version 7 and are what the outside
-- sees; rows refer to each other by `seq`, which costs a quarter of the space, follows the order of the
-- commits, and is never used twice (AUTOINCREMENT), so that a name which outlived its event is harmless.

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
    seq                INTEGER PRIMARY KEY AUTOINCREMENT,
    id                 BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    scope              INTEGER NOT NULL,
    key                TEXT NOT NULL,
    channel            INTEGER NOT NULL,
    merchant           INTEGER NOT NULL,
    platform           INTEGER NOT NULL,
    platform_kind      TEXT NOT NULL,
    received_at        INTEGER NOT NULL,
    sent_at            INTEGER,
    proof              INTEGER NOT NULL,
    concerns           TEXT,
    is_held            INTEGER NOT NULL,
    repeats            INTEGER NOT NULL DEFAULT 0,
    repeated_after_ack INTEGER NOT NULL DEFAULT 0,
    last_repeated_at   INTEGER,
    acked_at           INTEGER,
    UNIQUE (scope, key)
) STRICT;
CREATE INDEX notifications_by_channel ON notifications (channel);

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
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    notification INTEGER NOT NULL,
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
    is_unrouted  INTEGER NOT NULL
) STRICT;
CREATE INDEX events_by_notification ON events (notification);
CREATE INDEX events_by_order ON events (order_no) WHERE order_no IS NOT NULL;
CREATE INDEX events_by_kind ON events (kind);
CREATE INDEX events_unrouted ON events (seq) WHERE is_unrouted = 1;

-- Every name of every fact. `kind` is the word of the event's kind, or `conflict`.
CREATE TABLE identities (
    scope INTEGER NOT NULL,
    kind  INTEGER NOT NULL,
    text  TEXT NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (scope, kind, text)
) STRICT, WITHOUT ROWID;

-- The highest running total that is known of a series.
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
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    notification INTEGER NOT NULL,
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
    token        BLOB
) STRICT;
CREATE INDEX deliveries_by_notification ON deliveries (notification);
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
    what TEXT NOT NULL
) STRICT;

-- Written to see whether writing works again.
CREATE TABLE probe (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;

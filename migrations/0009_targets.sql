-- Orders are sent to targets: the 1C of a publication, its site or app (contract §8.3). A target reads the feed (0008_feed.sql) as
-- any other reader does, and is told states, not events.

-- Whose changes a target takes differs, and an order stands in the feed once, at its last change. So a placement also notes
-- at which position each kind of writer changed the order last: whoever has read up to a position is told of an order where
-- one of those whose changes he takes stands behind it. `placed_version`: the order's at its last placement; what a kind of
-- writer made since is told from that. `renumbered`: since then the back office gave the order a number, which makes no
-- version. NULL costs no bytes: most orders are only ever changed by their sender.
ALTER TABLE feed
    ADD COLUMN placed_version       int,
    ADD COLUMN renumbered           boolean,
    ADD COLUMN sender_position      bigint,
    ADD COLUMN operator_position    bigint,
    ADD COLUMN back_office_position bigint;

-- Whose a number of the back office's is: no target may give it to a second order.
CREATE INDEX order_receiver_number ON order_receiver (publication, number) WHERE number IS NOT NULL;

-- One row a target. All that changed up to `position` it has been sent, but for what is parked (target_delivery).
-- Whoever sends holds the lease, which is longer than the request may take, and writes what became of it under that token only:
-- so two instances never send at once, and one that hung and woke up late changes nothing.
CREATE TABLE target (
    publication   text COLLATE "C" NOT NULL,
    name          text COLLATE "C" NOT NULL,
    position      bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    paused        boolean NOT NULL DEFAULT false,
    lease         uuid,
    leased_until  timestamptz,
    -- Sendings that failed one after another, and when the next may be tried.
    failures      int NOT NULL DEFAULT 0,
    next_try_at   timestamptz NOT NULL DEFAULT now(),
    failing_since timestamptz,
    error         text,
    -- It refuses us, whatever we send: somebody has to look at the credentials or the address.
    refuses_us    boolean NOT NULL DEFAULT false,
    delivered_at  timestamptz,
    PRIMARY KEY (publication, name)
);

-- An order that a target refused, or that somebody wants to be sent again: no other order has a row. `next_try_at` is null once
-- it is dead. `version` is the order's that was refused.
CREATE TABLE target_delivery (
    publication  text COLLATE "C" NOT NULL,
    target       text COLLATE "C" NOT NULL,
    order_number int NOT NULL,
    version      int NOT NULL,
    refusals     int NOT NULL,
    next_try_at  timestamptz,
    error        text,
    since        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (publication, target, order_number)
);
CREATE INDEX target_delivery_next_try_at ON target_delivery (publication, target, next_try_at);

-- One row a request that was sent, for whoever asks what happened; removed with the journal's batches. `attempt` is a UUID v7 and
-- the request's X-Request-Id. `error` may hold the target's own words.
CREATE TABLE target_attempt (
    publication  text COLLATE "C" NOT NULL,
    target       text COLLATE "C" NOT NULL,
    attempt      uuid NOT NULL,
    began_at     timestamptz NOT NULL,
    milliseconds int NOT NULL,
    status       int,
    orders       int NOT NULL,
    taken        int NOT NULL,
    refused      int NOT NULL,
    error        text,
    PRIMARY KEY (publication, target, attempt)
);
CREATE INDEX target_attempt_began_at ON target_attempt (publication, began_at);

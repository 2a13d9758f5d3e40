-- Orders have to reach 1C, and what becomes of them there has to come back (contract §8). Both ways out, a back office
-- that asks and a target that is sent to, read one feed.
--
-- One row an order, not one an event: an order stands in the feed once, at its last change. Whoever stores a change of an
-- order writes its row with no position, in the same transaction, and takes no lock that another writer needs. Whoever reads
-- gives positions first, under a lock on the publication's head (store/feed/). So no row ever gets a position below
-- one that was handed out, however late it is committed.
--
-- Looked at and not used: a sequence (a transaction that commits late is skipped by whoever has read past it), horizons of
-- transaction ids (a dump and restore or a move of a shard changes them, and one forgotten transaction stops everything),
-- logical decoding (a slot for each reader, which fills the disk), NOTIFY in the order's transaction (serialises commits).

-- `version` is the order's. `by_…`: the last version that each kind of writer made, 0 for none, so that nothing is told to
-- whom it came from, and nothing of an operator hides behind a sender's later change.
--
-- No foreign key to `orders`: the check costs every new order, and only the statements that write an order write its row.
CREATE TABLE feed (
    publication    text COLLATE "C" NOT NULL,
    order_number   int NOT NULL,
    version        int NOT NULL,
    position       bigint CHECK (position > 0),
    changed_at     timestamptz NOT NULL,
    changed_by     text COLLATE "C" NOT NULL CHECK (changed_by IN ('sender', 'operator', 'back_office')),
    by_sender      int NOT NULL DEFAULT 0,
    by_operator    int NOT NULL DEFAULT 0,
    by_back_office int NOT NULL DEFAULT 0,
    PRIMARY KEY (publication, order_number)
);
CREATE UNIQUE INDEX feed_position ON feed (publication, position) WHERE position IS NOT NULL;
CREATE INDEX feed_unplaced ON feed (publication) WHERE position IS NULL;

-- The last position of a publication, and the mark of the placement that gave it. Whoever gives positions locks this row.
CREATE TABLE feed_head (
    publication text COLLATE "C" NOT NULL,
    position    bigint NOT NULL CHECK (position >= 0),
    mark        uuid NOT NULL,
    PRIMARY KEY (publication)
);

-- One row a placement: its last position, a random mark, and when it was. A reader's cursor carries the mark: where the
-- database was restored to an earlier state, positions are given a second time, under other marks. `placed_at` never falls
-- from one position to the next, whatever the clock does.
CREATE TABLE feed_mark (
    publication text COLLATE "C" NOT NULL,
    position    bigint NOT NULL,
    mark        uuid NOT NULL,
    placed_at   timestamptz NOT NULL,
    PRIMARY KEY (publication, position)
);
CREATE INDEX feed_mark_placed_at ON feed_mark (publication, placed_at, position);

-- What the back office made of an order: its own number and id of it, or why it could not take it. `version` is the
-- order's that this was said of: what is said of an older one clears nothing.
CREATE TABLE order_receiver (
    publication  text COLLATE "C" NOT NULL,
    order_number int NOT NULL,
    version      int NOT NULL,
    number       text,
    uid          text,
    error        text,
    said_at      timestamptz NOT NULL,
    PRIMARY KEY (publication, order_number)
);
-- By itself, for on Citus the table is spread before it may refer to one that is (database/migrations.rs).
ALTER TABLE order_receiver ADD FOREIGN KEY (publication, order_number) REFERENCES orders (publication, number);
-- Orders that were not taken.
CREATE INDEX order_receiver_error ON order_receiver (publication, order_number) WHERE error IS NOT NULL;

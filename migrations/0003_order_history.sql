-- What became of an order: which batch made it, and what each later change changed. Operators are asked "why does it say
-- 720?" weeks later. The usual batch only makes orders and must stay as cheap as it was, so the batch is a column of the
-- order and no row of its own; a change, which is rarer, has a row. A batch that changes nothing writes neither.

-- The batch (journal_batch) that made it, whose UUID tells the moment too; null for orders from before this migration.
ALTER TABLE orders ADD COLUMN batch uuid;

-- One row a change, named by the version that it left behind. `batch` is null where an operator set the status by hand.
-- The batch's `X-Request-Id` and login stand here as well: a change is kept longer than its batch.
-- `changes`: {"total": ["710", "720"], …}, fields as on the wire, amounts as texts, for they are exact decimals.
CREATE TABLE journal_change (
    publication  text COLLATE "C" NOT NULL,
    order_number int NOT NULL,
    version      int NOT NULL,
    made_at      timestamptz NOT NULL,
    batch        uuid,
    request_id   text,
    login        text,
    changes      jsonb NOT NULL,
    PRIMARY KEY (publication, order_number, version)
);
-- Old entries are removed in the order of their age.
CREATE INDEX journal_change_made_at ON journal_change (publication, made_at);

-- An order's rejected attempts.
CREATE INDEX journal_rejected_order_key ON journal_rejected (publication, order_key);

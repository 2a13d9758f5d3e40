-- The console's lists of what needs a person (contract §9): they get shorter as things are settled.

-- A kept order that nobody need look at any more: an operator sent it again and it was taken, or he saw to it otherwise; or the
-- sender came again. `settled_by`: the operator; null where nobody had to do anything.
ALTER TABLE journal_rejected
    ADD COLUMN settled_at timestamptz,
    ADD COLUMN settled_by text;
-- What is open, the newest at the end (a batch's id is a UUID v7); and all that is open under one order's id, for of several attempts
-- the last one tells. A row has two more entries until it is settled.
CREATE INDEX journal_rejected_open ON journal_rejected (publication, batch, position)
    WHERE settled_at IS NULL AND warnings IS NULL;
CREATE INDEX journal_rejected_open_remarks ON journal_rejected (publication, batch, position)
    WHERE settled_at IS NULL AND warnings IS NOT NULL;
CREATE INDEX journal_rejected_open_key ON journal_rejected (publication, order_key, batch, position) WHERE settled_at IS NULL;

-- Lines whose product was not found, by the sender's id of it: which ids there are, and how many lines of each. A line with a
-- product has no entry.
CREATE INDEX order_item_unmatched_product ON order_item (publication, product_id, order_number) WHERE product_number IS NULL;

-- The sender's ids that are to mean no product of ours (a set, a promotion, a delivery): their lines stay empty on purpose, and
-- nobody is asked about them again.
CREATE TABLE product_left_empty (
    publication text COLLATE "C" NOT NULL,
    sender_id   text COLLATE "C" NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT now(),
    login       text NOT NULL,
    PRIMARY KEY (publication, sender_id)
);

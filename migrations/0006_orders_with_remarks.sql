-- Nothing that a sender sent is lost (contract §7): an accepted order of which a value was left out, rounded or shortened is
-- kept as it came, as a rejected one is. It is called an order with remarks. Both stand in `journal_rejected`, within one
-- budget and for the same time. The table keeps its name: renaming it would gain nothing. An instance of the release before
-- does not write to it any more: since 0005_own_address.sql it cannot read an order.
--
-- `warnings`: all that were answered with an accepted order; null where the order was rejected.
-- `order_version`, `client_version`: those that the batch left behind; null where there was no such order or client, or where
-- the row is older than this migration; 0, which is no record's version, where a later element of the same transaction named
-- the order or client as well. Sending a kept order again must not undo what was stored since.
ALTER TABLE journal_rejected
    ADD COLUMN warnings jsonb,
    ADD COLUMN order_version int,
    ADD COLUMN client_version int;

-- Accepted orders of the batch that have remarks, whether their bodies are kept or not.
ALTER TABLE journal_batch ADD COLUMN with_remarks int NOT NULL DEFAULT 0;

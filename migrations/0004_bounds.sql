-- What a request may cost the database is bounded by what it brings.
--
-- A client keeps so many addresses and no more (limits.client_addresses): each of its orders is answered with all of
-- them. An order to an address that found no room has no address of the client's to point to, and keeps its own copy:
-- {city, street, house, str, entrance, floor, room}.
ALTER TABLE orders
    ALTER COLUMN address_number DROP NOT NULL,
    ADD COLUMN delivery_address jsonb,
    ADD CONSTRAINT orders_has_an_address CHECK (address_number IS NOT NULL OR delivery_address IS NOT NULL);

-- Of elements of a batch that have no id of their own and are the same, the first is kept, and how many more came.
ALTER TABLE journal_rejected ADD COLUMN repeated int NOT NULL DEFAULT 0;

-- `dry_run`: the batch was only tried out.
-- `kept_bytes`: what this batch takes of the day's budget for rejected orders (journal.rejected_bytes_per_day); 0 for
-- the usual batch, of which nothing is rejected.
ALTER TABLE journal_batch
    ADD COLUMN dry_run boolean NOT NULL DEFAULT false,
    ADD COLUMN kept_bytes int NOT NULL DEFAULT 0;
-- What the day has taken so far.
CREATE INDEX journal_batch_kept_bytes ON journal_batch (publication, received_at) WHERE kept_bytes > 0;

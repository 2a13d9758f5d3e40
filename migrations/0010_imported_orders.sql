-- The cut-over (contract §8.2): orders that 1C had before this service stood in front of it. One that the site sends again
-- after the switch must get the number that 1C gave it, and must not be told `new` for what was delivered.
--
-- They are no orders: their lines, client and address stay in 1C, and come with the site's next sending, if there is one. The
-- row stays then, for its numbers and its status.
CREATE TABLE imported_order (
    publication     text COLLATE "C" NOT NULL,
    sender_id       text COLLATE "C" NOT NULL,
    number          int NOT NULL CHECK (number > 0),
    status          text COLLATE "C" NOT NULL CHECK (status IN ('new', 'approved', 'completed', 'removed')),
    receiver_number text,
    receiver_uid    text,
    PRIMARY KEY (publication, sender_id)
);
CREATE UNIQUE INDEX imported_order_number ON imported_order (publication, number);

-- Most publications import none: a batch asks for them only where there are some.
ALTER TABLE catalogue_version ADD COLUMN has_orders boolean NOT NULL DEFAULT false;

-- What the console tells of an order's whole story, and what it takes back (contract §9).

-- Each time that 1C or another target did not take an order, and why: `target_delivery` and `order_receiver` have only what was said
-- last, and nothing once the order is taken. `target` is empty where the back office reported it by itself. It is written when they
-- answer, never on an order's way in, and removed as changes of orders are.
CREATE TABLE order_refusal (
    publication  text COLLATE "C" NOT NULL,
    order_number int NOT NULL,
    refused_at   timestamptz NOT NULL,
    target       text COLLATE "C" NOT NULL,
    version      int NOT NULL,
    error        text NOT NULL,
    PRIMARY KEY (publication, order_number, refused_at, target)
);
CREATE INDEX order_refusal_refused_at ON order_refusal (publication, refused_at);
INSERT INTO order_refusal (publication, order_number, refused_at, target, version, error)
SELECT publication, order_number, said_at, '', version, error FROM order_receiver WHERE error <> '';

-- An operator said that the order is not to be sent to the target any more, as it was refused: nobody need look at it. There may be
-- more and more of them, so whoever asks what is parked or dead passes them by.
ALTER TABLE target_delivery ADD COLUMN withheld boolean NOT NULL DEFAULT false;
DROP INDEX target_delivery_next_try_at;
CREATE INDEX target_delivery_next_try_at ON target_delivery (publication, target, next_try_at) WHERE NOT withheld;

-- The sender's ids that operators had mean a product of ours (`product_sender_id` has those of files, too). `taken_back`: the id does
-- not mean it any more, and the lines of open orders that have the product by it are being emptied; then the row goes.
CREATE TABLE product_match (
    publication    text COLLATE "C" NOT NULL,
    sender_id      text COLLATE "C" NOT NULL,
    product_number int NOT NULL,
    made_at        timestamptz NOT NULL,
    login          text NOT NULL,
    taken_back     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (publication, sender_id, product_number)
);
INSERT INTO product_match (publication, sender_id, product_number, made_at, login)
SELECT a.publication, s.sender_id, s.product_number, max(a.made_at), max(a.login)
FROM operator_action a
JOIN product_sender_id s ON s.publication = a.publication AND s.sender_id = a.details->>'product_id'
    AND to_jsonb(s.product_number) = a.details->'product'
WHERE a.kind = 'match'
GROUP BY a.publication, s.sender_id, s.product_number;

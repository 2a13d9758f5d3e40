-- What operators put aside, and names by their second word (contract §9).

-- 1C said by itself that it did not take the order, and an operator saw to that: nobody need look at it any more, until 1C says
-- something else.
ALTER TABLE order_receiver ADD COLUMN put_aside boolean NOT NULL DEFAULT false;
DROP INDEX order_receiver_error;
CREATE INDEX order_receiver_error ON order_receiver (publication, order_number) WHERE error IS NOT NULL AND NOT put_aside;

-- What is not sent any more, and what was put aside: usually there is little of either.
CREATE INDEX order_receiver_put_aside ON order_receiver (publication, order_number) WHERE put_aside;
CREATE INDEX target_delivery_withheld ON target_delivery (publication, target, order_number) WHERE withheld;

-- A client by the second word of the name, which may as well be the surname. An entry more for each new client whose name has one.
CREATE INDEX client_second_name ON client (publication, left(split_part(username, ' ', 2), 200) COLLATE "C")
    WHERE number > 0 AND split_part(username, ' ', 2) <> '';

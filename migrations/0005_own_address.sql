-- An order keeps the delivery address that was sent for it (contract §5). So far it pointed to an address of its client's,
-- and whatever changed that address later, another order, the client's list or an import, moved orders that were delivered
-- long ago. Now each order has a copy of its own; `address_number` says which address of the client's it was, and is null
-- where the client's list had no room for it (0004_bounds.sql).
--
-- What was sent for stored orders is not known any more: they get their address as it is today.
--
-- The column was there for orders without an address of the client's. It gets another name, the wire's, so that an instance
-- of the release before, which would write no copy, finds no column and answers 503; the sender comes again. Under the old
-- name it would have its orders refused one by one.
--
-- jsonb and not seven columns: the copy is read and written whole, and PostgreSQL prepares each column for every batch.

-- First of all nobody else writes. An order that an instance of the release before stored after the UPDATE looked would have no
-- copy, and SET NOT NULL would fail, at every try while the service is busy. And whoever locks rows first and the whole table
-- later can wait for one who waits for him.
LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;

UPDATE orders o
SET delivery_address = jsonb_build_object(
    'city', a.city, 'street', a.street, 'house', a.house, 'str', a.str,
    'entrance', a.entrance, 'floor', a.floor, 'room', a.room)
FROM address a
WHERE a.publication = o.publication AND a.number = o.address_number AND o.delivery_address IS NULL;

ALTER TABLE orders RENAME COLUMN delivery_address TO shipping_address;
ALTER TABLE orders
    DROP CONSTRAINT orders_has_an_address,
    ALTER COLUMN shipping_address SET NOT NULL;

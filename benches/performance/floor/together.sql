WITH client AS (
    INSERT INTO %schema%.client (publication, number, sender_id, guest_phone, username, phone, email, account_number,
                                 type)
    SELECT 'floor', t.*
    FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[]) AS t
), address AS (
    INSERT INTO %schema%.address (publication, number, client_number, sender_id, city, street, house, str, entrance,
                                  floor, room)
    SELECT 'floor', t.* FROM unnest($1::int[], $1::int[], $9::text[], $10::text[], $11::text[], $12::text[],
                                    $13::text[], $14::text[], $15::text[], $16::text[]) AS t
), placed AS (
    INSERT INTO %schema%.orders (publication, number, uuid, sender_id, status, client_number, address_number, created_at,
                                 total, delivery_cost, coins, payment_type, shipping_date_from, shipping_date_to, comment,
                                 count_of_returned_bottles, shipping_address)
    SELECT 'floor', number, uuid, sender_id, 'new', client_number, client_number, now(), total, 30, 0, 'cash',
           '2026-11-01 09:00Z', '2026-11-01 18:00Z', 'Позвонить за час до доставки', 1, shipping_address
    FROM unnest($17::int[], $18::uuid[], $19::text[], $20::int[], $21::numeric[], $22::jsonb[])
        AS t (number, uuid, sender_id, client_number, total, shipping_address)
), item AS (
    INSERT INTO %schema%.order_item (publication, order_number, position, product_id, sender_id, product_number, name,
                                     price, quantity, order_product_id)
    SELECT 'floor', number, position, product_id, product_id, product_number, name, price, quantity, 1
    FROM unnest($23::int[], $24::int[], $25::text[], $26::int[], $27::text[], $28::numeric[], $29::int[])
        AS t (number, position, product_id, product_number, name, price, quantity)
), feed AS (
    INSERT INTO %schema%.feed (publication, order_number, version, changed_at, changed_by, by_sender)
    SELECT 'floor', number, 1, clock_timestamp(), 'sender', 1 FROM unnest($17::int[]) AS t (number)
)
INSERT INTO %schema%.journal_batch (publication, batch, received_at, stored_at, deadline, request_id, login, orders,
                                    accepted, rejected, updated_rows, changed_rows)
VALUES ('floor', $30, now(), clock_timestamp(), now() + interval '1 minute', 'floor', NULL, $31, $31, 0, 0, 0)

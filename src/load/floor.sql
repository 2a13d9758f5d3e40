WITH client AS (
    INSERT INTO %schema%.client (publication, number, sender_id, username, phone, account_number)
    SELECT 'floor', t.* FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::bigint[]) AS t
), address AS (
    INSERT INTO %schema%.address (publication, number, client_number, city, street, house, str, entrance, floor, room)
    SELECT 'floor', t.* FROM unnest($1::int[], $1::int[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
                                    $11::text[], $12::text[]) AS t
), placed AS (
    INSERT INTO %schema%.orders (publication, number, uuid, sender_id, status, client_number, address_number, created_at,
                                 total, delivery_cost, coins, payment_type, shipping_date_from, shipping_date_to, comment,
                                 count_of_returned_bottles)
    SELECT 'floor', number, uuid, sender_id, 'new', client_number, client_number, now(), total, 30, 0, 'cash',
           '2026-11-01 09:00Z', '2026-11-01 18:00Z', 'Позвонить за час до доставки', 1
    FROM unnest($13::int[], $14::uuid[], $15::text[], $16::int[], $17::numeric[])
        AS t (number, uuid, sender_id, client_number, total)
)
INSERT INTO %schema%.order_item (publication, order_number, position, product_id, sender_id, name, price, quantity,
                                 order_product_id)
SELECT 'floor', number, position, product_id, product_id, name, price, quantity, 1
FROM unnest($18::int[], $19::int[], $20::text[], $21::text[], $22::numeric[], $23::int[])
    AS t (number, position, product_id, name, price, quantity)

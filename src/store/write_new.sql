-- Writes new orders, with new clients and addresses, and the journal with them: write.sql for the usual batch, which
-- changes no row that is there. PostgreSQL prepares every part of a statement for every batch, and the parts that would
-- have nothing to do took a tenth of the time that storing a single order takes. `hurry` as there.
WITH hurry AS MATERIALIZED (
    SELECT /* hold the shard */ CASE WHEN $59::text IS NOT NULL THEN set_config('lock_timeout', $59::text, true) END
), new_client AS (
    INSERT INTO client
        (publication, number, sender_id, guest_phone, username, phone, phones, email, comment, account_number, type)
    SELECT $1, number, sender_id, guest_phone, username, phone, string_to_array(phones, ' '), email, comment,
           account_number, type
    FROM unnest($2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                $10::bigint[], $11::text[])
        AS t (number, sender_id, guest_phone, username, phone, phones, email, comment, account_number, type)
), new_address AS (
    INSERT INTO address
        (publication, number, client_number, sender_id, city, street, house, str, entrance, floor, room)
    SELECT $1, t.*
    FROM unnest($12::int[], $13::int[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], $19::text[],
                $20::text[], $21::text[]) AS t
), new_order AS (
    INSERT INTO orders
        (publication, number, uuid, sender_id, status, client_number, address_number, created_at, total,
         delivery_cost, coins, payment_type, payment_status, shipping_date_from, shipping_date_to, comment,
         count_of_returned_bottles, ask_for_checkout, made_by, shipping_address)
    SELECT $1, t.*
    FROM unnest($22::int[], $23::uuid[], $24::text[], $25::text[], $26::int[], $27::int[], $28::timestamptz[],
                $29::numeric[], $30::numeric[], $31::numeric[], $32::text[], $33::boolean[], $34::timestamptz[],
                $35::timestamptz[], $36::text[], $37::int[], $38::jsonb[], $57::uuid[],
                $58::jsonb[]) AS t
), new_item AS (
    INSERT INTO order_item
        (publication, order_number, position, product_id, sender_id, external_id, product_number, name, price,
         quantity, order_product_id)
    SELECT $1, t.*
    FROM unnest($39::int[], $40::int[], $41::text[], $42::text[], $43::int[], $44::int[], $45::text[], $46::numeric[],
                $47::int[], $48::bigint[]) AS t
), new_feed AS (
    INSERT INTO feed (publication, order_number, version, changed_at, changed_by, by_sender)
    SELECT $1, number, 1, clock_timestamp(), 'sender', 1 FROM unnest($22::int[]) AS t (number)
)
INSERT INTO journal_batch
    (publication, batch, received_at, stored_at, deadline, request_id, login, orders, accepted, rejected,
     updated_rows, changed_rows)
SELECT $1, t.batch, t.received_at, clock_timestamp(), $49::timestamptz, t.request_id, t.login, t.orders, t.accepted,
       t.rejected, 0, 0
FROM hurry, unnest($50::uuid[], $51::timestamptz[], $52::text[], $53::text[], $54::int[], $55::int[], $56::int[])
    AS t (batch, received_at, request_id, login, orders, accepted, rejected)

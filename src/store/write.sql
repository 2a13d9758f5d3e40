-- Writes what a decision changed, and the journal with it, in one statement that is its own transaction: one round
-- trip, no lock held across two. Rows with version 0 are new (for addresses is_new says it, for lines what is to be
-- done stands in `action`); the others are changed under the version that was read.
--
-- Whoever was overtaken updates fewer rows than it read, which the journal's CHECK refuses together with everything
-- else; the same CHECK refuses a batch past its deadline (migrations/0001_orders.sql).
WITH sent_client AS MATERIALIZED (
    SELECT *
    FROM unnest($2::int[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                $10::text[], $11::bigint[], $12::text[])
        AS t (number, version, sender_id, guest_phone, username, phone, phones, email, comment, account_number, type)
), new_client AS (
    INSERT INTO client
        (publication, number, sender_id, guest_phone, username, phone, phones, email, comment, account_number, type)
    SELECT $1, number, sender_id, guest_phone, username, phone, string_to_array(phones, ' '), email, comment,
           account_number, type
    FROM sent_client
    WHERE version = 0
), changed_client AS (
    UPDATE client c
    SET version = c.version + 1, sender_id = s.sender_id, guest_phone = s.guest_phone, username = s.username,
        phone = s.phone, phones = string_to_array(s.phones, ' '), email = s.email, comment = s.comment,
        account_number = s.account_number, type = s.type
    FROM sent_client s
    WHERE s.version > 0 AND c.publication = $1 AND c.number = s.number AND c.version = s.version
    RETURNING 1
), sent_address AS MATERIALIZED (
    SELECT *
    FROM unnest($13::int[], $14::boolean[], $15::int[], $16::text[], $17::text[], $18::text[], $19::text[],
                $20::text[], $21::text[], $22::text[], $23::text[])
        AS t (number, is_new, client_number, sender_id, city, street, house, str, entrance, floor, room)
), new_address AS (
    INSERT INTO address
        (publication, number, client_number, sender_id, city, street, house, str, entrance, floor, room)
    SELECT $1, number, client_number, sender_id, city, street, house, str, entrance, floor, room
    FROM sent_address
    WHERE is_new
), changed_address AS (
    UPDATE address a
    SET sender_id = s.sender_id, city = s.city, street = s.street, house = s.house, str = s.str,
        entrance = s.entrance, floor = s.floor, room = s.room
    FROM sent_address s
    WHERE NOT s.is_new AND a.publication = $1 AND a.number = s.number
), sent_order AS MATERIALIZED (
    SELECT *
    FROM unnest($24::int[], $25::int[], $26::uuid[], $27::text[], $28::text[], $29::int[], $30::int[],
                $31::timestamptz[], $32::numeric[], $33::numeric[], $34::numeric[], $35::text[], $36::boolean[],
                $37::timestamptz[], $38::timestamptz[], $39::text[], $40::int[], $41::jsonb[])
        AS t (number, version, uuid, sender_id, status, client_number, address_number, created_at, total,
              delivery_cost, coins, payment_type, payment_status, shipping_date_from, shipping_date_to, comment,
              count_of_returned_bottles, ask_for_checkout)
), new_order AS (
    INSERT INTO orders
        (publication, number, uuid, sender_id, status, client_number, address_number, created_at, total,
         delivery_cost, coins, payment_type, payment_status, shipping_date_from, shipping_date_to, comment,
         count_of_returned_bottles, ask_for_checkout)
    SELECT $1, number, uuid, sender_id, status, client_number, address_number, created_at, total,
           delivery_cost, coins, payment_type, payment_status, shipping_date_from, shipping_date_to, comment,
           count_of_returned_bottles, ask_for_checkout
    FROM sent_order
    WHERE version = 0
), changed_order AS (
    UPDATE orders o
    SET version = o.version + 1, status = s.status, client_number = s.client_number,
        address_number = s.address_number, created_at = s.created_at, total = s.total,
        delivery_cost = s.delivery_cost, coins = s.coins, payment_type = s.payment_type,
        payment_status = s.payment_status, shipping_date_from = s.shipping_date_from,
        shipping_date_to = s.shipping_date_to, comment = s.comment,
        count_of_returned_bottles = s.count_of_returned_bottles, ask_for_checkout = s.ask_for_checkout
    FROM sent_order s
    WHERE s.version > 0 AND o.publication = $1 AND o.number = s.number AND o.version = s.version
    RETURNING 1
), sent_item AS MATERIALIZED (
    SELECT *
    FROM unnest($42::int[], $43::int[], $44::text[], $45::text[], $46::text[], $47::int[], $48::int[],
                $49::text[], $50::numeric[], $51::int[], $52::bigint[])
        AS t (order_number, position, action, product_id, sender_id, external_id, product_number, name, price,
              quantity, order_product_id)
), new_item AS (
    INSERT INTO order_item
        (publication, order_number, position, product_id, sender_id, external_id, product_number, name, price,
         quantity, order_product_id)
    SELECT $1, order_number, position, product_id, sender_id, external_id, product_number, name, price, quantity,
           order_product_id
    FROM sent_item
    WHERE action = 'insert'
), changed_item AS (
    UPDATE order_item i
    SET product_id = s.product_id, sender_id = s.sender_id, external_id = s.external_id,
        product_number = s.product_number, name = s.name, price = s.price, quantity = s.quantity,
        order_product_id = s.order_product_id
    FROM sent_item s
    WHERE s.action = 'update'
      AND i.publication = $1 AND i.order_number = s.order_number AND i.position = s.position
), dropped_item AS (
    DELETE FROM order_item i
    USING sent_item s
    WHERE s.action = 'delete'
      AND i.publication = $1 AND i.order_number = s.order_number AND i.position = s.position
), rejected AS (
    INSERT INTO journal_rejected (publication, batch, position, order_key, body, faults)
    SELECT $1, t.*
    FROM unnest($53::uuid[], $54::int[], $55::text[], $56::text[], $57::jsonb[])
        AS t (batch, position, order_key, body, faults)
)
INSERT INTO journal_batch
    (publication, batch, received_at, stored_at, deadline, request_id, login, orders, accepted, rejected,
     updated_rows, changed_rows)
SELECT $1, t.batch, t.received_at, clock_timestamp(), $58::timestamptz, t.request_id, t.login, t.orders, t.accepted,
       t.rejected, (SELECT count(*) FROM changed_client) + (SELECT count(*) FROM changed_order), $59::int
FROM unnest($60::uuid[], $61::timestamptz[], $62::text[], $63::text[], $64::int[], $65::int[], $66::int[])
    AS t (batch, received_at, request_id, login, orders, accepted, rejected)

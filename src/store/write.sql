-- Writes what a decision changed, and the journal with it, in one statement that is its own transaction: one round
-- trip, no lock held across two. Rows with version 0 are new (for addresses and lines is_new says it); the others are
-- changed under the version that was read.
--
-- A changed row is found by ON CONFLICT on its primary key rather than by a join: on a database that is new, without
-- statistics, the planner takes every publication for a single row, and joins by walking all of its rows for each one
-- sent. Rows of a known number conflict, unless a server has taken over meanwhile that does not know them: what would be
-- inserted then, half a record, has no `xmax` (one that was there has ours, for ON CONFLICT locks it first) and does not
-- count.
--
-- Whoever was overtaken updates fewer rows than it read, which the journal's CHECK refuses together with everything
-- else; another refuses a batch past its deadline (migrations/0001_orders.sql).
--
-- `hurry`: how long to wait for somebody's lock, where that is to be less than usual. Nothing is locked before: the parts
-- that change something are run for the last SELECT, or after it.
WITH hurry AS MATERIALIZED (
    SELECT /* hold the shard */ CASE WHEN $80::text IS NOT NULL THEN set_config('lock_timeout', $80::text, true) END
), sent_client AS MATERIALIZED (
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
    INSERT INTO client AS c
        (publication, number, version, sender_id, guest_phone, username, phone, phones, email, comment,
         account_number, type)
    SELECT $1, number, version, sender_id, guest_phone, username, phone, string_to_array(phones, ' '), email, comment,
           account_number, type
    FROM sent_client
    WHERE version > 0
    ON CONFLICT (publication, number) DO UPDATE
    SET version = c.version + 1, sender_id = excluded.sender_id, guest_phone = excluded.guest_phone,
        username = excluded.username, phone = excluded.phone, phones = excluded.phones, email = excluded.email,
        comment = excluded.comment, account_number = excluded.account_number, type = excluded.type
    WHERE c.version = excluded.version
    RETURNING c.xmax <> 0 AS was_there
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
    INSERT INTO address AS a
        (publication, number, client_number, sender_id, city, street, house, str, entrance, floor, room)
    SELECT $1, number, client_number, sender_id, city, street, house, str, entrance, floor, room
    FROM sent_address
    WHERE NOT is_new
    ON CONFLICT (publication, number) DO UPDATE
    SET sender_id = excluded.sender_id, city = excluded.city, street = excluded.street, house = excluded.house,
        str = excluded.str, entrance = excluded.entrance, floor = excluded.floor, room = excluded.room
    WHERE a.client_number = excluded.client_number
    RETURNING a.xmax <> 0 AS was_there
), sent_order AS MATERIALIZED (
    SELECT *
    FROM unnest($24::int[], $25::int[], $26::uuid[], $27::text[], $28::text[], $29::int[], $30::int[],
                $31::timestamptz[], $32::numeric[], $33::numeric[], $34::numeric[], $35::text[], $36::boolean[],
                $37::timestamptz[], $38::timestamptz[], $39::text[], $40::int[], $41::jsonb[], $69::uuid[], $77::jsonb[])
        AS t (number, version, uuid, sender_id, status, client_number, address_number, created_at, total,
              delivery_cost, coins, payment_type, payment_status, shipping_date_from, shipping_date_to, comment,
              count_of_returned_bottles, ask_for_checkout, batch, shipping_address)
), new_order AS (
    INSERT INTO orders
        (publication, number, uuid, sender_id, status, client_number, address_number, created_at, total,
         delivery_cost, coins, payment_type, payment_status, shipping_date_from, shipping_date_to, comment,
         count_of_returned_bottles, ask_for_checkout, made_by, shipping_address)
    SELECT $1, number, uuid, sender_id, status, client_number, address_number, created_at, total,
           delivery_cost, coins, payment_type, payment_status, shipping_date_from, shipping_date_to, comment,
           count_of_returned_bottles, ask_for_checkout, batch, shipping_address
    FROM sent_order
    WHERE version = 0
), changed_order AS (
    INSERT INTO orders AS o
        (publication, number, version, uuid, sender_id, status, client_number, address_number, created_at, total,
         delivery_cost, coins, payment_type, payment_status, shipping_date_from, shipping_date_to, comment,
         count_of_returned_bottles, ask_for_checkout, shipping_address)
    SELECT $1, number, version, uuid, sender_id, status, client_number, address_number, created_at, total,
           delivery_cost, coins, payment_type, payment_status, shipping_date_from, shipping_date_to, comment,
           count_of_returned_bottles, ask_for_checkout, shipping_address
    FROM sent_order
    WHERE version > 0
    ON CONFLICT (publication, number) DO UPDATE
    SET version = o.version + 1, status = excluded.status, client_number = excluded.client_number,
        address_number = excluded.address_number, created_at = excluded.created_at, total = excluded.total,
        delivery_cost = excluded.delivery_cost, coins = excluded.coins, payment_type = excluded.payment_type,
        payment_status = excluded.payment_status, shipping_date_from = excluded.shipping_date_from,
        shipping_date_to = excluded.shipping_date_to, comment = excluded.comment,
        count_of_returned_bottles = excluded.count_of_returned_bottles, ask_for_checkout = excluded.ask_for_checkout,
        shipping_address = excluded.shipping_address
    WHERE o.version = excluded.version
    RETURNING o.xmax <> 0 AS was_there
), changed_feed AS (
    INSERT INTO feed AS f (publication, order_number, version, changed_at, changed_by, by_sender)
    SELECT $1, number, version + 1, clock_timestamp(), 'sender', version + 1 FROM sent_order
    ON CONFLICT (publication, order_number) DO UPDATE
    SET version = excluded.version, position = NULL, changed_at = excluded.changed_at, changed_by = excluded.changed_by,
        by_sender = excluded.by_sender
), sent_item AS MATERIALIZED (
    SELECT *
    FROM unnest($42::int[], $43::int[], $44::boolean[], $45::text[], $46::text[], $47::int[], $48::int[],
                $49::text[], $50::numeric[], $51::int[], $52::bigint[])
        AS t (order_number, position, is_new, product_id, sender_id, external_id, product_number, name, price,
              quantity, order_product_id)
), new_item AS (
    INSERT INTO order_item
        (publication, order_number, position, product_id, sender_id, external_id, product_number, name, price,
         quantity, order_product_id)
    SELECT $1, order_number, position, product_id, sender_id, external_id, product_number, name, price, quantity,
           order_product_id
    FROM sent_item
    WHERE is_new
), changed_item AS (
    INSERT INTO order_item AS i
        (publication, order_number, position, product_id, sender_id, external_id, product_number, name, price,
         quantity, order_product_id)
    SELECT $1, order_number, position, product_id, sender_id, external_id, product_number, name, price, quantity,
           order_product_id
    FROM sent_item
    WHERE NOT is_new
    ON CONFLICT (publication, order_number, position) DO UPDATE
    SET product_id = excluded.product_id, sender_id = excluded.sender_id, external_id = excluded.external_id,
        product_number = excluded.product_number, name = excluded.name, price = excluded.price,
        quantity = excluded.quantity, order_product_id = excluded.order_product_id
    RETURNING i.xmax <> 0 AS was_there
), dropped_item AS (
    -- Orders that have fewer lines now, and how many.
    DELETE FROM order_item i
    WHERE cardinality($67::int[]) > 0 AND i.publication = $1 AND i.order_number = ANY ($67::int[])
      AND i.position >= ($68::int[])[array_position($67::int[], i.order_number)]
), change AS (
    INSERT INTO journal_change (publication, order_number, version, made_at, batch, request_id, login, changes)
    SELECT $1, t.*
    FROM unnest($70::int[], $71::int[], $72::timestamptz[], $73::uuid[], $74::text[], $75::text[], $76::jsonb[])
        AS t (order_number, version, made_at, batch, request_id, login, changes)
), kept AS (
    INSERT INTO journal_rejected
        (publication, batch, position, order_key, body, faults, repeated, warnings, order_version, client_version)
    SELECT $1, t.*
    FROM unnest($53::uuid[], $54::int[], $55::text[], $56::text[], $57::jsonb[], $78::int[], $81::jsonb[], $82::int[],
                $83::int[])
        AS t (batch, position, order_key, body, faults, repeated, warnings, order_version, client_version)
)
INSERT INTO journal_batch
    (publication, batch, received_at, stored_at, deadline, request_id, login, orders, accepted, rejected,
     updated_rows, changed_rows, kept_bytes, with_remarks)
SELECT $1, t.batch, t.received_at, clock_timestamp(), $58::timestamptz, t.request_id, t.login, t.orders, t.accepted,
       t.rejected,
       (SELECT count(*) FROM changed_client WHERE was_there) + (SELECT count(*) FROM changed_address WHERE was_there)
           + (SELECT count(*) FROM changed_order WHERE was_there) + (SELECT count(*) FROM changed_item WHERE was_there),
       $59::int, t.kept_bytes, t.with_remarks
FROM hurry,
     unnest($60::uuid[], $61::timestamptz[], $62::text[], $63::text[], $64::int[], $65::int[], $66::int[], $79::int[],
            $84::int[])
         AS t (batch, received_at, request_id, login, orders, accepted, rejected, kept_bytes, with_remarks)

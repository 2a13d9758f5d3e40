-- All that is stored under a batch's keys, of one moment, in one statement (contract §4; one round trip however
-- large the batch). Each branch fills its own columns, which are named after what they hold; the rest is null.
--
-- Every table is looked into from a key, by LATERAL … OFFSET 0, which the planner may not turn round: on a database
-- that is new, without statistics, it takes every publication for a single row, and would walk all of its rows for
-- every batch.
--
-- kind: 0 the database's clock, 1 order, 2 its line, 3 order's number in use, 4 client, 5 address, 6 client's price,
--       7 address's number in use, 8 product.
WITH found_order AS MATERIALIZED (
    SELECT o.*
    FROM unnest($2::text[]) AS k (id)
    CROSS JOIN LATERAL (
        SELECT * FROM orders o WHERE o.publication = $1 AND o.sender_id = k.id OFFSET 0
    ) o
), found_client AS MATERIALIZED (
    SELECT c.number
    FROM unnest($4::text[]) AS k (id)
    CROSS JOIN LATERAL (
        SELECT c.number FROM client c WHERE c.publication = $1 AND c.sender_id = k.id OFFSET 0
    ) c
    UNION
    SELECT c.number
    FROM unnest($5::int[]) AS k (number)
    CROSS JOIN LATERAL (
        SELECT c.number FROM client c WHERE c.publication = $1 AND c.number = k.number OFFSET 0
    ) c
    UNION
    SELECT c.number
    FROM unnest($6::text[]) AS k (phone)
    CROSS JOIN LATERAL (
        SELECT c.number FROM client c WHERE c.publication = $1 AND c.guest_phone = k.phone OFFSET 0
    ) c
)
SELECT 0::smallint AS "kind!", NULL::int AS "number?", NULL::int AS "version?", NULL::text AS "sender_id?",
       NULL::text AS "guest_phone?", NULL::text AS "username?", NULL::text AS "phone?",
       NULL::text[] AS "phones?", NULL::text AS "email?", NULL::text AS "comment?",
       NULL::bigint AS "account_number?", NULL::text AS "client_type?", NULL::jsonb AS "bank_account?: Json<BankAccount>",
       NULL::text[] AS "legal_address?", NULL::numeric AS "coins_amount?",
       NULL::boolean AS "loyalty_system_is_active?", NULL::int AS "client_number?", NULL::text AS "city?",
       NULL::text AS "street?", NULL::text AS "house?", NULL::text AS "str?", NULL::text AS "entrance?",
       NULL::text AS "floor?", NULL::text AS "room?", NULL::int AS "district_number?",
       NULL::text AS "district_name?", NULL::uuid AS "uuid?", NULL::text AS "status?",
       NULL::int AS "address_number?", clock_timestamp() AS "created_at?", NULL::numeric AS "total?",
       NULL::numeric AS "delivery_cost?", NULL::numeric AS "coins?", NULL::text AS "payment_type?",
       NULL::boolean AS "payment_status?", NULL::timestamptz AS "shipping_date_from?",
       NULL::timestamptz AS "shipping_date_to?", NULL::int AS "count_of_returned_bottles?",
       NULL::jsonb AS "ask_for_checkout?: Json<Checkout>", NULL::int AS "order_number?", NULL::int AS "position?",
       NULL::text AS "product_id?", NULL::int AS "external_id?", NULL::int AS "product_number?",
       NULL::text AS "name?", NULL::numeric AS "price?", NULL::int AS "quantity?",
       NULL::bigint AS "order_product_id?", NULL::boolean AS "active?"
UNION ALL
SELECT 1::smallint, o.number, o.version, o.sender_id, NULL, NULL, NULL, NULL, NULL, o.comment, NULL, NULL, NULL,
       NULL, NULL, NULL, o.client_number, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, o.uuid,
       o.status, o.address_number, o.created_at, o.total, o.delivery_cost, o.coins, o.payment_type,
       o.payment_status, o.shipping_date_from, o.shipping_date_to, o.count_of_returned_bottles,
       o.ask_for_checkout, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM found_order o
UNION ALL
SELECT 2::smallint, NULL, NULL, i.sender_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, i.order_number, i.position, i.product_id, i.external_id,
       i.product_number, i.name, i.price, i.quantity, i.order_product_id, NULL
FROM found_order o
CROSS JOIN LATERAL (
    SELECT * FROM order_item i WHERE i.publication = $1 AND i.order_number = o.number OFFSET 0
) i
UNION ALL
SELECT 3::smallint, o.number, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM unnest($3::int[]) AS k (number)
CROSS JOIN LATERAL (
    SELECT o.number FROM orders o WHERE o.publication = $1 AND o.number = k.number OFFSET 0
) o
UNION ALL
SELECT 4::smallint, c.number, c.version, c.sender_id, c.guest_phone, c.username, c.phone, c.phones, c.email,
       c.comment, c.account_number, c.type, c.bank_account, c.legal_address, c.coins_amount,
       c.loyalty_system_is_active, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL
FROM found_client f
CROSS JOIN LATERAL (
    SELECT * FROM client c WHERE c.publication = $1 AND c.number = f.number OFFSET 0
) c
UNION ALL
SELECT 5::smallint, a.number, NULL, a.sender_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, a.client_number, a.city, a.street, a.house, a.str, a.entrance, a.floor, a.room,
       a.district_number,
       (SELECT d.name FROM district d WHERE d.publication = $1 AND d.number = a.district_number), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM found_client f
CROSS JOIN LATERAL (
    SELECT * FROM address a WHERE a.publication = $1 AND a.client_number = f.number OFFSET 0
) a
UNION ALL
SELECT 6::smallint, NULL, NULL,
       (SELECT min(s.sender_id)
        FROM (
            SELECT s.sender_id FROM product_sender_id s
            WHERE s.publication = $1 AND s.product_number = p.product_number OFFSET 0
        ) s),
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, p.client_number, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, p.product_number, NULL, p.price, NULL, NULL, p.active
FROM found_client f
CROSS JOIN LATERAL (
    SELECT * FROM client_price p WHERE p.publication = $1 AND p.client_number = f.number OFFSET 0
) p
UNION ALL
SELECT 7::smallint, a.number, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, a.client_number, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL
FROM unnest($8::int[]) AS k (number)
CROSS JOIN LATERAL (
    SELECT a.number, a.client_number FROM address a WHERE a.publication = $1 AND a.number = k.number OFFSET 0
) a
UNION ALL
SELECT 8::smallint, p.number, NULL, s.sender_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, p.name, NULL, NULL, NULL,
       NULL
FROM unnest($7::text[]) AS k (id)
CROSS JOIN LATERAL (
    SELECT * FROM product_sender_id s WHERE s.publication = $1 AND s.sender_id = k.id OFFSET 0
) s
CROSS JOIN LATERAL (
    SELECT * FROM product p WHERE p.publication = $1 AND p.number = s.product_number OFFSET 0
) p

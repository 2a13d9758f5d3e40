-- All that is stored under a batch's keys, of one moment, in one statement (contract §4; one round trip however
-- large the batch).
--
-- Every table is looked into from a key, by LATERAL … OFFSET 0, which the planner may not turn round: on a database
-- that is new, without statistics, it takes every publication for a single row, and would walk all of its rows for
-- every batch.
--
-- Rows of all kinds share columns that are named after their type only, and read/row.rs says what each means: a column of
-- its own for everything makes twice as many, and PostgreSQL prepares each of them in each branch for every batch,
-- which took a third of the time that a single order's reading takes. For the same reason what is but a number comes
-- as an array in the first row. A client found by its number as well as by its id comes twice.
--
-- Clients are asked for with a stamp, the one that the service has in its cache (client_cache.rs) or ''. Where the row
-- still has it, nothing of the client is sent but its number and the stamp.
--
-- What stands between `part` and `end` is left out where the batch names nothing of the kind (read/statement.rs): PostgreSQL
-- prepares every part for every batch, whether it finds something to do or not. The clients that orders have are nearly
-- always those that the batch names; where they are not, it is read again with them.
--
-- kind: 0 the database's clock, when its server was started, the catalogue's version, and the numbers and stamps of clients that are as cached;
--       1 order, 2 its line, 3 client, 4 address, 5 client's price, 6 product, 7 order's number in use, 8 address's
--       number in use, 9 imported order.
WITH found_order AS MATERIALIZED (
    SELECT o.*
    FROM unnest($2::text[]) AS k (id)
    CROSS JOIN LATERAL (
        SELECT * FROM orders o WHERE o.publication = $1 AND o.sender_id = k.id OFFSET 0
    ) o
), found_client AS MATERIALIZED (
    SELECT c.number, c.stamp, c.stamp = k.stamp AS is_cached
    FROM unnest($4::text[], $9::text[]) AS k (id, stamp)
    CROSS JOIN LATERAL (
        SELECT c.number, c.xmin::text AS stamp
        FROM client c WHERE c.publication = $1 AND c.sender_id = k.id OFFSET 0
    ) c
    -- part client numbers
    UNION ALL
    SELECT c.number, c.stamp, c.stamp = k.stamp
    FROM unnest($5::int[], $10::text[]) AS k (number, stamp)
    CROSS JOIN LATERAL (
        SELECT c.number, c.xmin::text AS stamp
        FROM client c WHERE c.publication = $1 AND c.number = k.number OFFSET 0
    ) c
    -- end
    -- part guests' phones
    UNION ALL
    SELECT c.number, c.stamp, c.stamp = k.stamp
    FROM unnest($6::text[], $11::text[]) AS k (phone, stamp)
    CROSS JOIN LATERAL (
        SELECT c.number, c.xmin::text AS stamp
        FROM client c WHERE c.publication = $1 AND c.guest_phone = k.phone OFFSET 0
    ) c
    -- end
    -- part orders' clients
    UNION ALL
    SELECT c.number, c.stamp, false
    FROM (SELECT DISTINCT o.client_number FROM found_order o) o
    CROSS JOIN LATERAL (
        SELECT c.number, c.xmin::text AS stamp
        FROM client c WHERE c.publication = $1 AND c.number = o.client_number OFFSET 0
    ) c
    -- end
)
SELECT 0::smallint AS "kind!", NULL::int AS "int_1?", NULL::int AS "int_2?", NULL::int AS "int_3?",
       NULL::int AS "int_4?", NULL::int AS "int_5?", NULL::text AS "text_1?", NULL::text AS "text_2?",
       NULL::text AS "text_3?", NULL::text AS "text_4?", NULL::text AS "text_5?", NULL::text AS "text_6?",
       NULL::text AS "text_7?", NULL::text AS "text_8?", NULL::text AS "text_9?",
       ARRAY(SELECT c.stamp FROM found_client c WHERE c.is_cached) AS "texts_1?", NULL::text[] AS "texts_2?",
       NULL::numeric AS "amount_1?", NULL::numeric AS "amount_2?", NULL::numeric AS "amount_3?",
       clock_timestamp() AS "at_1?", pg_postmaster_start_time() AS "at_2?", NULL::timestamptz AS "at_3?", NULL::jsonb AS "json?",
       NULL::uuid AS "uuid?", (SELECT v.has_orders FROM catalogue_version v WHERE v.publication = $1) AS "flag?",
       coalesce((SELECT v.version FROM catalogue_version v WHERE v.publication = $1), 0) AS "big?",
       ARRAY(SELECT c.number FROM found_client c WHERE c.is_cached) AS "ints?"
UNION ALL
SELECT 1::smallint, o.number, o.version, o.client_number, o.address_number, o.count_of_returned_bottles, o.sender_id,
       o.status, o.payment_type, o.comment, o.shipping_address::text, NULL, NULL, NULL, NULL, NULL, NULL, o.total, o.delivery_cost,
       o.coins, o.created_at, o.shipping_date_from, o.shipping_date_to, o.ask_for_checkout, o.uuid, o.payment_status,
       NULL, NULL
FROM found_order o
UNION ALL
SELECT 2::smallint, i.order_number, i.position, i.external_id, i.product_number, i.quantity, i.product_id,
       i.sender_id, i.name, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, i.price, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, i.order_product_id, NULL
FROM found_order o
CROSS JOIN LATERAL (
    SELECT * FROM order_item i WHERE i.publication = $1 AND i.order_number = o.number OFFSET 0
) i
UNION ALL
SELECT 3::smallint, c.number, c.version, NULL, NULL, NULL, c.sender_id, c.guest_phone, c.username, c.phone, c.email,
       c.comment, c.type, f.stamp, NULL, c.phones, c.legal_address, c.coins_amount, NULL, NULL, NULL, NULL, NULL,
       c.bank_account, NULL, c.loyalty_system_is_active, c.account_number, NULL
FROM found_client f
CROSS JOIN LATERAL (
    SELECT * FROM client c WHERE c.publication = $1 AND c.number = f.number OFFSET 0
) c
WHERE NOT f.is_cached
UNION ALL
SELECT 4::smallint, a.number, a.client_number, a.district_number, NULL, NULL, a.sender_id, a.city, a.street, a.house,
       a.str, a.entrance, a.floor, a.room,
       (SELECT d.name FROM district d WHERE d.publication = $1 AND d.number = a.district_number), NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM found_client c
CROSS JOIN LATERAL (
    SELECT * FROM address a WHERE a.publication = $1 AND a.client_number = c.number OFFSET 0
) a
WHERE NOT c.is_cached
UNION ALL
SELECT 5::smallint, p.product_number, p.client_number, NULL, NULL, NULL,
       (SELECT min(s.sender_id)
        FROM (
            SELECT s.sender_id FROM product_sender_id s
            WHERE s.publication = $1 AND s.product_number = p.product_number OFFSET 0
        ) s),
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, p.price, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       p.active, NULL, NULL
FROM found_client c
CROSS JOIN LATERAL (
    SELECT * FROM client_price p WHERE p.publication = $1 AND p.client_number = c.number OFFSET 0
) p
WHERE NOT c.is_cached
-- part products
UNION ALL
SELECT 6::smallint, p.product_number, NULL, NULL, NULL, NULL, p.sender_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM unnest($7::text[]) AS k (id)
CROSS JOIN LATERAL (
    SELECT * FROM product_sender_id p WHERE p.publication = $1 AND p.sender_id = k.id OFFSET 0
) p
-- end
-- part order numbers
UNION ALL
SELECT 7::smallint, o.number, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM unnest($3::int[]) AS k (number)
CROSS JOIN LATERAL (
    SELECT o.number FROM orders o WHERE o.publication = $1 AND o.number = k.number OFFSET 0
) o
-- end
-- part imported orders
UNION ALL
SELECT 9::smallint, i.number, NULL, NULL, NULL, NULL, i.sender_id, i.status, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM unnest($2::text[]) AS k (id)
CROSS JOIN LATERAL (
    SELECT * FROM imported_order i WHERE i.publication = $1 AND i.sender_id = k.id OFFSET 0
) i
UNION ALL
SELECT 9::smallint, i.number, NULL, NULL, NULL, NULL, i.sender_id, i.status, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM unnest($3::int[]) AS k (number)
CROSS JOIN LATERAL (
    SELECT * FROM imported_order i WHERE i.publication = $1 AND i.number = k.number OFFSET 0
) i
UNION ALL
SELECT 7::smallint, o.number, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM unnest($2::text[]) AS k (id)
CROSS JOIN LATERAL (
    SELECT i.number FROM imported_order i WHERE i.publication = $1 AND i.sender_id = k.id OFFSET 0
) i
CROSS JOIN LATERAL (
    SELECT o.number FROM orders o WHERE o.publication = $1 AND o.number = i.number OFFSET 0
) o
-- end
-- part address numbers
UNION ALL
SELECT 8::smallint, a.number, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM unnest($8::int[]) AS k (number)
CROSS JOIN LATERAL (
    SELECT a.number FROM address a WHERE a.publication = $1 AND a.number = k.number OFFSET 0
) a
-- end

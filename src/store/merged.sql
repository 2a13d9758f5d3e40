-- Clients, addresses and orders under an id that is no identity. An address of a single order is no two people's. `open` are
-- orders that are still to be delivered: for them it matters most.
WITH merged AS (
    SELECT 'client' AS kind, number, sender_id, username AS says, number AS client
    FROM client WHERE publication = $1 AND sender_id ~ $2
    UNION ALL
    SELECT 'address', number, sender_id, str, client_number
    FROM address WHERE publication = $1 AND sender_id ~ $2
    UNION ALL
    SELECT 'order', number, sender_id, status, client_number
    FROM orders WHERE publication = $1 AND sender_id ~ $2
), of_orders AS (
    SELECT m.kind, m.number, o.number AS order_number, o.status, o.shipping_date_to
    FROM merged m JOIN orders o ON o.publication = $1 AND o.client_number = m.number
    WHERE m.kind = 'client'
    UNION ALL
    SELECT m.kind, m.number, o.number, o.status, o.shipping_date_to
    FROM merged m JOIN orders o ON o.publication = $1 AND o.address_number = m.number
    WHERE m.kind = 'address'
    UNION ALL
    SELECT m.kind, m.number, o.number, o.status, o.shipping_date_to
    FROM merged m JOIN orders o ON o.publication = $1 AND o.number = m.number
    WHERE m.kind = 'order'
), counted AS (
    SELECT kind, number, count(*) AS orders, count(*) FILTER (WHERE is_open) AS open,
           (array_agg(order_number ORDER BY order_number DESC) FILTER (WHERE is_open))[1:$3] AS open_numbers
    FROM (
        -- Where nobody says that an order is completed, its time does.
        SELECT *, status IN ('new', 'approved') AND shipping_date_to >= now() - interval '1 day' AS is_open FROM of_orders
    ) AS o
    GROUP BY kind, number
), ranked AS (
    SELECT kind, number, sender_id, says, client, coalesce(orders, 0) AS orders, coalesce(open, 0) AS open, open_numbers,
           count(*) OVER (PARTITION BY kind) AS all_of_kind,
           sum(coalesce(open, 0)) OVER (PARTITION BY kind) AS open_of_kind,
           row_number() OVER (PARTITION BY kind ORDER BY coalesce(open, 0) DESC, coalesce(orders, 0) DESC, number) AS rank
    FROM merged LEFT JOIN counted USING (kind, number)
    WHERE kind <> 'address' OR orders > 1
)
SELECT kind AS "kind!", number AS "number!", sender_id AS "sender_id!", says AS "says!", client AS "client!",
       orders AS "orders!", open AS "open!", coalesce(open_numbers, '{}') AS "open_numbers!",
       all_of_kind AS "all_of_kind!", open_of_kind::bigint AS "open_of_kind!"
FROM ranked WHERE rank <= $3 ORDER BY kind, rank

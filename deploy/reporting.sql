-- For reports (Metabase, Power BI, Excel over ODBC): views without names, phones, addresses and comments, and a role that reads
-- these and nothing else. As a superuser, in the service's database; again after an update, which may have changed them:
--
--   psql -U postgres -d aqua -f reporting.sql
--
-- Then a login of the role for each program, which cannot take the database from the orders:
--
--   CREATE ROLE bi LOGIN PASSWORD '…' CONNECTION LIMIT 3 IN ROLE aqua_reporting;
--   ALTER ROLE bi SET default_transaction_read_only = on;
--   ALTER ROLE bi SET statement_timeout = '60s';
--
-- Large reports belong on a standby.

\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;

SELECT 'CREATE ROLE aqua_reporting NOLOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'aqua_reporting') \gexec

BEGIN;
-- All of it is the service's, so that its backups have it, too.
SELECT tableowner AS owner FROM pg_tables WHERE schemaname = 'public' AND tablename = 'orders' \gset
CREATE SCHEMA IF NOT EXISTS reporting AUTHORIZATION :"owner";
SET LOCAL ROLE :"owner";

CREATE OR REPLACE VIEW reporting.orders AS
SELECT o.publication, o.number, o.sender_id, o.status, o.created_at, o.shipping_date_from, o.shipping_date_to,
       o.total, o.delivery_cost, o.coins, o.payment_type, o.payment_status, o.count_of_returned_bottles,
       o.client_number, o.shipping_address ->> 'city' AS city, d.name AS district
FROM public.orders o
LEFT JOIN public.address a ON a.publication = o.publication AND a.number = o.address_number
LEFT JOIN public.district d ON d.publication = a.publication AND d.number = a.district_number;
COMMENT ON VIEW reporting.orders IS 'Orders; amounts in roubles, as sent. district is that of the client''s address today.';

CREATE OR REPLACE VIEW reporting.order_items AS
SELECT i.publication, i.order_number, i.position, i.product_id, i.product_number, p.name AS product,
       i.price, i.quantity, i.price * i.quantity AS amount
FROM public.order_item i
LEFT JOIN public.product p ON p.publication = i.publication AND p.number = i.product_number;
COMMENT ON VIEW reporting.order_items IS 'Lines of orders; product is null where the sender''s id found none.';

CREATE OR REPLACE VIEW reporting.clients AS
SELECT c.publication, c.number, c.type, c.guest_phone IS NOT NULL AS is_guest, c.coins_amount
FROM public.client c;
COMMENT ON VIEW reporting.clients IS 'Clients by their numbers alone.';

CREATE OR REPLACE VIEW reporting.products AS
SELECT publication, number, name, active FROM public.product;

CREATE OR REPLACE VIEW reporting.batches AS
SELECT b.publication, b.received_at, b.stored_at, b.orders, b.accepted, b.rejected, b.with_remarks
FROM public.journal_batch b
WHERE NOT b.abandoned AND NOT b.dry_run;
COMMENT ON VIEW reporting.batches IS 'Batches that were stored, for as long as journal.keep_batches says.';

CREATE OR REPLACE VIEW reporting.faults AS
SELECT r.publication, b.received_at, f.fault ->> 'field' AS field, f.fault ->> 'code' AS code
FROM public.journal_rejected r
JOIN public.journal_batch b ON b.publication = r.publication AND b.batch = r.batch
CROSS JOIN LATERAL jsonb_array_elements(r.faults) AS f (fault)
WHERE NOT b.dry_run;
COMMENT ON VIEW reporting.faults IS 'Why orders were rejected, for as long as journal.keep_rejected says.';

GRANT USAGE ON SCHEMA reporting TO aqua_reporting;
GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO aqua_reporting;
COMMIT;

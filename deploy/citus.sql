-- Spreads the schema over a Citus cluster, publication by publication.
--
-- Every key, unique index and foreign key leads with the publication, and every statement names exactly one
-- (docs/ARCHITECTURE.md). With the publication as distribution column all rows of a tenant lie on one machine.
--
-- Run it once, as the service's role, on the coordinator, after the first start of the service has made the tables, and with the service
-- stopped (rows that are there move along):
--
--     psql "$DATABASE_URL" --set ON_ERROR_STOP=1 --file deploy/citus.sql
--
-- What comes before it and after (nodes, role, TLS, moves, failover, backup): docs/operations.ru.md, "Citus". Tables of later
-- migrations the service spreads itself. `_sqlx_migrations` and `operator_session`, which are of no publication, stay on the coordinator.

BEGIN;
-- Shards with foreign keys between them cannot be made by several connections at once in one transaction.
SET LOCAL citus.multi_shard_modify_mode TO 'sequential';

-- What is referred to comes before what refers to it: a foreign key may join two distributed tables, but must not lead
-- from a distributed table to one that is not distributed yet.
SELECT create_distributed_table('number_counter', 'publication', colocate_with => 'none');
SELECT create_distributed_table('publication_mark', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('catalogue_version', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('district', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('product', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('product_sender_id', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('client', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('client_price', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('address', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('orders', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('order_item', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('journal_batch', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('journal_change', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('journal_rejected', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('feed', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('feed_head', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('feed_mark', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('order_receiver', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('target', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('target_delivery', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('target_attempt', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('imported_order', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('operator_action', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('product_left_empty', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('order_refusal', 'publication', colocate_with => 'number_counter');
SELECT create_distributed_table('product_match', 'publication', colocate_with => 'number_counter');

COMMIT;

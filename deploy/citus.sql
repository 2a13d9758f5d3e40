-- Spreads the schema over a Citus cluster, publication by publication.
--
-- Every key, unique index and foreign key leads with the publication, and every statement of the service names exactly
-- one (docs/ARCHITECTURE.md). With the publication as distribution column all rows of a tenant lie on one machine, so
-- statements and transactions stay local to it, and foreign keys hold as they are.
--
-- Run it once, on the coordinator, after the first start of the service has made the tables and before there is much
-- in them (existing rows are moved, but the tables are locked meanwhile):
--
--     CREATE EXTENSION IF NOT EXISTS citus;      -- as a superuser, before the service's first start
--     psql "$DATABASE_URL" --set ON_ERROR_STOP=1 --file deploy/citus.sql
--
-- A migration that adds a table adds its line here too. `_sqlx_migrations` stays on the coordinator.
--
-- WHICH STATEMENTS RUN WHERE. DATABASE_URL names the coordinator.
--   On one worker, whole, transaction and all: reading and writing a batch, its settling, number blocks, the journal,
--   import, `order`. Each names one publication, so the coordinator hands it on to where that publication lies (a router
--   query: EXPLAIN shows "Task Count: 1"). A worker that is away stops its publications, and no others.
--   On the coordinator: migrations with their advisory lock and `_sqlx_migrations`, `check`, `doctor`, /readyz. So /readyz
--   says nothing of the workers; `SELECT * FROM citus_check_cluster_node_health()` does.
--   On all of them: what somebody asks by hand without a publication, and pg_dump, which reads through the coordinator.
--
-- PUTTING A PUBLICATION ON A NODE OF ITS OWN. Publications share shards by their hash until one is set apart:
--
--   SELECT isolate_tenant_to_new_shard('orders', 'delivery', 'CASCADE', shard_transfer_mode => 'force_logical');
--   SELECT get_shard_id_for_distribution_column('orders', 'delivery');           -- the shard's number, now its alone
--   SELECT nodename, nodeport FROM citus_shards WHERE shardid = 102234;          -- where it is
--   SELECT citus_move_shard_placement(102234, 'from', 5432, 'to', 5432, shard_transfer_mode => 'force_logical');
--
-- All tables are colocated, so all rows of the publication go along. It takes wal_level = logical on the workers and a
-- primary key on each table (all have one). Intake goes on meanwhile and waits only for the last switch, some seconds in
-- which a batch may be answered 503 and is sent again. Names are lower-cased here: the key, not an alias.
-- (After Citus' own documentation, 11.3 and newer; not tried on a cluster of ours. Try it on a publication of no account.)
--
-- BACKUP. A dump through the coordinator (deploy/backup.sh) holds everything; a base backup is taken of every node by
-- itself. A restored database is a plain one: run this file on it again.

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

COMMIT;

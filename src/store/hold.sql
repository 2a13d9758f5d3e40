-- Whether a shard is at this worker, asked while the lock on it is held. PL/pgSQL asks under a snapshot of its own: that of the
-- statement that calls it is older than the lock, and may show a shard that was moved away meanwhile.
CREATE FUNCTION pg_temp.hold_shard(shard bigint, locked text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM pg_dist_placement JOIN pg_dist_local_group USING (groupid) WHERE shardid = shard;
    IF NOT FOUND THEN
        RAISE undefined_table USING MESSAGE = format('shard %s is not at this worker', shard);
    END IF;
END $$

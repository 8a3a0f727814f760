-- What the Distributed tables reach: one row for each of the servers behind them.
SELECT DISTINCT
    shard,
    shards,
    _shard_num AS place,
    (SELECT max(replica_num) FROM system.clusters WHERE cluster = {cluster:String}) AS replicas
FROM layout

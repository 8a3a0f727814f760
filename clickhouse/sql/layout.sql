SELECT DISTINCT shard, shards
FROM layout

INSERT INTO layout (shard, shards)
SELECT {shard:UInt16}, {shards:UInt16}

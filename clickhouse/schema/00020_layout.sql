-- Which of the shards this server is; empty on a server of its own. Written once:
-- a shard that is given another number, or another count of shards, would hold
-- slices of which the rest lies elsewhere.
CREATE TABLE IF NOT EXISTS layout
(
    shard  UInt16,
    shards UInt16
)
ENGINE = {{.Engine "layout" "ReplacingMergeTree"}}
ORDER BY (shard, shards)
SETTINGS {{.Settings}};

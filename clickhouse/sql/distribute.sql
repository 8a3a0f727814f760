-- The whole of a table: what all shards have of it. It keeps nothing itself and is
-- made anew by every migration, so it has the columns of its parts. There is no
-- sharding key, so that rows inserted here are refused: who writes, writes to a
-- slice's own shard.
CREATE OR REPLACE TABLE {{.Database}}.{{.Table}} AS {{.Parts}}.{{.Table}}
ENGINE = Distributed('{{.Cluster}}', '{{.Parts}}', '{{.Table}}')

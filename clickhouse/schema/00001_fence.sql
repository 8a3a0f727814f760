-- The fence says which epoch of each slice may write. Rows of any other epoch
-- are refused by the constraint of the tables that take part. It asks for
-- equality, not for >=: epochs are unique, so whatever the order in which two
-- takers write here, exactly one of them can write afterwards.
{{- if .Replicated}}
CREATE TABLE IF NOT EXISTS fence
(
    slice UInt16,
    epoch UInt64
)
ENGINE = KeeperMap('/revstream/{{.Database}}/fence')
PRIMARY KEY slice;

CREATE DICTIONARY IF NOT EXISTS fence_now
(
    slice UInt64,
    epoch UInt64
)
PRIMARY KEY slice
SOURCE(CLICKHOUSE(DB '{{.Database}}' TABLE 'fence'))
LAYOUT(DIRECT());
{{- else}}
CREATE TABLE IF NOT EXISTS fence
(
    slice UInt16,
    epoch UInt64
)
ENGINE = Join(ANY, LEFT, slice)
SETTINGS join_any_take_last_row = 1;
{{- end}}
-- Slices that a rebuild asks writers to leave alone until then. A courtesy only:
-- without it a writer would take the slice back before anything is rebuilt.
CREATE TABLE IF NOT EXISTS reservations
(
    slice      UInt16,
    until      DateTime64(6, 'UTC'),
    written_at DateTime64(6, 'UTC')
)
ENGINE = {{.Engine "reservations" "ReplacingMergeTree" "written_at"}}
ORDER BY slice;

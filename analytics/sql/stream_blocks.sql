-- Behind which block of each server all rows lie that are not before a position, in parts
-- that have any after the blocks that are known to be before it. A part is named after the
-- first and the last block in it, and blocks are numbered as they are stored.
SELECT shardNum() AS shard, max(b.last) AS newest, countIf(b.beyond) AS ahead, minIf(b.first, b.beyond) AS first_ahead
FROM
(
    SELECT toInt64(splitByChar('_', e._part)[2]) AS first, toInt64(splitByChar('_', e._part)[3]) AS last,
        (e.epoch, e.offset) >= ({to_epochs:Array(UInt64)}[e.slice + 1], {to_offsets:Array(Int64)}[e.slice + 1]) AS beyond
    FROM entries AS e
    WHERE [[template "after_blocks"]]
) AS b
GROUP BY shard
[[- /* Rows in parts that were stored after known blocks. Other parts are not read. */ -]]
[[- define "after_blocks" -]]
toInt64(splitByChar('_', e._part)[3]) > {blocks:Array(Int64)}[toUInt64(shardNum() + 1)]
[[- end]]

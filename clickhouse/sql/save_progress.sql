INSERT INTO progress (slice, epoch, offset, complete_through, written_at)
SELECT row.1, row.2, row.3, fromUnixTimestamp64Micro(row.4, 'UTC'), now64(6, 'UTC')
FROM
(
    SELECT arrayJoin(arrayZip(
        {slices:Array(UInt16)}, {epochs:Array(UInt64)}, {offsets:Array(Int64)}, {through:Array(Int64)})) AS row
)

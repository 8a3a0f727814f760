INSERT INTO fence (slice, epoch)
SELECT pair.1, pair.2
FROM
(
    SELECT arrayJoin(arrayZip({slices:Array(UInt16)}, {epochs:Array(UInt64)})) AS pair
)

SELECT
    count() AS slices,
    toUnixTimestamp64Micro(min(through)) AS through_micros
FROM
(
    SELECT slice, argMax(complete_through, (epoch, written_at)) AS through
    FROM progress
    WHERE slice < {slices:UInt32}
    GROUP BY slice
)

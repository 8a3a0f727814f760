-- How each webhook endpoint of a workspace did between two moments: what came, how
-- long after it happened, and the pauses between deliveries that verified. A pause is
-- a gap if it is three times as long as all but one in a hundred, and ten minutes at
-- least; of fewer than twenty pauses nothing is said. Times are microseconds.
SELECT endpoint, provider, deliveries, refused, last_delivery, usual_pause, gap_ends, gap_lengths, lag_median, lag_95, lag_max
FROM
(
    SELECT
        endpoint,
        any(provider) AS provider,
        countIf(refusal = '') AS deliveries,
        countIf(refusal != '') AS refused,
        maxIf(received_at, refusal = '') AS last_delivery,
        arraySort(groupArrayIf(toUnixTimestamp64Micro(received_at), refusal = '')) AS arrivals,
        arrayPopFront(arrayDifference(arrivals)) AS pauses,
        if(length(pauses) < 20, 0, toInt64(arrayReduce('quantileExact(0.99)', pauses))) AS usual_pause,
        arrayFilter((at, pause) -> usual_pause > 0 AND pause > greatest(3 * usual_pause, 600000000), arrayPopFront(arrivals), pauses) AS gap_ends,
        arrayFilter(pause -> usual_pause > 0 AND pause > greatest(3 * usual_pause, 600000000), pauses) AS gap_lengths,
        groupArrayArray(lags) AS all_lags,
        if(empty(all_lags), -1, toInt64(arrayReduce('quantileExact(0.5)', all_lags))) AS lag_median,
        if(empty(all_lags), -1, toInt64(arrayReduce('quantileExact(0.95)', all_lags))) AS lag_95,
        if(empty(all_lags), -1, arrayMax(all_lags)) AS lag_max
    FROM
    (
        SELECT endpoint, provider, received_at, refusal,
            arrayMap(at -> greatest(0, toUnixTimestamp64Micro(received_at) - toUnixTimestamp64Micro(at)),
                arrayFilter(at -> toUnixTimestamp64Micro(at) > 0, happened_at)) AS lags
        FROM deliveries
        WHERE workspace = {workspace:String}
            AND received_at >= {since:DateTime64(6, 'UTC')} AND received_at < {until:DateTime64(6, 'UTC')}
        ORDER BY id, revision DESC
        LIMIT 1 BY id
    )
    GROUP BY endpoint
)
ORDER BY endpoint

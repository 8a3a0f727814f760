SELECT DISTINCT slice
FROM
(
    SELECT DISTINCT slice FROM events
    UNION ALL
    SELECT DISTINCT slice FROM ledger
    UNION ALL
    SELECT DISTINCT slice FROM entries
    UNION ALL
    SELECT DISTINCT slice FROM revenue_hourly
    UNION ALL
    SELECT DISTINCT slice FROM revenue_daily
    UNION ALL
    SELECT DISTINCT slice FROM revenue_monthly
    UNION ALL
    SELECT DISTINCT slice FROM mrr_daily
    UNION ALL
    SELECT DISTINCT slice FROM mrr_monthly
)
ORDER BY slice

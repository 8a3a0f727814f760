-- The newest day of every pair of currencies, and its rate.
SELECT base, quote, count(DISTINCT day)::Int64 AS days, min(day) AS first, max(day) AS last,
    toString(argMax(f.rate, (f.day, f.loaded_at))) AS rate, argMax(f.source, (f.day, f.loaded_at)) AS source
FROM fx_rates AS f
GROUP BY base, quote
ORDER BY base, quote

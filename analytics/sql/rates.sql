-- The exchange rates that a range of days may need, of every pair with one of the
-- currencies: those of its days, and the last one up to its first, which is what
-- all earlier ones are reduced to. One unit of base is worth rate units of quote.
SELECT base, quote, max(day) AS rate_day, toString(argMax(f.rate, (f.day, f.loaded_at))) AS rate
FROM fx_rates AS f
WHERE f.day <= {until:Date} AND f.loaded_at <= {as_of:DateTime64(6, 'UTC')}
    AND (base IN {currencies:Array(String)} OR quote IN {currencies:Array(String)})
GROUP BY base, quote, greatest(f.day, {since:Date})
ORDER BY base, quote, rate_day

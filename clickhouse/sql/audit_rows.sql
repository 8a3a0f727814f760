SELECT
    workspace, fact_group,
    row, toUnixTimestamp64Micro(known_at) AS known_at_micros, sign, kind, provider, currency, (livemode AND test_clock = '')::Bool AS real,
    recurring, toUnixTimestamp64Micro(occurred_at) AS occurred_at_micros, amount, tax, fee, discount, mrr, subscriptions, customers
FROM ledger
WHERE slice = {slice:UInt16}
ORDER BY workspace, fact_group

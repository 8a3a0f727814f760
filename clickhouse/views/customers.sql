-- Every customer that ever paid, in each currency, as they are now.
CREATE OR REPLACE VIEW {{.Views}}.customers
(
    workspace           String COMMENT 'Whose revenue it is.',
    live                Bool COMMENT 'Real money.',
    customer            String COMMENT 'The source''s id of the customer; empty are all payments of nobody known.',
    currency            String COMMENT 'ISO 4217. Who pays in two is there in both.',
    customer_name       String COMMENT 'The name, as it was said last.',
    mrr                 Int64 COMMENT 'What they are worth a month now, in 1/10,000 minor units.',
    mrr_decimal         Decimal(38, 7) COMMENT 'The same in units of the currency, exactly.',
    subscriptions       Int64 COMMENT 'Active subscriptions.',
    gross_revenue       Int64 COMMENT 'What they have paid, minor units (cents).',
    refunds             Int64 COMMENT 'What went back to them, minor units, positive.',
    net_revenue         Int64 COMMENT 'gross_revenue - refunds.',
    net_revenue_decimal Decimal(38, 3) COMMENT 'The same in units of the currency, exactly.',
    charges             Int64 COMMENT 'Charges above zero.',
    first_at            DateTime64(6, 'UTC') COMMENT 'When anything of theirs first happened.',
    last_at             DateTime64(6, 'UTC') COMMENT 'When anything last did.'
)
SQL SECURITY INVOKER
AS SELECT workspace, live, customer, currency, argMax(e.customer_name, (e.customer_name != '', e.known_at)) AS customer_name,
    sum(e.sign * e.mrr) AS mrr, {{.MRR "mrr"}} AS mrr_decimal, sum(e.sign * e.subscriptions) AS subscriptions,
    sumIf(e.sign * e.amount, e.kind IN ('purchase', 'subscription_purchase', 'trial_conversion', 'renewal')) AS gross_revenue,
    -sumIf(e.sign * e.amount, e.kind = 'refund') AS refunds, gross_revenue - refunds AS net_revenue,
    {{.Money "net_revenue"}} AS net_revenue_decimal,
    sumIf(e.sign, e.amount > 0 AND e.kind IN ('purchase', 'subscription_purchase', 'trial_conversion', 'renewal')) AS charges,
    minIf(e.occurred_at, e.sign > 0) AS first_at, maxIf(e.occurred_at, e.sign > 0) AS last_at
FROM {{.Tables}}.entries AS e
WHERE family IN ('cash', 'state') AND occurred_at <= now64(6)
GROUP BY workspace, live, customer, currency
HAVING sum(e.sign) != 0 OR mrr != 0

-- Steps of MRR by UTC day: MRR at the end of a day is the sum of all steps up to it.
CREATE OR REPLACE VIEW {{.Views}}.mrr_daily
(
    workspace     String COMMENT 'Whose revenue it is.',
    live          Bool COMMENT 'Real money.',
    day           Date COMMENT 'UTC. Days ahead are of MRR that is known to end.',
    provider      String COMMENT 'Who said so.',
    movement      String COMMENT 'new, reactivation, expansion, contraction, churn; subscription_active and subscription_inactive move subscriptions only.',
    currency      String COMMENT 'ISO 4217. Never add amounts of several.',
    mrr           Int64 COMMENT 'By how much MRR moved, in 1/10,000 minor units, signed.',
    mrr_decimal   Decimal(38, 7) COMMENT 'The same in units of the currency, exactly.',
    subscriptions Int64 COMMENT 'By how many active subscriptions.',
    customers     Int64 COMMENT 'By how many paying customers.'
)
SQL SECURITY INVOKER
AS SELECT workspace, live, day, provider, kind AS movement, currency, sum(d.mrr) AS mrr, {{.MRR "mrr"}} AS mrr_decimal,
    sum(d.subscriptions) AS subscriptions, sum(d.customers) AS customers
FROM {{.Tables}}.mrr_daily AS d
GROUP BY workspace, live, day, provider, kind, currency

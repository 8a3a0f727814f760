-- What moved MRR, as it is believed now: no row is signed here.
CREATE OR REPLACE VIEW {{.Views}}.mrr_movements
(
    workspace    String COMMENT 'Whose revenue it is.',
    live         Bool COMMENT 'Real money.',
    occurred_at  DateTime64(6, 'UTC') COMMENT 'When it takes effect; a known end lies in the future.',
    movement     String COMMENT 'new, reactivation, expansion, contraction, churn; transfer is what passed to or from another plan, and comes to nothing in all.',
    provider     String COMMENT 'Who said so.',
    customer     String COMMENT 'The source''s id of the customer.',
    subscription String COMMENT 'The source''s id of the subscription.',
    plan         String COMMENT 'The plan that it is of.',
    product      String COMMENT 'The product that it is of.',
    country      String COMMENT 'ISO 3166-1 alpha-2.',
    `interval`   String COMMENT 'The billing term: day, week, month or year.',
    reason       String COMMENT 'Why MRR was lost: voluntary, delinquent, dispute, refund.',
    currency     String COMMENT 'ISO 4217. Never add amounts of several.',
    mrr          Int64 COMMENT 'By how much MRR moved, in 1/10,000 minor units, signed: churn and contraction are negative.',
    mrr_decimal  Decimal(38, 7) COMMENT 'The same in units of the currency, exactly.',
    customers    Int64 COMMENT 'By how many paying customers: 1, 0 or -1.',
    fact_group   String COMMENT 'The customer that the movement was judged for.'
)
SQL SECURITY INVOKER
AS SELECT workspace, live, occurred_at, kind AS movement, provider, customer, subscription, plan, product, country, `interval`, reason,
    currency, sum(e.sign * e.mrr) AS mrr, {{.MRR "mrr"}} AS mrr_decimal, sum(e.sign * e.customers) AS customers, fact_group
FROM {{.Tables}}.entries AS e
WHERE kind IN ('new', 'reactivation', 'expansion', 'contraction', 'churn', 'transfer')
GROUP BY workspace, live, occurred_at, kind, provider, customer, subscription, plan, product, country, `interval`, reason, currency,
    fact_group, row
HAVING sum(e.sign) != 0

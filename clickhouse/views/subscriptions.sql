-- Every subscription that ever was worth something, as it is now.
CREATE OR REPLACE VIEW {{.Views}}.subscriptions
(
    workspace    String COMMENT 'Whose revenue it is.',
    live         Bool COMMENT 'Real money.',
    provider     String COMMENT 'Who said so.',
    account      String COMMENT 'The account at the provider.',
    subscription String COMMENT 'The source''s id of the subscription.',
    currency     String COMMENT 'ISO 4217. One that changed its currency is there in both.',
    customer     String COMMENT 'The source''s id of the customer.',
    plan         String COMMENT 'The plan; of what has ended, the last.',
    product      String COMMENT 'The product; of what has ended, the last.',
    country      String COMMENT 'ISO 3166-1 alpha-2.',
    `interval`   String COMMENT 'The billing term: day, week, month or year.',
    mrr          Int64 COMMENT 'What it is worth a month, in 1/10,000 minor units; 0 of what has ended.',
    mrr_decimal  Decimal(38, 7) COMMENT 'The same in units of the currency, exactly.',
    active       Int64 COMMENT '1 if it is paid, unexpired and not cancelled.',
    began_at     DateTime64(6, 'UTC') COMMENT 'When it was first worth something.',
    moved_at     DateTime64(6, 'UTC') COMMENT 'When that last changed.'
)
SQL SECURITY INVOKER
AS SELECT workspace, live, provider, account, subscription, currency, argMax(p.customer, (p.mrr > 0, p.last)) AS customer,
    argMax(p.plan, (p.mrr > 0, p.last)) AS plan, argMax(p.product, (p.mrr > 0, p.last)) AS product,
    argMax(p.country, (p.mrr > 0, p.last)) AS country, argMax(p.term, (p.mrr > 0, p.last)) AS `interval`,
    sum(p.mrr) AS mrr, {{.MRR "mrr"}} AS mrr_decimal, sum(p.active) AS active, min(p.first) AS began_at, max(p.last) AS moved_at
FROM
(
    SELECT workspace, live, provider, account, subscription, currency, customer, plan, product, country, `interval` AS term,
        sum(e.sign * e.mrr) AS mrr, sum(e.sign * e.subscriptions) AS active,
        minIf(e.occurred_at, e.sign > 0) AS first, maxIf(e.occurred_at, e.sign > 0) AS last
    FROM {{.Tables}}.entries AS e
    WHERE family = 'state' AND occurred_at <= now64(6)
    GROUP BY workspace, live, provider, account, subscription, currency, customer, plan, product, country, term
    HAVING sum(e.sign) != 0 OR mrr != 0 OR active != 0
) AS p
GROUP BY workspace, live, provider, account, subscription, currency

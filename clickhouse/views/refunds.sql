-- Refunds, as they are believed now: no row is signed here.
CREATE OR REPLACE VIEW {{.Views}}.refunds
(
    workspace      String COMMENT 'Whose revenue it is.',
    live           Bool COMMENT 'Real money.',
    occurred_at    DateTime64(6, 'UTC') COMMENT 'When the money went back.',
    provider       String COMMENT 'Who said so.',
    refund         String COMMENT 'The source''s id of the refund.',
    payment        String COMMENT 'The source''s id of the payment.',
    invoice        String COMMENT 'The source''s id of the invoice.',
    customer       String COMMENT 'The source''s id of the customer.',
    subscription   String COMMENT 'The source''s id of the subscription.',
    plan           String COMMENT 'The plan that was paid for.',
    product        String COMMENT 'The product that was paid for.',
    country        String COMMENT 'ISO 3166-1 alpha-2.',
    recurring      Bool COMMENT 'It was for a subscription.',
    currency       String COMMENT 'ISO 4217. Never add amounts of several.',
    amount         Int64 COMMENT 'What went back in minor units (cents), positive.',
    amount_decimal Decimal(38, 3) COMMENT 'The same in units of the currency, exactly.',
    refunds        Int64 COMMENT 'How many: 1, unless equal ones are there.'
)
SQL SECURITY INVOKER
AS SELECT workspace, live, occurred_at, provider, object_id AS refund, payment, invoice, customer, subscription, plan, product, country,
    recurring, currency, -sum(e.sign * e.amount) AS amount, {{.Money "amount"}} AS amount_decimal, sum(e.sign) AS refunds
FROM {{.Tables}}.entries AS e
WHERE kind = 'refund'
GROUP BY workspace, live, occurred_at, provider, object_id, payment, invoice, customer, subscription, plan, product, country, recurring,
    currency, row
HAVING sum(e.sign) != 0

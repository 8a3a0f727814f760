-- Refunds with the moment of the charge that each is of, as they are believed now. The charge
-- is the first of the refund's source that has the refund's payment as one of its ids, or
-- else its invoice, or else the only charge of the refund's group.
CREATE OR REPLACE VIEW {{.Views}}.refunds_by_charge
(
    workspace      String COMMENT 'Whose revenue it is.',
    live           Bool COMMENT 'Real money.',
    charged_at     DateTime64(6, 'UTC') COMMENT 'When the charge was made; when the money went back, if the charge is not known.',
    charge_known   Bool COMMENT 'The charge is known.',
    occurred_at    DateTime64(6, 'UTC') COMMENT 'When the money went back.',
    provider       String COMMENT 'Who said so.',
    refund         String COMMENT 'The source''s id of the refund.',
    customer       String COMMENT 'The source''s id of the customer.',
    plan           String COMMENT 'The plan that was paid for.',
    recurring      Bool COMMENT 'It was for a subscription.',
    currency       String COMMENT 'ISO 4217. Never add amounts of several.',
    amount         Int64 COMMENT 'What went back in minor units (cents), positive.',
    amount_decimal Decimal(38, 3) COMMENT 'The same in units of the currency, exactly.',
    refunds        Int64 COMMENT 'How many: 1, unless equal ones are there.'
)
SQL SECURITY INVOKER
AS SELECT f.workspace AS workspace, f.live AS live,
    if(charge_known, argMinIf(c.first, f.rank, c.charges > 0 AND (f.rank < 3 OR c.charges = 1)), f.occurred_at) AS charged_at,
    countIf(c.charges > 0 AND (f.rank < 3 OR c.charges = 1)) > 0 AS charge_known, f.occurred_at AS occurred_at,
    any(f.provider) AS provider, any(f.object_id) AS refund, any(f.customer) AS customer, any(f.plan) AS plan,
    any(f.recurring) AS recurring, any(f.currency) AS currency, any(f.returned) AS amount, {{.Money "amount"}} AS amount_decimal,
    any(f.copies) AS refunds
FROM
(
    SELECT *, name.1 AS rank, xxh3(provider, account, name.1 = 3, name.2) AS id
    FROM
    (
        SELECT workspace, live, row, occurred_at, toString(e.provider) AS provider, toString(e.account) AS account, fact_group,
            any(e.payment) AS payment, any(e.invoice) AS invoice, any(e.object_id) AS object_id, any(e.customer) AS customer,
            any(e.plan) AS plan, any(e.recurring) AS recurring, any(toString(e.currency)) AS currency,
            -sum(e.sign * e.amount) AS returned, sum(e.sign) AS copies
        FROM {{.Tables}}.entries AS e
        WHERE kind = 'refund'
        GROUP BY workspace, live, row, occurred_at, provider, account, fact_group
        HAVING sum(e.sign) != 0
    )
    ARRAY JOIN arrayFilter(n -> n.2 != '', [(1, payment), (2, invoice), (3, fact_group)]) AS name
) AS f
LEFT JOIN
(
    SELECT workspace, live, id, min(at) AS first, count() AS charges
    FROM
    (
        SELECT workspace, live, row, e.occurred_at AS at, arrayJoin(arrayMap(name -> xxh3(toString(e.provider), toString(e.account), name.1, name.2),
            arrayDistinct(arrayFilter(name -> name.2 != '', [(1, fact_group), (0, object_id), (0, payment), (0, invoice)])))) AS id
        FROM {{.Tables}}.entries AS e
        WHERE kind IN ('purchase', 'subscription_purchase', 'trial_conversion', 'renewal')
        GROUP BY workspace, live, id, row, at
        HAVING sum(e.sign) > 0
    )
    GROUP BY workspace, live, id
) AS c ON f.workspace = c.workspace AND f.live = c.live AND f.id = c.id
GROUP BY f.workspace, f.live, f.row, f.occurred_at

-- What the customers who first paid in each UTC month paid and got back, by the month in
-- which it moved: cash, where cohorts has MRR. Whom nobody names is in no cohort, nor is what
-- was refunded before its customer first paid.
CREATE OR REPLACE VIEW {{.Views}}.revenue_cohorts
(
    workspace       String COMMENT 'Whose revenue it is.',
    live            Bool COMMENT 'Real money.',
    cohort          Date COMMENT 'The first day of the month in which they first paid something, in whatever currency.',
    month           Date COMMENT 'The first day of the month in which the money moved.',
    period          Int64 COMMENT 'How many months after the first that is.',
    currency        String COMMENT 'ISO 4217. Who paid in two counts in both.',
    customers       UInt64 COMMENT 'How many of them paid something then. A customer is one of an account of a provider.',
    charged         Int64 COMMENT 'What they paid in minor units (cents).',
    refunded        Int64 COMMENT 'What they got back in minor units, positive, when they got it.',
    net             Int64 COMMENT 'Charged less refunded, in minor units.',
    charged_decimal Decimal(38, 3) COMMENT 'Charged in units of the currency, exactly.',
    net_decimal     Decimal(38, 3) COMMENT 'Net in units of the currency, exactly.'
)
SQL SECURITY INVOKER
AS SELECT workspace, live, cohort, month, toInt64(dateDiff('month', cohort, month)) AS period, currency,
    uniqExactIf(payer, pays) AS customers, sum(m.paid) AS charged, sum(m.back) AS refunded, charged - refunded AS net,
    {{.Money "charged"}} AS charged_decimal, {{.Money "net"}} AS net_decimal
FROM
(
    SELECT workspace, live, xxh3(provider, account, customer) AS payer, toStartOfMonth(e.occurred_at) AS month, currency,
        kind != 'refund' AND e.amount > 0 AS pays, if(kind = 'refund', 0, sum(e.sign * e.amount)) AS paid,
        if(kind = 'refund', -sum(e.sign * e.amount), 0) AS back
    FROM {{.Tables}}.entries AS e
    WHERE kind IN ('purchase', 'subscription_purchase', 'trial_conversion', 'renewal', 'refund') AND customer != ''
    GROUP BY workspace, live, payer, month, currency, kind, pays, row
    HAVING sum(e.sign) != 0
) AS m
INNER JOIN
(
    SELECT workspace, live, payer, min(month) AS cohort
    FROM
    (
        SELECT workspace, live, xxh3(provider, account, customer) AS payer, toStartOfMonth(e.occurred_at) AS month
        FROM {{.Tables}}.entries AS e
        WHERE kind IN ('purchase', 'subscription_purchase', 'trial_conversion', 'renewal') AND customer != '' AND e.amount > 0
        GROUP BY workspace, live, payer, month, row
        HAVING sum(e.sign) > 0
    )
    GROUP BY workspace, live, payer
) AS s USING (workspace, live, payer)
WHERE month >= cohort
GROUP BY workspace, live, cohort, month, currency

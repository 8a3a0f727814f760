-- What became of the customers who first paid in each UTC month, at the end of it and of
-- each later one that has begun.
CREATE OR REPLACE VIEW {{.Views}}.cohorts
(
    workspace   String COMMENT 'Whose revenue it is.',
    live        Bool COMMENT 'Real money.',
    cohort      Date COMMENT 'The first day of the month in which they first paid.',
    month       Date COMMENT 'The first day of the month at whose end this is.',
    period      Int64 COMMENT 'How many months after the first that is.',
    currency    String COMMENT 'ISO 4217. Who pays in two counts in both.',
    customers   UInt64 COMMENT 'How many of them pay then.',
    mrr         Int64 COMMENT 'What they are worth a month then, in 1/10,000 minor units.',
    mrr_decimal Decimal(38, 7) COMMENT 'The same in units of the currency, exactly.'
)
SQL SECURITY INVOKER
AS SELECT workspace, live, cohort, addMonths(cohort, period) AS month, toInt64(period) AS period, currency,
    countIf(worth > 0) AS customers, sum(worth) AS mrr, {{.MRR "mrr"}} AS mrr_decimal
FROM
(
    SELECT b.workspace AS workspace, b.live AS live, s.cohort AS cohort, b.currency AS currency, n AS period,
        arraySum(arrayMap(step -> if(step.1 <= addMonths(s.cohort, n), step.2, 0), b.steps)) AS worth
    FROM
    (
        SELECT workspace, live, fact_group, currency, groupArray((toStartOfMonth(e.occurred_at), e.sign * e.mrr)) AS steps
        FROM {{.Tables}}.entries AS e
        WHERE kind IN ('new', 'reactivation', 'expansion', 'contraction', 'churn')
        GROUP BY workspace, live, fact_group, currency
    ) AS b
    INNER JOIN
    (
        SELECT workspace, live, fact_group, min(month) AS cohort
        FROM
        (
            SELECT workspace, live, fact_group, toStartOfMonth(e.occurred_at) AS month
            FROM {{.Tables}}.entries AS e
            WHERE kind = 'new' AND occurred_at <= now64(6)
            GROUP BY workspace, live, fact_group, month, row
            HAVING sum(e.sign) > 0
        )
        GROUP BY workspace, live, fact_group
    ) AS s USING (workspace, live, fact_group)
    ARRAY JOIN range(toUInt64(dateDiff('month', s.cohort, toStartOfMonth(now())) + 1)) AS n
)
GROUP BY workspace, live, cohort, period, currency

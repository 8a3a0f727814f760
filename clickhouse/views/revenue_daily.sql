-- Money and lifecycle by UTC day. Small, so the first to ask.
CREATE OR REPLACE VIEW {{.Views}}.revenue_daily
(
    workspace       String COMMENT 'Whose revenue it is.',
    live            Bool COMMENT 'Real money.',
    day             Date COMMENT 'UTC.',
    provider        String COMMENT 'Who said so.',
    kind            String COMMENT 'purchase, subscription_purchase, trial_conversion, renewal (charges), refund, dispute, dispute_reversal, fee, trial_start, cancellation, expiration.',
    currency        String COMMENT 'ISO 4217. Never add amounts of several.',
    recurring       Bool COMMENT 'It belongs to a subscription.',
    entries         Int64 COMMENT 'How many.',
    positive        Int64 COMMENT 'How many with an amount above zero.',
    amount          Int64 COMMENT 'Minor units (cents), signed: refunds, disputes and fees are negative.',
    amount_decimal  Decimal(38, 3) COMMENT 'The same in units of the currency, exactly.',
    tax             Int64 COMMENT 'Tax within the amounts, minor units.',
    fee             Int64 COMMENT 'Fees within the amounts, minor units.',
    discount        Int64 COMMENT 'Discounts taken off before the amounts, minor units.'
)
SQL SECURITY INVOKER
AS SELECT workspace, live, day, provider, kind, currency, recurring, sum(d.entries) AS entries, sum(d.positive) AS positive,
    sum(d.amount) AS amount, {{.Money "amount"}} AS amount_decimal, sum(d.tax) AS tax, sum(d.fee) AS fee, sum(d.discount) AS discount
FROM {{.Tables}}.revenue_daily AS d
GROUP BY workspace, live, day, provider, kind, currency, recurring

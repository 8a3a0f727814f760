-- The money that the ledger has of an account of a provider, by UTC day, currency and
-- flow; what was paid outside the provider is none of its.
SELECT
    toDate(occurred_at) AS day,
    currency,
    multiIf(kind = 'refund', 'refund', kind = 'dispute', 'dispute', kind = 'dispute_reversal', 'dispute_reversal', 'charge') AS flow,
    sum(sign * amount) AS amount
FROM entries
WHERE workspace = {workspace:String} AND provider = {provider:String} AND account = {account:String} AND livemode = {livemode:Bool}
    AND family = 'cash' AND kind != 'fee' AND payment_method != 'off_stripe'
    AND occurred_at >= {since:DateTime64(6, 'UTC')} AND occurred_at < {until:DateTime64(6, 'UTC')}
GROUP BY day, currency, flow
HAVING amount != 0
ORDER BY day, currency, flow

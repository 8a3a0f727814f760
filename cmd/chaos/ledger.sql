SELECT
    provider,
    sumIf(sign * amount, kind IN ('purchase', 'subscription_purchase', 'trial_conversion', 'renewal')) AS `gross revenue`,
    -sumIf(sign * amount, kind = 'refund') AS `refunds`,
    sumIf(sign, kind = 'refund') AS `refund count`,
    -sumIf(sign * amount, kind = 'dispute') AS `disputes`,
    sumIf(sign * amount, kind = 'dispute_reversal') AS `dispute reversals`,
    sumIf(sign, kind IN ('purchase', 'subscription_purchase', 'trial_conversion', 'renewal', 'refund',
        'cancellation', 'expiration', 'trial_start')) AS `items`,
    sumIf(sign * mrr, family = 'state') AS `MRR`
FROM ledger
WHERE workspace = {workspace:String} AND live
GROUP BY provider

-- Entries [%[2]d, %[3]d) of a made-up workspace, evenly over two years up to
-- 2026-07-01T12:00, in the order of time as they would arrive: 3 providers, 2 currencies,
-- 4 slices, every kind. Every hundredth entry was corrected once: three rows.
INSERT INTO %[1]s.ledger
    (topic_id, slice, epoch, offset, row, sign, known_at, workspace, fact_group, fact, object_id, version, family, kind,
    provider, account, integration, livemode, live, occurred_at, ends_at, received_at, amount, tax, fee, currency, recurring, mrr,
    subscriptions, customers, reason, customer, subscription, invoice, payment, product, plan, quantity, interval,
    interval_count, external_id, metadata)
WITH
    [%[4]s] AS epochs,
    [
        'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal',
        'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal', 'renewal',
        'purchase', 'purchase', 'purchase', 'purchase', 'purchase', 'purchase', 'purchase', 'purchase',
        'subscription_purchase', 'subscription_purchase', 'trial_start', 'trial_start', 'trial_conversion',
        'refund', 'cancellation', 'new', 'subscription_active', 'expansion', 'churn', 'subscription_inactive'
    ] AS kinds
SELECT
    'topic', n %% 4, epochs[n %% 4 + 1], n, cityHash64(n, corrected), sign, received_at, 'ws_1', concat('g', toString(n)),
    concat('stripe|acct|live|obj_', hex(cityHash64(n)), '|charge'), concat('obj_', hex(cityHash64(n))), 1 + corrected,
    multiIf(kind IN ('new', 'expansion', 'churn', 'subscription_active', 'subscription_inactive'), 'state',
        kind IN ('trial_start', 'cancellation'), 'lifecycle', 'cash'),
    kind, ['stripe', 'thrivestack', 'native'][n %% 17 %% 3 + 1], 'acct', 'we_1', true, true, occurred_at, toDateTime64(0, 6, 'UTC'),
    occurred_at + 5 AS received_at,
    multiIf(kind = 'refund', -1, kind IN ('renewal', 'purchase', 'subscription_purchase', 'trial_conversion'), 1, 0)
        * (500 + toInt64(h %% 10000) + corrected) AS amount,
    intDiv(amount, 10), intDiv(amount, 30), if(n %% 10 = 7, 'EUR', 'USD'), kind != 'purchase',
    multiIf(kind IN ('new', 'expansion'), 1, kind = 'churn', -1, 0) * toInt64(h %% 10000) * 10000,
    multiIf(kind = 'subscription_active', 1, kind = 'subscription_inactive', -1, 0),
    multiIf(kind = 'new', 1, kind = 'churn', -1, 0), '',
    concat('cus_', toString(h %% 200000)), concat('sub_', toString(h %% 250000)), concat('in_', hex(h)),
    concat('pi_', hex(h)), concat('prod_', toString(h %% 20)), concat('price_', toString(h %% 50)), 1, 'month', 1, '',
    concat('{"productId":"prod_', toString(h %% 20), '","note":"', hex(h), '"}')
FROM
(
    SELECT number AS n, cityHash64(number, 'h') AS h, kinds[h %% 40 + 1] AS kind,
        toDateTime64('2024-07-01 12:00:00', 6, 'UTC') + toIntervalMicrosecond(intDiv(n * toInt128(63072000000000), %[5]d)) AS occurred_at,
        arrayJoin(if(n %% 100 = 3, [(1, 0), (-1, 0), (1, 1)], [(1, 0)])) AS change, change.1 AS sign, change.2 AS corrected
    FROM numbers(%[2]d, %[3]d - %[2]d)
)
SETTINGS max_insert_threads = 1

[[- /* The entries that say what subscriptions are worth. By another policy than the house's,
those beside the question come on top (restatement.go): some take entries back, others are in
their place. What no row about subscriptions has is not there: whoever asks for it asks in vain. */ -]]
[[- define "judged" -]]
FROM entries AS e -- unless restated
FROM -- if restated
( -- if restated
    SELECT row, sign, known_at, workspace, live, fact_group, fact, object_id, version, kind, provider, account, integration, -- if restated
        occurred_at, received_at, currency, mrr, subscriptions, customers, reason, customer, country, subscription, invoice, -- if restated
        product, plan, interval, external_id, subject, amount, tax, fee, discount, recurring -- if restated
    FROM entries -- if restated
    WHERE workspace = {workspace:String} AND live = {live:Bool} AND known_at <= {as_of:DateTime64(6, 'UTC')} -- if restated
        AND kind IN ('new', 'reactivation', 'expansion', 'contraction', 'churn', 'transfer', 'subscription_active', 'subscription_inactive') -- if restated
    UNION ALL -- if restated
    SELECT row, sign, known_at, {workspace:String} AS workspace, {live:Bool} AS live, fact_group, fact, object_id, version, kind, provider, account, integration, -- if restated
        occurred_at, received_at, currency, mrr, subscriptions, customers, reason, customer, country, subscription, invoice, -- if restated
        product, plan, interval, external_id, xxh3(fact_group) AS subject, 0 AS amount, 0 AS tax, 0 AS fee, 0 AS discount, true AS recurring -- if restated
    FROM restated -- if restated
) AS e -- if restated
[[- end]]

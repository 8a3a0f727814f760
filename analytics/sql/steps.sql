[[- /* Which entries any balance of MRR at the end of a range is the sum of. */ -]]
[[- define "steps_of_mrr" -]]
e.kind IN ('new', 'reactivation', 'expansion', 'contraction', 'churn', 'transfer') AND [[template "until_now"]]
[[- end]]
[[- /* Everything up to the end of a range. */ -]]
[[- define "until_now" -]]
e.workspace = {workspace:String} AND e.live = {live:Bool} AND e.occurred_at < {until:DateTime64(6, 'UTC')}
            AND e.provider = {provider:String} -- if provider
            AND e.currency = {currency:String} -- if currency
            AND [[template "chosen"]]
[[- end]]
[[- /* Whose a step or a request is: a subscription's, or what its source did not name one of. */ -]]
[[- define "subscribed" -]]
e.provider AS provider, e.account AS account, e.subscription AS subscription, if(e.subscription = '', e.fact_group, '') AS unnamed
[[- end]]
[[- /* Requests to end a subscription until the end of a range, on whatever plan they found it: a
subscription that is asked to end ends on whichever it is since. They have no currency. */ -]]
[[- define "requests" -]]
e.kind = 'cancellation' AND e.workspace = {workspace:String} AND e.live = {live:Bool} AND e.occurred_at < {until:DateTime64(6, 'UTC')}
            AND e.known_at <= {as_of:DateTime64(6, 'UTC')}
            AND e.provider = {provider:String} -- if provider
[[- end]]

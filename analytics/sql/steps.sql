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

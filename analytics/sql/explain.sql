-- The rows of the ledger behind a figure, in the order in which they take effect, after
-- a given one. Equal rows are one with its copies; signs that cancel are none.
WITH
    [[template "copies" .]] AS copies_of_line
SELECT
    e.row AS row, e.known_at AS known_at, e.occurred_at AS occurred_at, sum(copies_of_line) AS copies,
    any(e.fact_group) AS fact_group, any(e.fact) AS fact, any(e.object_id) AS object_id,
    any(e.version) AS version, any(e.kind) AS kind, any(e.provider) AS provider, any(e.account) AS account,
    any(e.integration) AS integration, any(e.received_at) AS received_at, any(e.amount) AS amount, any(e.tax) AS tax, any(e.fee) AS fee,
    any(e.discount) AS discount, any(e.currency) AS currency, any(e.recurring) AS recurring, any(e.mrr) AS mrr,
    any(
        [[template "worth"]]
    ) AS worth,
    any(e.subscriptions) AS subscriptions, any(e.customers) AS customers, any(e.reason) AS reason, any(e.customer) AS customer,
    any(e.subscription) AS subscription, any(e.invoice) AS invoice, any(e.product) AS product, any(e.plan) AS plan,
    any(e.country) AS country, any(e.external_id) AS external_id
[[template "judged"]]
WHERE [[template "behind" .]]
    AND (e.occurred_at, e.row, e.known_at) IN
(
    SELECT e.occurred_at, e.row, e.known_at
    [[template "judged"]]
    WHERE [[template "behind" .]]
        AND (e.occurred_at, e.row, e.known_at) >
            ({after_at:DateTime64(6, 'UTC')}, {after_row:UInt64}, {after_known:DateTime64(6, 'UTC')})
    GROUP BY e.occurred_at, e.row, e.known_at
    HAVING sum(
        [[template "copies" .]]
    ) != 0
    ORDER BY e.occurred_at, e.row, e.known_at
    LIMIT {limit:UInt64}
)
GROUP BY e.occurred_at, e.row, e.known_at
ORDER BY e.occurred_at, e.row, e.known_at
[[- define "behind" -]]
e.workspace = {workspace:String} AND e.live = {live:Bool} AND e.kind IN {kinds:Array(String)}
    AND e.occurred_at >= {rows_since:DateTime64(6, 'UTC')} AND e.occurred_at < {rows_until:DateTime64(6, 'UTC')}
    [[- if not .Belongs]]
    AND e.known_at > {known_after:DateTime64(6, 'UTC')}
    [[- end]]
    AND e.provider = {provider:String} -- if provider
    AND e.currency = {rows_currency:String} -- if rows_currency
    [[- if .By]]
    AND [[.PartIs "e"]]
    [[- end]]
    AND [[template "chosen"]]
[[- end]]
[[- /* How often a line of the ledger counts. Most figures are sums of lines, so that what has
become known counts as it is. Of others it depends on the rest of the ledger which lines
belong to them: then a change is what belongs now less what belonged then. */ -]]
[[- define "copies" -]]
[[- if .Belongs -]]
e.sign * (
        toInt8(
            [[.Belongs]]
        )
        [[- if .Belonged]]
        - toInt8(e.known_at <= {known_after:DateTime64(6, 'UTC')} AND
            [[.Belonged]]
        )
        [[- end]]
    )
[[- else -]]
e.sign
[[- end]]
[[- end]]

{{- define "slices and workspaces" -}}
slice IN {slices:Array(UInt16)} AND workspace IN {workspaces:Array(String)}
{{- end}}
{{- /* What the views make of occurred_at; the same expression as in the schema. */ -}}
{{- define "bounded" -}}
toDateTime(least(greatest(occurred_at, toDateTime64(0, 6, 'UTC')), toDateTime64(4294944000, 6, 'UTC')), 'UTC')
{{- end}}
{{- /* The hour, day or month that a row of the ledger counts in. */ -}}
{{- define "bucket" -}}
{{template "start" .}}({{template "bounded"}})
{{- end}}
{{- define "buckets" -}}
{{.Bucket}} >= {{template "start" .}}(toDateTime({from:Int64}, 'UTC')) AND {{.Bucket}} <= {{template "start" .}}(toDateTime({last:Int64}, 'UTC'))
{{- end}}
{{- define "start" -}}
{{if eq .Bucket "hour"}}toStartOfHour{{else if eq .Bucket "day"}}toDate{{else}}toStartOfMonth{{end}}
{{- end}}
{{- /* A repair is refused once the fence does not say any more that we may write. */ -}}
{{- define "owned" -}}
(
    SELECT throwIf(count() != length({slices:Array(UInt16)}), 'fenced')
    FROM fence
    WHERE (slice, epoch) IN (SELECT arrayJoin(arrayZip({slices:Array(UInt16)}, {epochs:Array(UInt64)})))
) = 0
{{- end}}
{{- define "instants" -}}
{{template "bounded"}} >= toDateTime({from:Int64}, 'UTC') AND {{template "bounded"}} <= toDateTime({last:Int64}, 'UTC')
{{- end}}
{{- /* What of a row the two tables must agree on. */ -}}
{{- define "fingerprint" -}}
cityHash64(row, known_at, live, kind, occurred_at, currency, amount, mrr)
{{- end}}
{{- define "columns of entries" -}}
topic_id, slice, epoch, offset, row, sign, known_at, workspace, fact_group, fact, object_id, version, family, kind,
    provider, account, integration, livemode, test_clock, live, occurred_at, ends_at, received_at, amount, tax, fee, discount,
    currency, recurring, mrr, subscriptions, customers, reason, customer, customer_name, country, subscription,
    invoice, payment, product, plan, quantity, interval, interval_count, payment_method, message, offer, contact,
    campaign, source, visitor, session, attribution_type, external_id, imported, metadata
{{- end}}

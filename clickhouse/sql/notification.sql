{{define "notification" -}}
id, workspace, alert, subject, fact_group, previous, type, stands, amount, created_at, revision, state, next_at,
    tried_at, statuses, errors, counted, body
{{- end}}

-- What is believed, and what was: in order of the payment or customer.
CREATE OR REPLACE VIEW {{.Views}}.ledger
{{- template "rows" .}}
FROM {{.Tables}}.ledger

-- The same rows in order of time: the one to ask about ranges.
CREATE OR REPLACE VIEW {{.Views}}.entries
{{- template "rows" .}}
FROM {{.Tables}}.entries

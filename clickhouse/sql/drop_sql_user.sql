-- The user, and what is the user's alone.
{{range .Confined}}
DROP ROW POLICY IF EXISTS {{$.Name}} ON {{.}};
{{end}}
DROP QUOTA IF EXISTS {{.Name}};
DROP USER IF EXISTS {{.Name}};

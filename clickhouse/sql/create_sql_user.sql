-- A user who reads the rows of one workspace, and nothing else. Nothing can be bound
-- here: names are identifiers, the workspace is hexadecimal, the rest are numbers. Limits
-- are also the most that the user can set. Whoever is writing this keeps seeing all rows,
-- whatever the server makes of tables on which somebody has a policy.
CREATE USER OR REPLACE {{.Name}} IDENTIFIED WITH sha256_hash BY '{{.PasswordSHA256}}'
    SETTINGS readonly = 2, max_memory_usage = {{.MemoryBytesMax}} MIN 1 MAX {{.MemoryBytesMax}},
        max_execution_time = {{.TimeoutSeconds}} MIN 1 MAX {{.TimeoutSeconds}}, max_threads = 2 MIN 1 MAX 2, allow_ddl = 0 READONLY;
CREATE QUOTA OR REPLACE {{.Name}} FOR INTERVAL 1 hour MAX queries = {{.QueriesPerHourMax}} TO {{.Name}};
{{range .Confined}}
CREATE ROW POLICY OR REPLACE revstream_all ON {{.}} FOR SELECT USING 1 TO CURRENT_USER;
CREATE ROW POLICY OR REPLACE {{$.Name}} ON {{.}} FOR SELECT USING workspace = unhex('{{$.WorkspaceHex}}') TO {{$.Name}};
GRANT SELECT ON {{.}} TO {{$.Name}};
{{end}}
{{range .Open}}
GRANT SELECT ON {{.}} TO {{$.Name}};
{{end}}

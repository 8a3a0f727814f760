-- How the table was made, its TTL included.
SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = 'deliveries'

SELECT count()
FROM system.merge_tree_settings
WHERE name = 'auto_statistics_types'

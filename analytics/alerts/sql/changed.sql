-- The groups whose facts changed, or came due, in a window of when they happened. What
-- was known by the end of the window is there for good: see x-final.
SELECT DISTINCT workspace, fact_group
FROM entries
WHERE workspace IN {workspaces:Array(String)} AND live AND kind IN {kinds:Array(String)}
    AND occurred_at >= {since:DateTime64(6, 'UTC')} AND occurred_at < {until:DateTime64(6, 'UTC')}
    AND known_at < {until:DateTime64(6, 'UTC')}
    AND (known_at >= {seen:DateTime64(6, 'UTC')} OR occurred_at >= {seen:DateTime64(6, 'UTC')})

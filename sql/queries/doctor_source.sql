-- Whether the article source may be read; null where it does not exist.
SELECT has_table_privilege(to_regclass(:view), 'SELECT') AS readable

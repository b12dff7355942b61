-- An article of the source view: whether it has any at all.
SELECT article_id FROM {view} LIMIT 1

-- Holds one batch of a file until it is merged into the article source.
CREATE TEMP TABLE article_batch (
    article_id   text PRIMARY KEY,
    title        text NOT NULL,
    url          text,
    summary      text,
    body         text,
    lang         text,
    source       text,
    published_at timestamptz
) ON COMMIT DROP

-- Roles of news-rerank, each with what it needs and nothing else. Apply it as a superuser to the database of the
-- schema `rerank`, before the first `rerank db upgrade` and again after each; it may be repeated at any time:
--
--     rerank db roles --print | psql -v ON_ERROR_STOP=1 news
--
--     {owner}   owns the schema; `rerank db upgrade` runs as this role, and nothing else
--     {source}   reads the article source: RERANK_SOURCE_URL
--     {writer}   runs the pipeline: RERANK_DATABASE_URL. The page's pointer it moves only by functions
--     {frontend}   reads the views current_ranking, recent_ranking, current_topic and recent_change
--
-- Roles are made without a password, so that nobody can log in by one; give them theirs: \password {writer}

BEGIN;
SET LOCAL client_min_messages = warning;

-- ── Roles ───────────────────────────────────────────────────────────────────────────────────────

DO $roles$
DECLARE
    wanted name;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[{owner_text}, {source_text}, {writer_text}, {frontend_text}]::name[] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', wanted);
        END IF;
        IF wanted <> {owner_text} AND EXISTS (
            SELECT FROM pg_roles
            WHERE rolname = wanted AND (rolsuper OR rolcreaterole OR pg_has_role(wanted, {owner_text}, 'MEMBER'))
        ) THEN
            RAISE EXCEPTION 'role % is a superuser, makes roles or belongs to the owner: no grant could hold it back', wanted;
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), wanted);
    END LOOP;
    -- So that an upgrade can end a reader that it waits for, and a transaction that a reader has forgotten ends by itself. A
    -- limit that is there already stays.
    FOREACH wanted IN ARRAY ARRAY[{source_text}, {frontend_text}]::name[] LOOP
        EXECUTE format('GRANT %I TO %I', wanted, {owner_text});
        IF NOT EXISTS (
            SELECT FROM pg_db_role_setting s, unnest(s.setconfig) AS limit_set
            WHERE s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = wanted))
              AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
              AND limit_set LIKE 'idle_in_transaction_session_timeout=%'
        ) THEN
            EXECUTE format('ALTER ROLE %I IN DATABASE %I SET idle_in_transaction_session_timeout = %L',
                           wanted, current_database(), '10min');
        END IF;
    END LOOP;
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), {writer_text});
    -- What PUBLIC may do, frontends may do.
    {exclusive}EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    {exclusive}IF to_regnamespace('public') IS NOT NULL THEN REVOKE CREATE ON SCHEMA public FROM PUBLIC; END IF;
    {exclusive}REVOKE EXECUTE ON FUNCTION pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid), pg_catalog.lo_from_bytea(oid, bytea) FROM PUBLIC;
END $roles$;

-- ── The schema and its owner ────────────────────────────────────────────────────────────────────

CREATE SCHEMA IF NOT EXISTS rerank;
ALTER SCHEMA rerank OWNER TO {owner};
DO $roles$
DECLARE
    owner regrole := quote_ident({owner_text});
    found record;
BEGIN
    FOR found IN   -- a sequence that belongs to a column goes with its table
        SELECT c.oid::regclass AS name,
               CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind
        FROM pg_class c
        WHERE c.relnamespace = 'rerank'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relowner <> owner
          AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                                               AND d.objid = c.oid AND d.deptype IN ('a', 'i')))
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO %s', found.kind, found.name, owner);
    END LOOP;
    FOR found IN
        SELECT p.oid::regprocedure AS name FROM pg_proc p
        WHERE p.pronamespace = 'rerank'::regnamespace AND p.proowner <> owner
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    LOOP
        EXECUTE format('ALTER ROUTINE %s OWNER TO %s', found.name, owner);
    END LOOP;
END $roles$;

-- What an earlier script, or somebody by hand, has granted in the schema.
REVOKE ALL ON SCHEMA rerank FROM PUBLIC, {source}, {writer}, {frontend};
REVOKE ALL ON ALL TABLES IN SCHEMA rerank FROM PUBLIC, {source}, {writer}, {frontend};
REVOKE ALL ON ALL SEQUENCES IN SCHEMA rerank FROM PUBLIC, {source}, {writer}, {frontend};
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA rerank FROM PUBLIC, {source}, {writer}, {frontend};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- ── Rights ──────────────────────────────────────────────────────────────────────────────────────

GRANT USAGE ON SCHEMA rerank TO {writer}, {frontend};
DO $roles$
DECLARE
    wanted record;
BEGIN
    IF to_regclass('rerank.pointer') IS NULL THEN
        RAISE WARNING 'the schema has no tables yet: run `rerank db upgrade` as %, then this script again', {owner_text};
        RETURN;
    END IF;

    -- Of the writer's rights each is used by a statement of the library, and each table of the schema is named.
    GRANT SELECT ON ALL TABLES IN SCHEMA rerank TO {writer};
    FOR wanted IN
        SELECT c.oid::regclass AS name, r.rights
        FROM (VALUES
            ('article',            'INSERT, UPDATE, DELETE'),
            ('article_medium',     'INSERT, DELETE'),
            ('block',              'INSERT, UPDATE, DELETE'),
            ('change',             NULL),   -- written by whatever moves the pointer
            ('claim',              'INSERT, UPDATE'),
            ('deleted',            'INSERT, DELETE'),
            ('document',           'INSERT, UPDATE, DELETE'),
            ('editorial_act',      'INSERT, UPDATE (article_id, reason, undone_at, ended)'),   -- who did what stays so
            ('embedder',           'INSERT'),
            ('feedback',           'INSERT'),
            ('feedback_report',    'INSERT, UPDATE'),
            ('fill',               'INSERT, UPDATE, DELETE'),
            ('gate',               'INSERT'),   -- decisions are kept as they were made
            ('lesson',             'INSERT'),   -- what a scorer has learned from stays so
            ('near_copy',          'INSERT, UPDATE'),
            ('pair_score',         'INSERT, UPDATE, DELETE'),
            ('promotion',          'INSERT'),   -- who put which scorer in place stays so
            ('publication',        'INSERT'),   -- never changed; deleted by a function, unless it is a page
            ('publication_hidden', 'INSERT'),
            ('quarantine',         'INSERT, DELETE'),
            ('query',              'INSERT'),
            ('query_vector',       'INSERT'),
            ('ranking',            'INSERT, UPDATE (title, url, pictures, captions)'),   -- of articles that are forgotten
            ('ranking_topic',      'INSERT'),
            ('refused_pair',       'INSERT, DELETE'),
            ('rendition',          'INSERT, UPDATE (used_at), DELETE'),
            ('revision_medium',    'INSERT, UPDATE, DELETE'),
            ('revision',           'INSERT, UPDATE, DELETE'),
            ('revision_text',      'INSERT, DELETE'),
            ('run',                'INSERT, UPDATE'),
            ('run_act',            'INSERT, DELETE'),
            ('run_metric',         'INSERT, UPDATE, DELETE'),
            ('arrival',            'INSERT, DELETE'),
            ('run_topic',          'INSERT, UPDATE, DELETE'),
            ('score_aside',        'INSERT, UPDATE, DELETE'),
            ('scorer',             'INSERT, UPDATE'),
            ('scoring_attempt',    'INSERT, UPDATE, DELETE'),
            ('scoring_host',       'INSERT, UPDATE, DELETE'),
            ('store_removal',      'INSERT, DELETE'),
            ('term_segment',       'INSERT, UPDATE (used_at), DELETE'),
            ('text_score',         'INSERT, DELETE'),
            ('tombstone',          'INSERT'),   -- who is forgotten stays so
            ('topic',              'INSERT'),
            ('topic_version',      'INSERT'),
            ('training',           'INSERT'),
            ('turn',               'INSERT, UPDATE'),
            ('vector',             'INSERT, DELETE'),   -- vector_1, vector_2, …: one for each embedder
            ('pointer',            NULL),   -- moved by functions that check the rules
            ('pointer_move',       'UPDATE (announced_at)'),   -- what Airflow was told
            ('alembic_version',    NULL)
        ) AS r (name, rights)
        JOIN pg_class c ON c.relnamespace = 'rerank'::regnamespace AND c.relkind IN ('r', 'p')
                       AND COALESCE(substring(c.relname FROM '^(vector|pair_score)_[0-9_]+$'), c.relname) = r.name
        WHERE r.rights IS NOT NULL
    LOOP
        EXECUTE format('GRANT %s ON %s TO %I', wanted.rights, wanted.name, {writer_text});
    END LOOP;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA rerank TO {writer};
    GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rerank TO {writer};
    -- What later migrations make, until this script has run again.
    ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA rerank GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {writer};
    ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA rerank GRANT USAGE ON SEQUENCES TO {writer};
    ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA rerank GRANT EXECUTE ON FUNCTIONS TO {writer};

    -- Else a condition that fails on a row says what is in it, before the view leaves the row out: a blocked one, or one of
    -- another publication. A migration that replaces a view takes this away, until the script has run again.
    ALTER VIEW rerank.current_ranking SET (security_barrier);
    ALTER VIEW rerank.recent_ranking SET (security_barrier);
    ALTER VIEW rerank.current_topic SET (security_barrier);
    ALTER VIEW rerank.recent_change SET (security_barrier);
    GRANT SELECT ON rerank.current_ranking, rerank.recent_ranking, rerank.current_topic, rerank.recent_change TO {frontend};
END $roles$;

-- ── The article source ──────────────────────────────────────────────────────────────────────────

DO $roles$
DECLARE
    schema name;
BEGIN
    SELECT n.nspname INTO schema
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass({view_text});
    IF FOUND THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I, %I', schema, {source_text}, {writer_text});
        GRANT SELECT ON {view} TO {source}, {writer};
    ELSE
        RAISE WARNING 'the article source % is not in this database (yet): where it is, grant SELECT on it and USAGE on its schema', {view_text};
    END IF;
    IF to_regclass({media_text}) IS NOT NULL THEN   -- beside the article source, or not used
        GRANT SELECT ON {media} TO {source}, {writer};
    END IF;
END $roles$;

COMMIT;

"""What a migrated database holds, as text to read and to compare: every object of the schema `rerank`.

`python tests/schema_catalog.py` writes tests/integration/storage/schema.txt again, after a wanted change of the schema.
"""

import tempfile
from pathlib import Path

from sqlalchemy import Connection, text

from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.storage import migrations
from rerank_core.storage.database import Database

SCHEMA = Path(__file__).parent / "integration" / "storage" / "schema.txt"

_SECTIONS = {
    "tables, columns in their order": """
        SELECT c.relname || CASE c.relkind WHEN 'p' THEN ' partition by ' || pg_get_partkeydef(c.oid) WHEN 'v' THEN ' (view)' ELSE '' END,
               string_agg('    ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
                          || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
                          || CASE a.attidentity WHEN 'a' THEN ' identity' ELSE '' END
                          || COALESCE(' default ' || pg_get_expr(d.adbin, d.adrelid), ''), E'\\n' ORDER BY a.attnum)
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'rerank'::regnamespace AND c.relkind IN ('r', 'p', 'v')
        GROUP BY c.oid ORDER BY c.relname""",
    "constraints": """
        SELECT c.conrelid::regclass || ' ' || c.conname, '    ' || pg_get_constraintdef(c.oid)
        FROM pg_constraint c
        WHERE c.connamespace = 'rerank'::regnamespace AND c.conrelid <> 0 AND c.contype <> 'n' ORDER BY c.conrelid::regclass::text, c.conname""",
    "indexes": """
        SELECT i.indexrelid::regclass::text, '    ' || pg_get_indexdef(i.indexrelid)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE c.relnamespace = 'rerank'::regnamespace ORDER BY 1""",
    "sequences": """
        SELECT s.sequencename, '    ' || s.data_type || ' from ' || s.start_value || ', owned by '
               || COALESCE(pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid), 'nothing')
        FROM pg_sequences s
        LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                             AND d.objid = ('rerank.' || s.sequencename)::regclass AND d.deptype IN ('a', 'i')
        WHERE s.schemaname = 'rerank' ORDER BY 1""",
    "views": """
        SELECT c.relname, pg_get_viewdef(c.oid) FROM pg_class c
        WHERE c.relnamespace = 'rerank'::regnamespace AND c.relkind = 'v' ORDER BY 1""",
    "functions": """
        SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid) FROM pg_proc p
        WHERE p.pronamespace = 'rerank'::regnamespace
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
        ORDER BY 1""",  # an extension that a test put into this schema is not part of it
    "triggers": """
        SELECT t.tgname, '    ' || pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = 'rerank'::regnamespace AND NOT t.tgisinternal ORDER BY 1""",
    "rights, where they are not the default": """
        SELECT p.oid::regprocedure::text, '    ' || CASE WHEN a.grantee = p.proowner THEN 'owner' ELSE a.grantee::regrole::text END
               || ' ' || a.privilege_type
        FROM pg_proc p, aclexplode(p.proacl) a WHERE p.pronamespace = 'rerank'::regnamespace
        UNION ALL
        SELECT c.oid::regclass::text, '    ' || CASE WHEN a.grantee = c.relowner THEN 'owner' ELSE a.grantee::regrole::text END
               || ' ' || a.privilege_type
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = 'rerank'::regnamespace
        ORDER BY 1, 2""",
    "comments": """
        SELECT pg_describe_object(d.classoid, d.objoid, d.objsubid), '    ' || d.description
        FROM pg_description d
        LEFT JOIN pg_class c ON d.classoid = 'pg_class'::regclass AND c.oid = d.objoid
        LEFT JOIN pg_proc p ON d.classoid = 'pg_proc'::regclass AND p.oid = d.objoid
        WHERE COALESCE(c.relnamespace, p.pronamespace) = 'rerank'::regnamespace ORDER BY 1""",
    "rows": """
        SELECT 'turn', '    ' || name FROM rerank.turn
        UNION ALL
        SELECT 'alembic_version', '    ' || version_num FROM rerank.alembic_version ORDER BY 1, 2""",
}


def described(connection: Connection) -> str:
    """The schema `rerank` of this database. Two databases with equal texts have equal schemas."""
    lines = []
    for title, statement in _SECTIONS.items():
        lines += [f"== {title} ==", ""]
        for name, body in connection.execute(text(statement)).all():
            lines += [name, str(body).rstrip(), ""]
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # Postgres runs as `nobody` when root starts it
        with EmbeddedPostgres(folder=Path(folder) / "postgres") as server:
            url = server.create("schema")
            migrations.upgrade(url)
            with Database(url).transaction(read_only=True) as connection:
                SCHEMA.write_text(described(connection), encoding="utf-8")

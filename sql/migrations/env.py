"""Alembic's entry: migrations run on the connection that `rerank_core.storage.migrations.upgrade` hands in."""

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("apply migrations with `rerank db upgrade`; it takes the lock that they need")

context.configure(connection=connection, version_table="alembic_version", version_table_schema="rerank")
context.run_migrations()

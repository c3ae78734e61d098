"""Alembic's entry: migrates over the connection that `iris.store.migrate` hands in; there is no ini file."""

from __future__ import annotations

from alembic import context

from iris.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite too: the whole way to the head is one transaction that `migrate` began and commits.
    transactional_ddl=True,
    # SQLite cannot alter constraints in place.
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()

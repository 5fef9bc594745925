"""How Alembic reaches the database: over the connection that ``evacuator.db.schema`` passes in."""

from alembic import context

from evacuator.db.models import Model

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Model.metadata,
    compare_type=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()

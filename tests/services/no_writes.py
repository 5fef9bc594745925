"""A database that can be read and not written."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Engine, text

from tests.services.cluster import Cluster


def takes_no_writes(cluster: Cluster) -> AbstractContextManager[None]:
    """Have the database refuse, or hold up, every write within this."""
    engine = cluster.database.engine
    return WAYS[engine.dialect.name](engine, str(cluster.database_url.database))


@contextmanager
def _held_up(engine: Engine, _name: str) -> Iterator[None]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
        admin.exec_driver_sql("LOCK TABLES services READ, instances READ, migrations READ")
        try:
            yield
        finally:
            admin.exec_driver_sql("UNLOCK TABLES")


@contextmanager
def _refused(engine: Engine, name: str) -> Iterator[None]:
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
            admin.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            admin.execute(text(ended), {"name": name})
        yield
    finally:
        # Whoever is connected stays read-only.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
            admin.exec_driver_sql("SET default_transaction_read_only = off")
            admin.exec_driver_sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")


WAYS: dict[str, Callable[[Engine, str], AbstractContextManager[None]]] = {"mysql": _held_up, "postgresql": _refused}

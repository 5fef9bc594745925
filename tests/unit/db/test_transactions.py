"""What waits for a commit, when the connection is lost during it."""

import sqlite3

import pytest
from sqlalchemy import event, text

from evacuator.db.session import open_database
from evacuator.errors import DatabaseRefuses, DatabaseUnavailable, Overtaken


class Connection(sqlite3.Connection):
    """One that is lost during each of the next ``losses`` commits, after the database has done them or before."""

    losses = 0
    commits = True

    def commit(self):
        if self.losses == 0:
            super().commit()
            return
        Connection.losses -= 1
        if self.commits:
            super().commit()
        raise sqlite3.ProgrammingError("Cannot operate on a closed database.")


@pytest.fixture
def database(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path}/evacuator.sqlite", max_retries=2)
    event.listen(
        opened.engine, "do_connect", lambda _dialect, _record, _args, options: options.update(factory=Connection)
    )
    opened.write(lambda transaction: transaction.execute(text("CREATE TABLE doors (opened_by TEXT)")))
    yield opened
    Connection.losses, Connection.commits = 0, True
    opened.close()


def lose(commits, *, done):
    Connection.losses, Connection.commits = commits, done


def opens_the_door(told, name):
    """Return work that opens the one door, if nobody has, and tells once it is committed."""
    runs = iter(range(10))

    def opened_by(session):
        return session.scalar(text("SELECT opened_by FROM doors"))

    def work(transaction):
        run = f"{name} {next(runs)}"
        if opened_by(transaction):
            raise Overtaken(what="doors", where=name)
        transaction.execute(text("INSERT INTO doors VALUES (:run)"), {"run": run})
        transaction.leaves(lambda session: opened_by(session) == run)
        transaction.on_commit(lambda: told.append(run))

    return work


def test_it_takes_effect_when_the_next_run_sees_that_it_took_place(database):
    told = []
    lose(1, done=True)
    with pytest.raises(Overtaken):
        database.write(opens_the_door(told, "one"))
    assert told == ["one 0"]


def test_who_is_overtaken_by_an_earlier_run_of_the_same_begins_with_what_that_left(database):
    """The server was not done with its commit yet when the next run began."""
    told, landed, runs = [], [], iter(range(3))

    def work(transaction):
        run = next(runs)
        transaction.execute(text("SELECT 1"))
        transaction.leaves(lambda _session: run == 0 and bool(landed))
        transaction.on_commit(lambda: told.append(run))
        if run == 1:
            landed.append(run)
            raise Overtaken(what="doors", where="one")
        return "what it left"

    lose(1, done=False)
    assert database.write(work) == "what it left"
    assert told == [0, 2]


def test_it_takes_no_effect_when_it_did_not_take_place(database):
    told = []
    lose(2, done=False)
    database.write(opens_the_door(told, "one"))
    assert told == ["one 2"]


def test_what_somebody_else_did_meanwhile_is_not_taken_for_ones_own(database):
    told = []
    lose(1, done=False)
    ours = opens_the_door(told, "one")
    runs = iter(range(2))

    def overtaken(transaction):
        if next(runs):
            transaction.execute(text("INSERT INTO doors VALUES ('another')"))
        ours(transaction)

    with pytest.raises(Overtaken):
        database.write(overtaken)
    assert told == []


@pytest.mark.parametrize(("losses", "told"), [(0, DatabaseRefuses), (1, DatabaseUnavailable)])
def test_a_refusal_after_a_commit_was_lost_does_not_say_that_nothing_was_written(database, losses, told):
    lose(losses, done=True)
    statements = iter([*["SELECT 1"] * losses, "SELECT * FROM nowhere"])

    with pytest.raises(DatabaseUnavailable) as refused:
        database.write(lambda transaction: transaction.execute(text(next(statements))))

    assert type(refused.value) is told


def test_who_never_hears_again_tells_nothing(database):
    told = []
    lose(10, done=False)
    with pytest.raises(DatabaseUnavailable):
        database.write(opens_the_door(told, "one"))
    assert told == []

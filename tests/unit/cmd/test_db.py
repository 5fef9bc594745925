import argparse

import pytest
from oslo_config import cfg

from evacuator.cmd import db, state_dir
from evacuator.cmd.main import configure
from evacuator.db import schema
from evacuator.db.session import open_database
from evacuator.errors import NotConfigured, StateDirectoryInUse


@pytest.fixture
def run(tmp_path):
    file = tmp_path / "evacuator.conf"
    file.write_text(f"[database]\nconnection = sqlite:///{tmp_path}/new.sqlite\n")

    configure(cfg.CONF, [file])
    parser = argparse.ArgumentParser()
    db.add_parser(parser.add_subparsers())

    def command(*arguments):
        args = parser.parse_args(["db", *map(str, arguments)])
        return args.run(args)

    yield command
    cfg.CONF.reset()


@pytest.fixture
def one(tmp_path):
    """The state directory of an all-in-one of an older release."""
    directory = tmp_path / "the one"
    directory.mkdir()
    database = open_database(state_dir.sqlite_url(directory))
    schema.upgrade(database, "0001")
    database.close()
    return directory


def test_the_command_that_a_refused_copy_names_is_the_one_that_helps(run, one, capsys):
    run("upgrade")
    with pytest.raises(NotConfigured) as refused:
        run("copy", one)
    assert str(refused.value).startswith(f"The old database is at 0001, this program needs {schema.head()}: run ")
    assert f"`evacuator db upgrade --database '{one}'`" in str(refused.value)

    assert run("upgrade", "--database", one) == 0
    assert capsys.readouterr().out.endswith(f"The schema went from 0001 to {schema.head()}.\n")
    assert run("copy", one) == 0


def test_a_copy_into_an_empty_database_names_the_command_for_that_one(run, one):
    run("upgrade", "--database", one)
    with pytest.raises(NotConfigured, match=r"The new database is empty.*: run `evacuator db upgrade`\."):
        run("copy", one)


def test_a_file_that_is_not_there_is_not_made(run, tmp_path):
    with pytest.raises(NotConfigured, match="There is no file"):
        run("copy", f"sqlite:///{tmp_path}/typo.sqlite")
    assert not (tmp_path / "typo.sqlite").exists()


def test_the_file_of_an_all_in_one_that_runs_is_left_alone(run, one):
    with state_dir.held(one), pytest.raises(StateDirectoryInUse):
        run("upgrade", "--database", one)


def test_an_upgrade_to_an_older_version_is_refused(run, capsys):
    run("upgrade")
    with pytest.raises(NotConfigured, match=f"it is at {schema.head()}, and an upgrade to 0002 is none"):
        run("upgrade", "0002")
    assert run("upgrade", schema.head()) == 0
    assert capsys.readouterr().out.endswith(f"The schema is at {schema.head()}.\n")

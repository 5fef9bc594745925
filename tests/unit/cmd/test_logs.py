"""Logs of the processes that serve: a line for people, or JSON for machines."""

import json
import subprocess
import sys

TRANSITION = """
import logging, sys
from oslo_config import cfg
from evacuator.cmd import logs, main
main.configure(cfg.CONF, sys.argv[1:])
logs.start(cfg.CONF)
EXTRA = {"transition": {"migration": 7, "why": "so"}, "extra_keys": ["transition"]}
logging.getLogger("evacuator.engine.record").info("%s", "a line", extra=EXTRA)
"""


DATABASE_IN_VAIN = """
import sys
from oslo_config import cfg
from evacuator.cmd import logs, main
from evacuator.db.session import open_database
from evacuator.errors import DatabaseUnavailable
main.configure(cfg.CONF, sys.argv[1:])
logs.start(cfg.CONF)
database = open_database("mysql+pymysql://u:p@127.0.0.1:1/evacuator", max_retries=1)
try:
    database.read(lambda session: session.connection())
except DatabaseUnavailable as error:
    print(error)
"""


def run(tmp_path, code, configuration=""):
    file = tmp_path / "evacuator.conf"
    file.write_text(configuration)
    return subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=True)


def logged(tmp_path, configuration):
    return run(tmp_path, TRANSITION, configuration).stderr.splitlines()[-1]


def test_a_transition_is_a_line_for_people(tmp_path):
    assert logged(tmp_path, "").endswith("INFO evacuator.engine.record [-] a line")


def test_with_use_json_it_is_an_object_whose_parts_have_names(tmp_path):
    line = json.loads(logged(tmp_path, "[DEFAULT]\nuse_json = true\n"))
    assert (line["message"], line["levelname"]) == ("a line", "INFO")
    assert line["extra"]["transition"] == {"migration": 7, "why": "so"}


def test_a_database_that_was_asked_in_vain_is_told_by_who_asked_and_by_nobody_else(tmp_path):
    done = run(tmp_path, DATABASE_IN_VAIN)
    assert done.stdout.startswith("The database does not answer ((2003,")
    assert "exceeded retry limit" not in done.stderr
    assert "Traceback" not in done.stderr

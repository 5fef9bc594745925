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


def logged(tmp_path, configuration):
    file = tmp_path / "evacuator.conf"
    file.write_text(configuration)
    done = subprocess.run([sys.executable, "-c", TRANSITION, file], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()[-1]


def test_a_transition_is_a_line_for_people(tmp_path):
    assert logged(tmp_path, "").endswith("INFO evacuator.engine.record [-] a line")


def test_with_use_json_it_is_an_object_whose_parts_have_names(tmp_path):
    line = json.loads(logged(tmp_path, "[DEFAULT]\nuse_json = true\n"))
    assert (line["message"], line["levelname"]) == ("a line", "INFO")
    assert line["extra"]["transition"] == {"migration": 7, "why": "so"}

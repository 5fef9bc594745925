"""Each folder beside this file is a story: ``README`` says what must hold, ``events.yaml`` what happens.

``expected.log`` is what was seen. It is written when it is not there, and is then to be read by a person: delete it to
have it written anew. Besides, all of ``tests.world.watch`` holds at every step, at the end everything is healed and
settles, and the log has told of each evacuation from nothing to what became of it.
"""

from pathlib import Path

import pytest
import yaml

from tests.scenarios.chain import gaps
from tests.world.commands import tell
from tests.world.world import a_world

SCENARIOS = sorted(path.parent for path in Path(__file__).parent.glob("*/events.yaml"))


@pytest.mark.parametrize("folder", SCENARIOS, ids=lambda folder: folder.name)
def test_it_goes_as_it_was_reviewed(folder, caplog):
    told = yaml.safe_load((folder / "events.yaml").read_text())
    with a_world(told.get("hosts", ["a", "b", "c"]), **told.get("settings", {})) as world:
        tell(world, "\n".join(told["events"]))
        world.settle()
        seen = str(world.story)
        assert gaps(caplog.records, world.records()) == []
    expected = folder / "expected.log"
    if not expected.exists():
        expected.write_text(seen)
        pytest.fail(f"{expected} was written: read it, then run this again")
    assert seen == expected.read_text()


@pytest.mark.parametrize("folder", SCENARIOS, ids=lambda folder: folder.name)
def test_it_says_what_must_hold(folder):
    assert len((folder / "README").read_text().split()) > 10

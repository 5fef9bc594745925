"""The version history has a line for every version, and says of each whether anything changes here."""

import re

from evacuator.api.microversions import MAXIMUM, MINIMUM
from tests.unit.docs.exchanges import facts
from tests.unit.docs.reference import SOURCE

LINES = dict(re.findall(r"^(2\.\d+)\n((?:    .+\n)+)", (SOURCE / "version-history.rst").read_text(), re.MULTILINE))
NOTHING = "    No change here: "


def test_every_version_has_its_line_and_no_other():
    assert list(LINES) == [f"2.{minor}" for minor in range(MINIMUM.minor, MAXIMUM.minor + 1)]


def test_exactly_the_versions_at_which_something_changes_say_what():
    changes = {str(version) for fact in facts() for version in fact.changes} | {str(MINIMUM)}
    told = {version for version, line in LINES.items() if not line.startswith(NOTHING)}
    assert told == changes

"""What the documents draw is what the code has."""

import re
from pathlib import Path

from evacuator.evacuation.transitions import TRANSITIONS

PAGE = Path(__file__).parents[3] / "docs" / "architecture.md"


def test_the_state_diagram_has_exactly_the_transitions_of_the_table() -> None:
    drawn = {
        (source.replace("_", "-"), target.replace("_", "-"), step)
        for source, target, step in re.findall(r"^    (\w+) --> (\w+): ([\w-]+)$", PAGE.read_text(), re.MULTILINE)
    }
    table = {
        (str(source), str(transition.target), str(step))
        for step, transition in TRANSITIONS.items()
        for source in transition.sources
    }
    assert drawn == table


def test_every_folder_of_the_package_has_its_row() -> None:
    text = PAGE.read_text()
    package = PAGE.parents[1] / "evacuator"
    folders = [place.name for place in package.iterdir() if (place / "__init__.py").exists()]
    assert [name for name in folders if f"`{name}/`" not in text] == []

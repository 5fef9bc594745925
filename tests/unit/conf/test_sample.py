"""The sample configuration says what can be configured today."""

import re
from pathlib import Path

from evacuator.conf import opts

SAMPLE = Path(__file__).parents[3] / "etc" / "evacuator.conf.sample"


def test_every_option_is_in_the_sample_with_its_own_section():
    sections = re.split(r"^\[(.+)\]$", SAMPLE.read_text(), flags=re.MULTILINE)
    said = dict(zip(sections[1::2], sections[2::2], strict=True))
    for group, options in opts.list_opts():
        section = said[group.name if group else "DEFAULT"]
        for option in options:
            named = re.search(rf"^#{option.name} =", section, re.MULTILINE)
            assert named, (
                f"oslo-config-generator --config-file etc/oslo-config-generator.conf: {option.name} is missing"
            )

"""Regular expressions that callers send, matched in time that grows with the text and not with the pattern's tricks."""

from functools import lru_cache
from typing import Any

import re2

from evacuator.errors import Invalid

#: In bytes; what needs more is refused.
MOST_MEMORY = 1 << 20


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MOST_MEMORY
    return options


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:
    """Return a pattern, ready to be searched for.

    :raises Invalid: it is none, or one that could only be matched by trying (a back reference, a look around).
    """
    try:
        return re2.compile(pattern, options=_options())
    except re2.error as error:
        why = error.args[0] if error.args else "it cannot be read"
        why = why.decode(errors="replace") if isinstance(why, bytes) else why
        raise Invalid(reason=f"Invalid regular expression {pattern}: {why}. The syntax is that of RE2.") from error


def matches(pattern: str, text: object) -> bool | None:
    """Tell whether a pattern is found in a text; of null it is not known. This is SQLite's REGEXP."""
    return None if text is None else compiled(pattern).search(str(text)) is not None

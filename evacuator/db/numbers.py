"""Texts that may be the number of a row."""

#: Every number of so many digits fits into the column.
MOST_DIGITS = 9


def is_number(text: str) -> bool:
    """Tell whether a text can be the number of a row; a UUID, too, may be digits alone, but has more of them."""
    return text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS

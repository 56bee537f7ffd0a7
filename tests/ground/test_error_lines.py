"""What another library's error says, as part of a sentence."""

import pytest

from anylead.errors import first_line, last_line


@pytest.mark.parametrize(
    ("told", "first", "last"),
    [
        ("no sockets.", "no sockets", "no sockets"),
        ("\n  Traceback:\n  many lines\n\nno sockets\n", "Traceback", "no sockets"),
        (" \n", "ValueError", "ValueError"),
        ("x" * 300, "x" * 200, "x" * 200),
    ],
)
def test_one_line_is_taken(told, first, last):
    assert (first_line(ValueError(told)), last_line(ValueError(told))) == (first, last)

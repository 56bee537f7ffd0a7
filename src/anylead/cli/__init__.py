"""The command line: one file a verb, found through the table in `dispatch`."""

from anylead.cli.dispatch import main

__all__ = ["main"]

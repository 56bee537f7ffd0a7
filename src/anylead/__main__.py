"""Runs the command line as ``python -m anylead``."""

import sys

from anylead.cli import main

if __name__ == "__main__":
    sys.exit(main())

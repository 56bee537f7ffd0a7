"""Self-supervised ECG representations that work with any set of leads."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from anylead.errors import AnyleadError
from anylead.provenance import version
from anylead.record import Record

if TYPE_CHECKING:
    from anylead.bundle import Bundle, load
    from anylead.formats import read
    from anylead.store import Store

__all__ = ["AnyleadError", "Bundle", "Record", "Store", "__version__", "load", "read"]

__version__ = version()

# Resolved on first use, so that `anylead --help` needs neither torch nor pyarrow.
_LAZY = {
    "Bundle": "anylead.bundle",
    "load": "anylead.bundle",
    "read": "anylead.formats",
    "Store": "anylead.store",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'anylead' has no attribute {name!r}")

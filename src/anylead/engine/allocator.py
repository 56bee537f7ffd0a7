"""Keep the memory of one step for the next."""

import ctypes
import logging
import sys

# From glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8

_log = logging.getLogger(__name__)


def keep_freed_memory() -> bool:
    """Tells the C library to keep what this process frees, so that the next step finds it.

    glibc gives large blocks back to the system as soon as they are free, and the system hands out the next
    ones page by page, zeroed: on a CPU about a tenth of a training step is spent on that. The process stays
    as large as it has once been.

    Returns:
        Whether the C library took the settings; where it is not glibc, nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library, musl for one
        return False
    # One arena: the backward pass runs in a thread of its own and has to find what the forward pass freed.
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1), (_MMAP_THRESHOLD, 2**31 - 1), (_ARENA_MAX, 1))
    taken = all([mallopt(name, value) == 1 for name, value in settings])
    _log.debug("the C library %s what is freed.", "keeps" if taken else "may give back")
    return taken

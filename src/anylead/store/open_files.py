"""How many shards may be open at once: every map keeps its file open, and systems limit that."""

import sys

if sys.platform != "win32":
    import resource

_SPARE = 256
"""Files left to everything else in the process."""


def room_for_files(wanted: int) -> int:
    """Returns how many files may be kept open, at most `wanted`, and raises the limit if it may.

    A store of a million recordings has thousands of shards, and many systems let a process have 1024 files
    open until it asks for more.

    Args:
        wanted: Number of files.
    """
    if sys.platform == "win32":  # its maps count against no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + _SPARE:
        more = wanted + _SPARE if hard == resource.RLIM_INFINITY else min(wanted + _SPARE, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
        except (ValueError, OSError):  # some systems have a lower limit than they say
            pass
    room = wanted if soft == resource.RLIM_INFINITY else min(wanted, soft - _SPARE)
    return max(room, 16)

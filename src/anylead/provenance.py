"""Where a number came from: versions, host, fingerprints, atomic files."""

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from anylead.errors import FileError


def canonical_json(value: Any) -> str:
    """Returns JSON with sorted keys and no spaces, the same text for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str, allow_nan=False)


def fingerprint(value: Any) -> str:
    """Returns the first 16 hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def version() -> str:
    """Returns the version of the installed package, or ``"unknown"``."""
    try:
        return metadata.version("anylead")
    except metadata.PackageNotFoundError:
        return "unknown"


def code_commit() -> str | None:
    """Returns the git commit of the code, with ``+`` where it has changes, or None outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        commit = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "-C", str(here), "status", "--porcelain", "--", str(here)],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")


def environment() -> dict[str, Any]:
    """Returns what a reader needs to repeat a run: versions, platform, cores, command, time."""
    packages = {}
    for name in ("torch", "numpy", "scipy", "scikit-learn", "pyarrow"):
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "anylead": version(),
        "commit": code_commit(),
        "python": platform.python_version(),
        "packages": packages,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` that becomes `path` when the block ends without an error.

    The file is flushed to disk before it is renamed, so that a reader sees the old one or the new one.

    Raises:
        FileError: If the disk refuses; nothing is left behind.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"{path}: could not be written ({error.strerror or error}); nothing was changed: "
            "make room or choose another folder and run the command again."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes a value as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        text = json.dumps(value, indent=1, default=str, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")

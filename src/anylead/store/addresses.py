"""Addresses such as ``s3://bucket/folder``: told from paths, opened by fsspec, refused in a sentence."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

from anylead.errors import AnyleadError, ConfigError, FileError, first_line

_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+]+::)*(?P<protocol>[a-z][a-z0-9+]+):/")
_START = re.compile(r"(?P<before>^|::)(?P<protocol>[a-z][a-z0-9+]+):/+")
_LOCAL = ("file", "local")


def locate(path: str | Path) -> Path | str:
    """Returns the path of a folder of this machine, or the address of one elsewhere.

    `pathlib` makes ``s3:/bucket`` of ``s3://bucket``; the slash is given back here, so that whatever takes a
    path takes an address, too. ``file:///folder`` is a folder of this machine.

    Args:
        path: A path or an address; addresses may be chained as fsspec does, ``zip://::s3://bucket/x.zip``.
    """
    text = str(path)
    match = _ADDRESS.match(text)
    if match is None or match["protocol"] not in fsspec.available_protocols() or Path(text).exists():
        return Path(path)
    if match["protocol"] in _LOCAL and "::" not in text:
        return Path(_START.sub("/", text))
    return _START.sub(_with_slashes, text)


def _with_slashes(start: re.Match[str]) -> str:
    return f"{start['before']}{start['protocol']}://{'/' if start['protocol'] in _LOCAL else ''}"


def absolute(path: Path) -> Path:
    """Returns the same place for a process that works in another folder; addresses stay as they are."""
    place = locate(path)
    return place.absolute() if isinstance(place, Path) else path


def open_address(address: str) -> tuple[Any, str]:
    """Returns the file system of an address, and the folder in it without a slash at its end.

    Raises:
        ConfigError: If a package is missing that reads such addresses.
        FileError: If it cannot be reached.
    """
    with reaching(address):
        files, folder = fsspec.core.url_to_fs(address)
        files.invalidate_cache()  # what was listed before may have changed
        return files, folder.rstrip("/")


@contextmanager
def reaching(address: str) -> Iterator[None]:
    """Says in a sentence what goes wrong with an address.

    Raises:
        ConfigError: If a package is missing.
        FileError: If anything else goes wrong there.
    """
    try:
        yield
    except (AnyleadError, MemoryError):
        raise
    except ImportError as error:
        raise ConfigError(
            f"{address}: a package for such addresses is missing ({first_line(error)}); install it, or give "
            "a folder of this machine."
        ) from error
    except FileNotFoundError as error:
        raise FileError(
            f"{address}: there is no such bucket, folder or file ({first_line(error)}); check the address."
        ) from error
    except Exception as error:  # every file system has kinds of its own
        raise FileError(
            f"{address}: could not be reached ({first_line(error)}); check the address and your rights, "
            "and run the command again."
        ) from error


@contextmanager
def told_as(names: Mapping[Path, str]) -> Iterator[None]:
    """Lets errors name addresses instead of the folders of this machine that stand for them."""
    try:
        yield
    except AnyleadError as error:
        told = str(error)
        for folder, address in names.items():
            told = told.replace(str(folder), address)
        if told == str(error):
            raise
        raise type(error)(told) from error

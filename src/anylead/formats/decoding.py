"""What other packages decode, behind our errors: refusals become one, warnings are logged."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anylead.errors import AnyleadError, RecordFileError

_LOGGER = logging.getLogger(__name__)


@contextmanager
def decoding(path: Path, what: str, package: str) -> Iterator[list[str]]:
    """Runs a package's decoder.

    Args:
        path: The file.
        what: Its format, for errors.
        package: The package, for errors.

    Yields:
        A list that holds the package's warnings afterwards.

    Raises:
        RecordFileError: If the package raises anything.
    """
    heard: list[str] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield heard
    except AnyleadError:
        raise
    except Exception as error:  # a parser raises whatever it stumbles over
        reason = " ".join(str(error).split())[:300]
        raise RecordFileError(
            f"{path}: {package} cannot decode this as {what} ({type(error).__name__}: {reason}); "
            "export the recording again."
        ) from error
    heard += [str(warning.message) for warning in caught]
    for message in heard:
        _LOGGER.info("%s: %s", path, message)

"""Secret key of a gallery, on which its audit trail, its API keys and its projection hang."""

import hashlib
import hmac
import logging
import os
import secrets
import stat
from pathlib import Path

from anylead.errors import GalleryError

KEY_VARIABLE = "ANYLEAD_GALLERY_KEY"
"""Environment variable with the key of a gallery in PostgreSQL, or the path of a file that holds it."""

_KEY_BYTES = 32
_log = logging.getLogger(__name__)


class GalleryKey:
    """32 random bytes, and the secrets derived from them, one a purpose.

    Deriving is HMAC-SHA-256 of the purpose's name, so a secret tells nothing of the key or of the others.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def secret(self, purpose: str) -> bytes:
        """Returns 32 bytes that are the same for the same key and purpose."""
        return hmac.new(self._key, purpose.encode(), hashlib.sha256).digest()


def make_key_file(path: Path) -> GalleryKey:
    """Writes a new key into a new file that only its owner can read.

    Raises:
        GalleryError: If the file is there already or cannot be written.
    """
    key = secrets.token_bytes(_KEY_BYTES)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(key.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise GalleryError(
            f"{path}: the key of the gallery cannot be written ({error.strerror}); choose a folder "
            "that is new "
            "and can be written to."
        ) from error
    return GalleryKey(key)


def read_key_file(path: Path) -> GalleryKey:
    """Reads a key, and warns where others than its owner may do so.

    Raises:
        GalleryError: If the file is absent or does not hold a key.
    """
    try:
        text = path.read_text(encoding="ascii").strip()
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, UnicodeDecodeError) as error:
        raise GalleryError(
            f"{path}: the key of the gallery cannot be read ({error}); without it a gallery cannot be used: "
            "put the file back, or import an export into a new gallery."
        ) from error
    if mode & 0o077:
        _log.warning("%s: others may read the key (mode %03o); run chmod 600 on it.", path, mode)
    return _parse(text, where=str(path))


def key_from_environment(*, make: bool) -> GalleryKey:
    """Reads the key that `KEY_VARIABLE` holds or names the file of.

    Args:
        make: Whether to make the file where it is named and absent.

    Raises:
        GalleryError: If the variable is not set or holds neither a key nor the path of one.
    """
    value = os.environ.get(KEY_VARIABLE, "").strip()
    if not value:
        raise GalleryError(
            f"{KEY_VARIABLE}: the variable is not set; a gallery in PostgreSQL takes its key from "
            "there, as 64 "
            "hexadecimal digits or the path of a file that holds them, so that the database never has it."
        )
    if os.sep not in value and not Path(value).exists():
        return _parse(value, where=KEY_VARIABLE)
    path = Path(value)
    return make_key_file(path) if make and not path.exists() else read_key_file(path)


def _parse(text: str, *, where: str) -> GalleryKey:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        # The text is left out of the message: it may be a key with one wrong digit.
        raise GalleryError(
            f"{where}: this is no key of a gallery; a key is {2 * _KEY_BYTES} hexadecimal digits."
        )
    return GalleryKey(key)

"""Everything anylead refuses, as one tree of exceptions.

Every message is one sentence that says where, what it got, what it accepts and what to do::

    AnyleadError
    ├── InputError(ValueError)        an argument, an array, an option
    │   ├── LeadError                 names of leads
    │   └── ConfigError               a recipe or a flag
    ├── TrainingError(ValueError)     a run whose loss or weights are not finite
    ├── FileError(OSError)            a file that cannot be read or written
    │   ├── RecordFileError           a recording: unreadable, truncated, empty
    │   ├── StoreError                a store: absent, made by other steps, of a newer format
    │   ├── CheckpointError           a checkpoint: absent, corrupt, of another configuration
    │   ├── BundleError               a bundle: absent, incomplete, of a newer format
    │   └── GalleryError              a gallery: absent, damaged, of another model, of a newer format
    │       └── GalleryUnavailableError   one that cannot be reached or written just now
    │           └── GalleryChangedError   one that another process rebuilt since it was opened
"""


class AnyleadError(Exception):
    """Base of every error that a user of anylead can cause."""


class InputError(AnyleadError, ValueError):
    """An argument, an array or an option that cannot be used."""


class LeadError(InputError):
    """Lead names that are missing, duplicated or unknown."""


class ConfigError(InputError):
    """A recipe, a configuration or a flag that cannot be used."""


class TrainingError(AnyleadError, ValueError):
    """A run that cannot go on: its loss or a weight is not finite."""


class FileError(AnyleadError, OSError):
    """A file that cannot be read or written."""


class RecordFileError(FileError):
    """A recording that cannot be read: unreadable, truncated, empty, contradictory."""


class StoreError(FileError):
    """A store that is absent, was made by other steps or has a newer format."""


class CheckpointError(FileError):
    """A checkpoint that is absent, corrupt or belongs to another configuration."""


class BundleError(FileError):
    """A bundle that is absent, incomplete or has a newer format."""


class GalleryError(FileError):
    """A gallery that is absent, damaged, of another model or of a newer format, or what it cannot take."""


class GalleryUnavailableError(GalleryError):
    """A gallery that cannot be reached, read or written just now; nothing is wrong with what was asked."""


class GalleryChangedError(GalleryUnavailableError):
    """A gallery that another process rebuilt since it was opened; `Gallery.refresh` opens it again."""


def first_line(error: Exception) -> str:
    """Returns what another library's error says first, for a sentence of ours; its kind if it is silent."""
    return _lines(error)[0]


def last_line(error: Exception) -> str:
    """Returns what another library's error says last, as one does that quotes a traceback of elsewhere."""
    return _lines(error)[-1]


def _lines(error: Exception) -> list[str]:
    told = [line.strip() for line in str(error).splitlines() if line.strip()]
    return [line.rstrip(".:")[:200] for line in told] or [type(error).__name__]

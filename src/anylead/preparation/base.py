"""Step: a pure function from Record to Record with its settings."""

from abc import ABC, abstractmethod
from typing import ClassVar

from anylead.record import Record


class Step(ABC):
    """Base of every step. Subclasses are frozen keyword-only dataclasses whose fields are the settings."""

    kind: ClassVar[str]
    """Name of the step in files: never changed once a store or a bundle has been made with it."""

    @abstractmethod
    def __call__(self, record: Record) -> Record:
        """Returns the prepared record; the one given is left as it is.

        Raises:
            InputError: If the step cannot be done on this record.
        """

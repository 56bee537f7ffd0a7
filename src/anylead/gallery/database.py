"""Database: where a gallery is kept. SQLite and PostgreSQL answer one contract suite."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from anylead.gallery.template import Enrolment, GalleryIdentity, TemplateTable

KEPT_DOCUMENTS = ("keys", "reviews")
"""Documents that do not hang on the vectors and outlive them."""


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One line of the audit trail, which is only ever added to; each holds the hash of the one before."""

    number: int
    at: str
    """UTC, ISO 8601."""
    actor: str
    """Name of the API key, or ``local``."""
    action: str
    """``create``, ``enrol``, ``remove``, ``review``, ``calibrate``, ``export``, ``import``, ``rebuild`` or
    ``keys``."""
    subject: str
    """Keyed hash (HMAC-SHA-256) of the patient or recording concerned: it tells nothing without the key."""
    details: dict[str, Any] = field(default_factory=dict)
    """Counts and settings, never an id of a patient."""
    previous: str
    hash: str


class Database(ABC):
    """One gallery's rows. A method that writes is one transaction: all of it is there afterwards, or nothing.

    Any number of processes may use one gallery. What a method has acknowledged survives a kill -9 and a power
    failure. One object may be used by several threads.
    """

    where: str
    """Where the gallery is, for messages: a folder, or a URL without its password."""

    @abstractmethod
    def identity(self) -> GalleryIdentity:
        """Returns what its vectors were made by.

        Raises:
            GalleryError: If this is no gallery, a damaged one, or one of a newer format.
        """

    @abstractmethod
    def refresh(self) -> GalleryIdentity:
        """Takes over what another process made of the gallery, as opening it again does."""

    @abstractmethod
    def version(self) -> int:
        """Returns a number that grows when any process adds, removes or replaces recordings.

        It tells whether vectors in memory are still right; documents and the audit trail leave it alone.
        """

    @abstractmethod
    def secret(self, purpose: str) -> bytes:
        """Returns 32 secret bytes of this gallery for a purpose, always the same; no database holds them."""

    @abstractmethod
    def enrol(self, enrolments: Sequence[Enrolment], *, actor: str) -> int:
        """Adds recordings, and a line to the audit trail for each.

        A recording that is there already under the same id, patient and hash is left alone.

        Returns:
            How many were added.

        Raises:
            GalleryError: If an id is there with another patient or other samples, or a vector does not have
                the dimension or the length 1; nothing is added then.
        """

    @abstractmethod
    def templates(self, lead_set: str) -> TemplateTable:
        """Returns all templates of a lead set.

        Raises:
            GalleryError: If one is damaged.
            GalleryChangedError: If another process put those of another model in their place since the
                gallery was opened.
        """

    @abstractmethod
    def template_counts(self) -> dict[str, int]:
        """Returns lead set -> number of templates, of the lead sets that have any."""

    @abstractmethod
    def record_ids(self, *, patient_id: str | None = None, before: datetime | None = None) -> list[str]:
        """Returns ids of all recordings, of a patient or taken before a date, in the order of enrolment."""

    @abstractmethod
    def enrolments(
        self, *, patient_id: str | None = None, record_ids: Sequence[str] | None = None
    ) -> list[Enrolment]:
        """Returns whole recordings: of a patient, some by id, or all, in the order of enrolment."""

    @abstractmethod
    def patients(self) -> dict[str, int]:
        """Returns patient id -> number of recordings, in order of first enrolment."""

    @abstractmethod
    def remove(self, patient_id: str, *, actor: str) -> int:
        """Removes everything of a patient, so that no file of the database holds the bytes any more.

        Returns:
            How many recordings were removed; 0 where there was none.

        Raises:
            GalleryError: Also if they are removed but their bytes could not yet be wiped; calling it again
                makes up for that, and so does opening the gallery.
        """

    @abstractmethod
    def remove_before(self, date: datetime, *, actor: str) -> int:
        """Removes, as `remove` does, all recordings taken before a date (retention period).

        Those that nobody knows the date of stay.

        Returns:
            How many recordings were removed.
        """

    @abstractmethod
    def put_document(
        self,
        name: str,
        value: dict[str, Any],
        *,
        actor: str,
        action: str,
        subject: str = "",
        details: dict[str, Any] | None = None,
    ) -> None:
        """Keeps a JSON document (a calibration) under a name, in the place of an older one."""

    @abstractmethod
    def update_document(
        self,
        name: str,
        change: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        actor: str,
        action: str,
        subject: str = "",
        details: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Changes a document so that no change of another process is lost (reviews, keys).

        Args:
            name: Of the document.
            change: Takes the document as it is, ``{}`` where there is none, and returns what to keep; an
                error that it raises leaves all as it was.
            actor: Who does it.
            action: For the audit trail.
            subject: For the audit trail.
            details: For the audit trail.

        Returns:
            What is kept now.
        """

    @abstractmethod
    def document(self, name: str) -> dict[str, Any] | None:
        """Returns a document, None where there is none."""

    @abstractmethod
    def document_names(self) -> list[str]:
        """Returns the names of all documents."""

    @abstractmethod
    def append_audit(
        self, action: str, *, actor: str, subject: str = "", details: dict[str, Any] | None = None
    ) -> None:
        """Adds a line to the audit trail; `subject` is given in clear and kept as its keyed hash."""

    @abstractmethod
    def audit(self) -> list[AuditEntry]:
        """Returns the audit trail.

        Raises:
            GalleryError: If a line was changed, removed or put in between: the chain of hashes says so.
        """

    @abstractmethod
    def replace_all(
        self, identity: GalleryIdentity, enrolments: Sequence[Enrolment], *, actor: str, action: str
    ) -> None:
        """Puts other vectors in the place of all, as of another model.

        Documents made of the old ones go, too; API keys and reviews stay (`KEPT_DOCUMENTS`).
        """

    @abstractmethod
    def size(self) -> int:
        """Returns how many bytes the gallery takes."""

    @abstractmethod
    def close(self) -> None:
        """Gives up files and connections."""

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

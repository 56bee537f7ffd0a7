"""Several data sets at once, so that they become one store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args, get_type_hints

import anylead.sources
from anylead.config import from_plain, read_yaml
from anylead.errors import ConfigError, RecordFileError
from anylead.record import Record
from anylead.sources.base import Labels, RecordRef, Source
from anylead.sources.checksums import scan_checked
from anylead.sources.synthetic import Synthetic


@dataclass(frozen=True, kw_only=True)
class MixedPart:
    """One data set among several."""

    source: str
    """What it is: ``ptb-xl``, ``files``, ..."""
    path: Path | None = None
    """Its folder, from the folder of the whole; none for synthetic patients."""
    name: str = ""
    """What the ids of its recordings begin with; the source where it is empty."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the source."""

    @property
    def prefix(self) -> str:
        """What the ids of its recordings begin with."""
        return self.name or self.source

    def make(self) -> Source:
        """Returns the data set.

        Raises:
            ConfigError: If there is no such source, it has no such option, or it needs a folder.
        """
        known = anylead.sources.SOURCES  # this file is one of them, so the names come late
        allowed = sorted(set(known) - {Mixed.name})
        if self.source not in allowed:
            raise ConfigError(
                f"mixed: there is no source {self.source!r} for a part; accepted are {', '.join(allowed)}."
            )
        made = from_plain(known[self.source], dict(self.options), where=f"mixed: part {self.prefix}")
        if self.path is None and not isinstance(made, Synthetic):
            raise ConfigError(f"mixed: part {self.prefix} has no path; give the folder of its recordings.")
        return made


@dataclass(frozen=True, kw_only=True)
class Mixed(Source):
    """Several data sets; the id of a recording is that of its part behind the part's name: ``ptb-xl/17``.

    Whatever a part says of its recordings stays: patient, labels, fold, checksums. A person whom two parts
    name alike, such as parts of one family or two folders of files, is one person.

    Raises:
        ConfigError: If a part has no such source or option, needs a folder, or two have one name.
    """

    name: ClassVar[str] = "mixed"
    title: ClassVar[str] = "Several data sets in one store"
    url: ClassVar[str] = ""
    licence: ClassVar[str] = "Those of its parts."
    citation: ClassVar[str] = "Those of its parts."
    patient_ids: ClassVar[Literal["known", "unknown"]] = "unknown"
    labelled: ClassVar[bool] = False

    parts: tuple[MixedPart, ...] = ()
    """In the order in which their recordings stand in the store."""

    def __post_init__(self) -> None:
        names = [part.prefix for part in self.parts]
        wrong = [name for name in names if names.count(name) > 1 or "/" in name]
        if wrong:
            raise ConfigError(
                f"mixed: {wrong[0]!r} cannot name a part; give every part a name of its own, without '/'."
            )
        sources = list(self._sources.values())
        if sources:
            # What the class leaves to its parts, they say here.
            object.__setattr__(self, "licence", _joined({one.name: one.licence for one in sources}))
            object.__setattr__(self, "citation", _joined({one.name: one.citation for one in sources}))
            object.__setattr__(self, "labelled", all(one.labelled for one in sources))
            known = all(one.patient_ids == "known" for one in sources)
            object.__setattr__(self, "patient_ids", "known" if known else "unknown")

    @classmethod
    def read(cls, path: Path) -> "Mixed":
        """Reads the parts from a YAML file: ``parts``, a list of ``source``, ``path``, ``name`` and options.

        Paths among the options go from its folder, too.

        Raises:
            ConfigError: If the file cannot be read, or a part cannot be understood.
        """
        listed = read_yaml(path).get("parts")
        if not isinstance(listed, list) or not all(
            isinstance(one, dict) and "source" in one for one in listed
        ):
            raise ConfigError(
                f"{path}: a list 'parts' is needed, each with source, path and the options of the source."
            )
        own = ("source", "path", "name")
        return from_plain(
            cls,
            {
                "parts": [
                    {key: one[key] for key in own if key in one}
                    | {"options": _options(one, own, path.parent)}
                    for one in listed
                ]
            },
            where=str(path),
        )

    def scan(self, root: Path) -> Sequence[RecordRef]:
        """Lists the recordings of each part, with the checksums it publishes; see `Source.scan`.

        Args:
            root: From which the paths of the parts go.

        Raises:
            RecordFileError: If there is no part, or one is not there or not as it should be.
        """
        if not self.parts:
            raise RecordFileError(
                f"{root}: there are no parts; name the sources and give the folder of each."
            )
        for part in self.parts:
            if part.path is not None and not (root / part.path).is_dir():
                raise RecordFileError(
                    f"{root / part.path}: there is no such folder; give that of the part {part.prefix}."
                )
        return [
            replace(ref, record_id=f"{part.prefix}/{ref.record_id}")
            for part in self.parts
            for ref in scan_checked(self._sources[part.prefix], root / (part.path or "."))
        ]

    def folders(self, root: Path) -> Sequence[Path]:
        """Returns those of the parts that have a folder."""
        return [
            place
            for part in self.parts
            if part.path is not None
            for place in self._sources[part.prefix].folders(root / part.path)
        ]

    def part(self, ref: RecordRef) -> Source:
        """Returns the data set of a recording."""
        return self._sources[ref.record_id.partition("/")[0]]

    def patient_known(self, record_id: str, patient_id: str) -> bool:
        """Says whether the part of a recording knows its patient; see `Source.patient_known`."""
        name, _, inner = record_id.partition("/")
        return self._sources[name].patient_known(inner, patient_id)

    def load(self, ref: RecordRef) -> Record:
        """Reads one recording as its part does; see `Source.load`."""
        return replace(self.part(ref).load(_inner(ref)), record_id=ref.record_id)

    def labels(self, ref: RecordRef) -> Labels:
        """Returns the findings of one recording as its part does."""
        return self.part(ref).labels(_inner(ref))

    @cached_property
    def _sources(self) -> dict[str, Source]:
        return {part.prefix: part.make() for part in self.parts}


def _options(given: Mapping[str, Any], own: Sequence[str], folder: Path) -> dict[str, Any]:
    """Returns the options of a part's source; where one is a path, it goes from the folder."""
    source = anylead.sources.SOURCES.get(given["source"])
    hints = get_type_hints(source) if source else {}
    paths = {name for name, hint in hints.items() if Path in get_args(hint)}
    return {
        name: str(folder / value) if name in paths and isinstance(value, str) else value
        for name, value in given.items()
        if name not in own
    }


def _inner(ref: RecordRef) -> RecordRef:
    return replace(ref, record_id=ref.record_id.partition("/")[2])


def _joined(said: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in said.items())

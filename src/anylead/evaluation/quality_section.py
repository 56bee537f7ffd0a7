"""What is wrong with the recordings of a store, and how a report tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anylead.evaluation.figures import Figure
from anylead.evaluation.report import Section, Table

FAULTS: Mapping[str, str] = {
    "missing": "samples are missing",
    "flat": "a lead stands still",
    "saturated": "a lead stands at the end of its range",
    "clipped": "peaks are cut off at one height",
    "powerline": "hum of the mains, 50 or 60 Hz",
    "wander": "the baseline wanders",
    "noise": "noise between the complexes",
    "einthoven": "limb leads do not go together: one has another's name or gain",
    "reversed": "left and right arm electrodes look exchanged",
    "duplicate": "holds the same seconds as an earlier recording",
}
"""Kind of fault -> what it means, in the order in which they are told."""

_UNITS = {"powerline": "of a lead's power", "wander": "mV", "noise": "mV", "einthoven": "of the limb leads"}
_UNITS |= dict.fromkeys(("missing", "flat", "saturated"), "of a lead's samples") | {"clipped": "mV"}
_SHARES = ("missing", "flat", "saturated", "powerline", "einthoven")


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How one measure is spread over the recordings in which it can be told."""

    known: int
    """Number of these recordings."""
    median: float
    q95: float
    """95 % of the recordings are not above it."""
    largest: float


@dataclass(frozen=True, kw_only=True)
class QualityResult:
    """What was found."""

    recordings: int
    faulty: int
    """Recordings with one fault at least."""
    counts: Mapping[str, int]
    """Kind of fault -> recordings; a recording may have several."""
    untold: Mapping[str, int]
    """Kind of fault -> recordings in which it cannot be told."""
    spreads: Mapping[str, Spread]
    """Measure -> spread of the largest value over the leads."""
    limits: Mapping[str, float]
    near_duplicates: bool
    """Whether changed copies were looked for, and not only recordings with equal samples."""
    copies: Sequence[tuple[str, str]]
    """Recording, and the earlier one it is a copy of; the first fifty."""
    partly_compared: int = 0
    """Recordings of which only the beginning was compared with others."""

    @property
    def headline(self) -> str:
        """One sentence: how many recordings, how many with each fault."""
        told = [f"{kind} {count}" for kind, count in self.counts.items() if count]
        listed = f": {', '.join(told)}" if told else ""
        return f"{self.faulty} of {self.recordings} recordings have a fault{listed}."


def quality_sections(
    result: QualityResult, worst: Sequence[Figure], *, seconds: float
) -> tuple[Section, ...]:
    """Lays the findings out.

    Args:
        result: What was found.
        worst: The recordings drawn.
        seconds: Length of a drawing.
    """
    tables = [_counts(result)]
    if result.copies:
        tables.append(_copies(result))
    return (
        Section(title="Faults", notes=_notes(result), tables=tuple(tables)),
        Section(
            title="Measures",
            notes=(
                "Of what is measured lead by lead, the value of a recording is that of its worst lead. "
                "From the limit on a recording has the fault; the limits are ours and no clinical ones.",
            ),
            tables=(_measures(result),),
        ),
        *((_drawings(worst, seconds),) if worst else ()),
    )


def amount(kind: str, value: float) -> str:
    """Returns the value of a measure with its unit: ``0.31 mV``, ``12 % of a lead's samples``."""
    number = f"{100 * value:.2g} %" if kind in _SHARES and value < 1 else f"{value:.2g}"
    number = "100 %" if kind in _SHARES and value >= 0.995 else number
    return f"{number} {_UNITS[kind]}"


def _notes(result: QualityResult) -> tuple[str, ...]:
    notes = [
        "A recording may have several faults. Nothing was changed or left out: the table tells what to look "
        "at. Faults of reading (a lead that stood still or on a rail before the preparation changed the "
        "rate) are taken over from the index.",
        "Exchanged arms are told from the heart's directions. A heart may point that way by itself, so some "
        "are false; other exchanges (left arm and left leg, chest leads) are not found. Einthoven's law "
        "finds leads with another's name or gain; it holds under any exchange of limb electrodes.",
    ]
    if not result.near_duplicates:
        notes.append(
            "Of copies, only those with equal samples were looked for, because there are many recordings; "
            "--near-duplicates with a larger number looks for changed ones, too."
        )
    if result.partly_compared:
        notes.append(
            f"Of {result.partly_compared} long recordings only the beginning was compared with others."
        )
    return tuple(notes)


def _counts(result: QualityResult) -> Table:
    rows = [
        (
            kind,
            meaning,
            str(result.counts[kind]),
            f"{100 * result.counts[kind] / result.recordings:.3g} %",
            str(result.untold.get(kind, 0)),
        )
        for kind, meaning in FAULTS.items()
    ]
    columns = ("fault", "what it is", "recordings", "share", "cannot be told")
    return Table(caption="Recordings with each fault", columns=columns, rows=tuple(rows))


def _measures(result: QualityResult) -> Table:
    rows = [
        (
            kind,
            str(spread.known),
            *(amount(kind, value) if spread.known else "-" for value in (spread.median, spread.q95)),
            amount(kind, spread.largest) if spread.known else "-",
            amount(kind, result.limits[kind]) if kind in result.limits else "any",
        )
        for kind, spread in result.spreads.items()
    ]
    return Table(
        caption="Spread over the recordings",
        columns=("measure", "recordings", "median", "95 % are below", "largest", "fault from"),
        rows=tuple(rows),
    )


def _copies(result: QualityResult) -> Table:
    shown, total = len(result.copies), result.counts["duplicate"]
    return Table(
        caption="Copies" if shown == total else f"Copies, the first {shown} of {total}",
        columns=("recording", "copy of"),
        rows=tuple(result.copies),
        folded=shown > 10,
    )


def _drawings(worst: Sequence[Figure], seconds: float) -> Section:
    return Section(
        title="The worst recordings" if len(worst) > 1 else "The worst recording",
        notes=(
            "The faults take turns, each with its worst recording not yet shown, so that a common fault does "
            f"not hide a rare one. {seconds:g} seconds of every lead, where it is worst within the first "
            "minute; 25 mm/s and 10 mm/mV. Recordings that are only copies are not drawn.",
        ),
        figures=tuple(worst),
    )

"""quality: what is wrong with the recordings of a store, as a table and as a page."""

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float32
from tqdm import tqdm

from anylead.config import to_plain
from anylead.errors import ConfigError
from anylead.evaluation.figures import Figure
from anylead.evaluation.quality_section import FAULTS, QualityResult, Spread, amount, quality_sections
from anylead.evaluation.report import Report, write_report
from anylead.provenance import environment
from anylead.signal.near_duplicates import find_near_duplicates
from anylead.signal.recording_quality import (
    QualityLimits,
    RecordingQuality,
    mean_quality,
    recording_quality,
)
from anylead.signal.signatures import LOWEST_RATE_HZ, Signature, nothing_to_compare, signature
from anylead.store import Store
from anylead.store.addresses import locate
from anylead.store.quality_table import COLUMNS, QUALITY_SCHEMA, write_quality
from anylead.workflows.light_drawing import lighten
from anylead.workflows.view import SHORT_S, draw

PART_S = 60.0
"""Longer recordings are read and measured in parts of equal length, at most this."""
DRAWN = 50
"""Recordings on the page."""
_FROM_READING = ("flat", "saturated")
"""Flags of the index that are faults: they were found before the change of rate, which hides them."""
_COPIES_SHOWN = 50


@dataclass(frozen=True, kw_only=True)
class QualityConfig:
    """Configuration of `quality`.

    Raises:
        ConfigError: If the number of recordings is negative.
    """

    store: Path
    """The store to measure; ``quality.parquet`` is written into it."""
    out: Path | None = None
    """Folder for report.html and report.json; None makes STORE-quality beside the store."""
    near_duplicates: int = 5000
    """Look for changed copies in stores of up to so many recordings: memory grows with their number, time
    with its square. In larger stores only equal samples are found."""
    limits: QualityLimits = field(default_factory=QualityLimits)
    """From where on a measure is a fault."""
    progress: bool = False
    """Show progress bars."""

    def __post_init__(self) -> None:
        if self.near_duplicates < 0:
            raise ConfigError(
                f"quality: near_duplicates is {self.near_duplicates}; give the largest number of recordings "
                "to compare, or 0 for none."
            )

    @property
    def page(self) -> Path:
        """The page that is written."""
        return (self.out or self.store.parent / f"{self.store.name}-quality") / "report.html"


@dataclass(kw_only=True)
class _Findings:
    """What is kept while the recordings go by: some tens of bytes each, and the worst of each fault."""

    values: Float32[np.ndarray, "recordings measures"]
    faults: list[tuple[str, ...]] = field(default_factory=list)
    worst: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    """Kind of fault -> heap of (times the limit, minus the row)."""
    signatures: list[Signature] = field(default_factory=list)
    partly_compared: int = 0

    def add(self, row: int, quality: RecordingQuality, faults: Mapping[str, float]) -> None:
        self.values[row] = [quality.worst()[measure] for measure in COLUMNS]
        self.faults.append(tuple(faults))
        for kind, times in _by_kind(faults).items():
            heapq.heappush(self.worst[kind], (times, -row))
            if len(self.worst[kind]) > DRAWN:
                heapq.heappop(self.worst[kind])


def quality(config: QualityConfig) -> QualityResult:
    """Measures every recording of a store, writes ``quality.parquet`` beside its index, and a page.

    One recording, or one minute of a long one, is in memory at a time.

    Args:
        config: What to measure, and where to write.

    Raises:
        ConfigError: If the store is elsewhere.
        StoreError: If the store cannot be read.
        FileError: If the table or the page cannot be written.
    """
    if isinstance(locate(config.store), str):
        raise ConfigError(
            f"quality: {locate(config.store)} is elsewhere and the measures are written beside the index; "
            "copy the store to this machine and give its folder."
        )
    store = Store.open(config.store)
    near = len(store) <= config.near_duplicates
    findings = _measure(store, config, near=near)
    originals = _originals(store, findings.signatures if near else None)
    write_quality(store, _table(store, findings, originals))
    result = _result(store, config, findings, originals, near=near)
    drawn = _drawings(store, config, _take_turns(findings.worst))
    report = Report(
        title=f"Quality of the recordings of {config.store.name}",
        summary=(result.headline,),
        sections=quality_sections(result, drawn, seconds=SHORT_S),
        provenance={
            "config": to_plain(config),
            "store": {str(store.path): store.manifest.fingerprint},
            "environment": environment(),
        },
        results=(result,),
    )
    write_report(report, config.page.parent)
    return result


def _measure(store: Store, config: QualityConfig, *, near: bool) -> _Findings:
    findings = _Findings(values=np.full((len(store), len(COLUMNS)), np.nan, dtype=np.float32))
    for row in tqdm(range(len(store)), unit="rec", desc="quality", disable=not config.progress):
        measured = _recording(store, row)
        findings.add(row, measured, _faults(store, row, measured, config.limits))
        if near:
            findings.signatures.append(_signature(store, row))
            findings.partly_compared += _seconds(store, row) > PART_S
    return findings


def _recording(store: Store, row: int) -> RecordingQuality:
    rate_hz, samples = store.column("sampling_rate_hz")[row], store.column("samples")[row]
    parts = int(np.ceil(samples / (PART_S * rate_hz)))
    edges = np.linspace(0, samples, parts + 1).astype(int).tolist()
    return mean_quality(
        [
            recording_quality(store.signal(row, start, stop - start), leads=store.leads[row], rate_hz=rate_hz)
            for start, stop in itertools.pairwise(edges)
        ]
    )


def _faults(store: Store, row: int, measured: RecordingQuality, limits: QualityLimits) -> dict[str, float]:
    """Returns the faults measured, and those that reading had found already."""
    flags = [flag for flag in store.column("flags")[row] if flag.partition(":")[0] in _FROM_READING]
    return dict.fromkeys(flags, 1.0) | measured.faults(store.leads[row], limits)


def _signature(store: Store, row: int) -> Signature:
    rate_hz = store.column("sampling_rate_hz")[row]
    if rate_hz < LOWEST_RATE_HZ:
        return nothing_to_compare()
    length = min(store.column("samples")[row], round(PART_S * rate_hz))
    return signature(store.signal(row, 0, length), store.leads[row], rate_hz=rate_hz)


def _originals(store: Store, signatures: Sequence[Signature] | None) -> dict[int, int]:
    """Returns the row of each copy -> the first row that holds the same seconds."""
    hashes = store.column("hash")
    found: dict[int, int] = {}
    if signatures is not None:
        for match in find_near_duplicates(signatures, hashes=hashes):
            found.setdefault(match.b, match.a)
        return found
    first: dict[str, int] = {}
    for row, digest in enumerate(hashes):
        if first.setdefault(digest, row) != row:
            found[row] = first[digest]
    return found


def _table(store: Store, findings: _Findings, originals: Mapping[int, int]) -> pa.Table:
    names = store.column("record_id")
    faults = [
        [*found, *(("duplicate",) if row in originals else ())] for row, found in enumerate(findings.faults)
    ]
    columns = {
        "record_id": names,
        **{
            column: pa.array(findings.values[:, place], from_pandas=True)
            for place, column in enumerate(COLUMNS.values())
        },
        "duplicate_of": [names[originals[row]] if row in originals else None for row in range(len(names))],
        "faults": faults,
    }
    return pa.table(columns, schema=QUALITY_SCHEMA)


def _result(
    store: Store, config: QualityConfig, findings: _Findings, originals: Mapping[int, int], *, near: bool
) -> QualityResult:
    counts = Counter({"duplicate": len(originals)})
    for found in findings.faults:
        counts.update({name.partition(":")[0] for name in found})
    unknown = dict(zip(COLUMNS, np.isnan(findings.values).sum(axis=0).tolist(), strict=True))
    unknown["reversed"] = unknown.pop("arm_signs")
    names = store.column("record_id")
    return QualityResult(
        recordings=len(store),
        faulty=sum(bool(found) or row in originals for row, found in enumerate(findings.faults)),
        counts={kind: counts[kind] for kind in FAULTS},
        # A lead that is not clipped has no height of clipping: that is told, not unknown.
        untold={kind: number for kind, number in unknown.items() if kind != "clipped"},
        spreads={
            measure: _spread(findings.values[:, place])
            for place, measure in enumerate(COLUMNS)
            if measure != "arm_signs"
        },
        limits=to_plain(config.limits),
        near_duplicates=near,
        copies=[(names[row], names[first]) for row, first in sorted(originals.items())[:_COPIES_SHOWN]],
        partly_compared=findings.partly_compared,
    )


def _spread(values: Float32[np.ndarray, "recordings"]) -> Spread:
    known = values[~np.isnan(values)]
    if known.size == 0:
        return Spread(known=0, median=0.0, q95=0.0, largest=0.0)
    median, q95 = np.quantile(known, (0.5, 0.95)).tolist()
    return Spread(known=int(known.size), median=median, q95=q95, largest=float(known.max()))


def _take_turns(worst: Mapping[str, Sequence[tuple[float, int]]]) -> list[int]:
    """Returns the rows to draw: the worst of each fault, then the second of each, and so on."""
    queues = [[-row for _, row in sorted(worst[kind], reverse=True)] for kind in FAULTS if kind in worst]
    longest = max(map(len, queues), default=0)
    turns = (queue[place] for place in range(longest) for queue in queues if place < len(queue))
    return list(dict.fromkeys(turns))[:DRAWN]


def _drawings(store: Store, config: QualityConfig, rows: Sequence[int]) -> list[Figure]:
    bar = tqdm(rows, unit="rec", desc="drawing", disable=not config.progress)
    return [_drawing(store, row, config.limits) for row in bar]


def _drawing(store: Store, row: int, limits: QualityLimits) -> Figure:
    record = store.record(row)
    measured = _recording(store, row)
    faults = _faults(store, row, measured, limits)
    reason = f"{record.record_id}: {'; '.join(_reasons(faults, measured, record.leads))}."
    start_s = _worst_start_s(store, row, faults, limits)
    svg = lighten(draw(record, start_s=start_s, seconds=SHORT_S).to_svg())
    return Figure(caption=reason, svg=svg, description=f"ECG of {reason}", wide=True)


def _reasons(faults: Mapping[str, float], measured: RecordingQuality, leads: Sequence[str]) -> list[str]:
    """Returns what is wrong in words, the worst first: ``the baseline wanders (V1, V2; 0.52 mV)``."""
    where = defaultdict(list)
    for fault in faults:
        kind, _, lead = fault.partition(":")
        where[kind].append(lead)
    by_kind = _by_kind(faults)
    return [
        f"{FAULTS[kind]} ({_evidence(kind, where[kind], measured, leads)})"
        for kind in sorted(by_kind, key=lambda kind: -by_kind[kind])
    ]


def _evidence(kind: str, where: Sequence[str], measured: RecordingQuality, leads: Sequence[str]) -> str:
    if kind == "reversed":
        return f"{measured.arm_signs} of 4 signs"
    if kind == "einthoven":
        return amount(kind, measured.einthoven)
    named = "all leads" if len(where) == len(leads) > 1 else ", ".join(where)
    values = [measured.of_leads[kind][leads.index(lead)] for lead in where if lead in leads]
    known = [value for value in values if not np.isnan(value)]
    return f"{named}; {'up to ' if len(known) > 1 else ''}{amount(kind, max(known))}" if known else named


def _worst_start_s(store: Store, row: int, faults: Mapping[str, float], limits: QualityLimits) -> float:
    """Returns where within the first minute the recording's faults are largest."""
    rate_hz = store.column("sampling_rate_hz")[row]
    last_s = min(_seconds(store, row), PART_S) - SHORT_S
    starts_s: list[float] = [*np.arange(0.0, max(last_s, 0.0), SHORT_S).tolist(), max(last_s, 0.0)]

    def size(start_s: float) -> float:
        first = round(start_s * rate_hz)
        length = min(round(SHORT_S * rate_hz), store.column("samples")[row] - first)
        part = recording_quality(
            store.signal(row, first, length), leads=store.leads[row], rate_hz=rate_hz
        ).faults(store.leads[row], limits)
        return float(sum(times for kind, times in _by_kind(part).items() if kind in _by_kind(faults)))

    return max(starts_s, key=size)


def _by_kind(faults: Mapping[str, float]) -> dict[str, float]:
    """Returns kind -> how many times the limit its worst lead is."""
    result: dict[str, float] = {}
    for fault, times in faults.items():
        kind = fault.partition(":")[0]
        result[kind] = max(times, result.get(kind, 0.0))
    return result


def _seconds(store: Store, row: int) -> float:
    return float(store.column("samples")[row] / store.column("sampling_rate_hz")[row])

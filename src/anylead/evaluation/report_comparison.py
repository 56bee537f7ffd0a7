"""All that is found when two reports are compared; what they published, where nothing can be paired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anylead.evaluation.comparison import Pair, PairedPart
from anylead.evaluation.results import Interval

_METRICS = ("macro_auroc", "macro_auprc", "rank1")


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two reports."""

    folder: str
    judged: str | None
    """Name of the system the report is about; None where it does not say."""


@dataclass(frozen=True, kw_only=True)
class PublishedPair:
    """What both reports say of the same thing, on recordings that may differ."""

    protocol: str
    condition: str
    pair: Pair
    metric: str
    subset: str
    """Of probes, for identification."""
    a: Interval
    b: Interval

    @property
    def apart(self) -> bool | None:
        """Whether the intervals have no value in common; None where one is missing."""
        ends = (self.a.low, self.a.high, self.b.low, self.b.high)
        if any(end is None for end in ends):
            return None
        low_a, high_a, low_b, high_b = (float(end) for end in ends if end is not None)
        return high_a < low_b or high_b < low_a


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The answer to which of two reports is better, where, and with what certainty."""

    a: Side
    b: Side
    main: tuple[Pair, ...]
    """Pairs that the answer is about; others are there to show that both reports were made alike."""
    paired: PairedPart = field(default_factory=PairedPart)
    published: tuple[PublishedPair, ...] = ()
    """Only of what could not be paired."""
    notes: tuple[str, ...] = ()
    """Why something is not paired or missing."""
    summary: tuple[str, ...] = ()
    """The answer in sentences."""
    resamples: int
    seed: int


def published_pairs(
    a: Sequence[Mapping[str, Any]],
    b: Sequence[Mapping[str, Any]],
    pairs: Sequence[Pair],
    paired: PairedPart,
) -> list[PublishedPair]:
    """Returns the intervals that both reports published of what could not be paired.

    Args:
        a: Results in the first report: mappings with ``system``, ``condition`` or ``lead_set``, perhaps
            ``protocol`` and ``subset``, and metrics as intervals. What has another form is left out.
        b: Results in the second.
        pairs: Which systems.
        paired: What was paired: where something was, only what was refused is returned.
    """
    left, right = (_published(results) for results in (a, b))
    refused = {(one.a.system, one.a.protocol, one.a.condition) for one in paired.refused}
    found = []
    for pair in pairs:
        for (system, protocol, condition, subset, metric), interval in left.items():
            there = right.get((pair.b, protocol, condition, subset, metric))
            if system != pair.a or there is None:
                continue
            if paired.differences and (system, protocol, condition) not in refused:
                continue
            found.append(
                PublishedPair(
                    protocol=protocol,
                    condition=condition,
                    pair=pair,
                    metric=metric,
                    subset=subset,
                    a=interval,
                    b=there,
                )
            )
    return found


def _published(results: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, str, str, str], Interval]:
    found = {}
    for one in results:
        condition = one.get("condition") or one.get("lead_set")
        if not isinstance(one.get("system"), str) or not isinstance(condition, str):
            continue
        for metric in _METRICS:
            interval = _interval(one.get(metric))
            if interval is not None:
                where = (one["system"], one.get("protocol") or "", condition, one.get("subset") or "", metric)
                found[where] = interval
    return found


def _interval(plain: object) -> Interval | None:
    """Reads what `to_plain` made of an interval, of this version or another."""
    if not isinstance(plain, Mapping):
        return None
    numbers = [plain.get(name) for name in ("value", "low", "high")]
    value, low, high = (float(n) if isinstance(n, int | float) else None for n in numbers)
    return None if value is None else Interval(value=value, low=low, high=high)

"""Recordings that are the same seconds of one heart, whatever was done to gain, offset, rate or leads.

Duplicates across data sets are rarely byte for byte the same: one is resampled, another cropped, a third has
its own gains or only some leads. The search goes in two steps: snippets around complexes find candidates
(`snippets`), and a comparison over the whole time two recordings share decides (`same_seconds`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32

from anylead.errors import InputError
from anylead.signal.same_seconds import Comparison, compare
from anylead.signal.signatures import RATE_HZ, Signature, signature
from anylead.signal.snippets import candidates

__all__ = ["Match", "Signature", "equal_samples", "find_near_duplicates", "signature"]

_LAGS_COMPARED = 3
_LAGS_APART = 5
"""Samples between lags that are compared apart; `compare` looks around each."""
_EQUAL_MV = 0.0011
"""Two roundings to 1 µV."""


@dataclass(frozen=True, kw_only=True)
class Match:
    """Two recordings that hold the same seconds, and the evidence."""

    a: int
    b: int
    """Numbers of the recordings, a < b."""
    kind: Literal["exact", "near"]
    """``exact``: the hashes, and so all samples, are equal."""
    correlation: float
    """Lower quartile of `correlations`; 1 for equal samples."""
    correlations: Mapping[str, float]
    """Of each common lead over the overlap, 2 to 25 Hz; empty where equal samples hold no heart beat."""
    residual: float | None
    """Correlation of what is not explained by the recordings' own other beats (`residual_correlation`); None
    where equal samples hold too little to tell."""
    lag_s: float
    """What stands at t in b stands at t + lag_s in a."""
    overlap_s: float
    """Time that was compared; 0 where equal samples hold no heart beat."""

    @property
    def leads(self) -> tuple[str, ...]:
        """Leads that were compared."""
        return tuple(self.correlations)


def find_near_duplicates(
    signatures: Sequence[Signature], *, hashes: Sequence[str] | None = None
) -> list[Match]:
    """Finds the recordings that hold the same seconds.

    At least 2.5 s must be shared, with a complex that has 2.2 s after it: 3.5 s are enough at usual rates.
    Cost grows with the square of the number of recordings: 5,000 of ten seconds and 12 leads take about a
    minute on one core.

    Args:
        signatures: Of all recordings, by `signature`.
        hashes: Of their samples; recordings with equal ones are exact duplicates. None where not known.

    Returns:
        Pairs, ordered by their numbers.

    Raises:
        InputError: If there is not one hash for each signature.
    """
    if hashes is not None and len(hashes) != len(signatures):
        raise InputError(
            f"near duplicates: got {len(hashes)} hashes for {len(signatures)} signatures; give one for each."
        )
    found = {pair: _exact(signatures, *pair) for pair in _equal_pairs(hashes or ())}
    for pair, lags in _lags(signatures).items():
        if pair not in found:
            matches = [_near(signatures, *pair, lag) for lag in lags]
            known = [match for match in matches if match is not None]
            if known:
                found[pair] = max(known, key=lambda match: (match.overlap_s, match.correlation))
    return [found[pair] for pair in sorted(found)]


def equal_samples(
    a: Float32[np.ndarray, "leads_a samples_a"],
    b: Float32[np.ndarray, "leads_b samples_b"],
    leads_a: Sequence[str],
    leads_b: Sequence[str],
    *,
    rate_hz: float,
    lag_s: float,
) -> bool:
    """Tells whether two recordings hold the same samples where they overlap, in all leads they share.

    Args:
        a: Millivolts, to 1 µV.
        b: Millivolts at the same rate.
        leads_a: Names of a's rows.
        leads_b: Names of b's rows.
        rate_hz: Samples per second.
        lag_s: What stands at t in b stands at t + lag_s in a, to half a sample.
    """
    place = round(lag_s * rate_hz)
    start, stop = max(0, place), min(a.shape[1], b.shape[1] + place)
    common = [name for name in leads_a if name in leads_b]
    if not common or stop <= start:
        return False
    one = a[[list(leads_a).index(name) for name in common], start:stop]
    other = b[[list(leads_b).index(name) for name in common], start - place : stop - place]
    return bool(np.allclose(one, other, rtol=0.0, atol=_EQUAL_MV, equal_nan=True))


def _equal_pairs(hashes: Sequence[str]) -> list[tuple[int, int]]:
    owners: dict[str, list[int]] = defaultdict(list)
    for number, digest in enumerate(hashes):
        owners[digest].append(number)
    return [(a, b) for same in owners.values() for k, a in enumerate(same) for b in same[k + 1 :]]


def _lags(signatures: Sequence[Signature]) -> dict[tuple[int, int], list[int]]:
    """Returns the likeliest lags of every candidate pair, in samples of the traces."""
    scores: dict[tuple[int, int], dict[int, float]] = defaultdict(dict)
    for some in candidates(signatures):
        for a, b, lag, score in zip(
            some.a.tolist(), some.b.tolist(), some.lag.tolist(), some.score.tolist(), strict=True
        ):
            of_pair = scores[a, b]
            of_pair[lag] = max(score, of_pair.get(lag, score))
    return {pair: _apart(of_pair) for pair, of_pair in scores.items()}


def _apart(scores: Mapping[int, float]) -> list[int]:
    chosen: list[int] = []
    for lag in sorted(scores, key=lambda lag: -scores[lag]):
        if len(chosen) < _LAGS_COMPARED and all(abs(lag - other) >= _LAGS_APART for other in chosen):
            chosen.append(lag)
    return chosen


def _near(signatures: Sequence[Signature], a: int, b: int, lag: int) -> Match | None:
    start_s = signatures[a].start_s - signatures[b].start_s
    comparison = compare(signatures[a], signatures[b], lag_s=lag / RATE_HZ + start_s)
    return _match(a, b, "near", comparison) if comparison is not None and comparison.same else None


def _exact(signatures: Sequence[Signature], a: int, b: int) -> Match:
    comparison = compare(signatures[a], signatures[b], lag_s=0.0)
    if comparison is not None:
        return _match(a, b, "exact", comparison)
    return Match(
        a=a, b=b, kind="exact", correlation=1.0, correlations={}, residual=None, lag_s=0.0, overlap_s=0.0
    )


def _match(a: int, b: int, kind: Literal["exact", "near"], comparison: Comparison) -> Match:
    return Match(
        a=a,
        b=b,
        kind=kind,
        correlation=comparison.correlation,
        correlations=comparison.correlations,
        residual=comparison.residual if np.isfinite(comparison.residual) else None,
        lag_s=comparison.lag_s,
        overlap_s=comparison.overlap_s,
    )

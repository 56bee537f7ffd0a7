"""Whether two recordings hold the same seconds, or only the same kind of beat at the same pace."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Float64
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import shift

from anylead.signal.signatures import MINIMUM_S, RATE_HZ, Signature

LONG_S = 8.0
"""From this overlap on, the timing of the beats alone is rarely met by chance."""
_CORRELATION = (0.99, 0.93)
_CORRELATION_OF_FEW = (0.99, 0.95)
"""Where fewer than three leads are compared."""
_RESIDUAL = (0.9, 0.1)
"""Least values, over `MINIMUM_S` and over `LONG_S`; between them on a straight line."""

_HOPELESS = 0.15
"""A sample beside the right lag costs less than this."""
_SEARCH = 4
"""Samples to either side of the expected lag that are tried."""
_WINDOW_S = 1.0
_APART_S = 0.35
"""How far a second is at least from the one that explains it."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How alike two recordings are over the time they share."""

    lag_s: float
    """What stands at t in b stands at t + lag_s in a."""
    overlap_s: float
    """Time that is compared."""
    correlations: Mapping[str, float]
    """Of each common lead, -1 to 1."""
    residual: float
    """`residual_correlation`; NaN where `correlation` is too small already, or no second explains another."""

    @property
    def correlation(self) -> float:
        """Lower quartile over the leads: a few bad leads do not decide, and a few similar ones neither."""
        return _lower_quartile(np.array(list(self.correlations.values())))

    @property
    def same(self) -> bool:
        """Whether the recordings hold the same seconds; the shorter the overlap, the more is asked for.

        Three regular beats of two people agree to 0.98 at some lag if enough recordings are compared; ten
        beats of two recordings reach 0.92 in one and the same person at most.
        """
        enough = _enough(len(self.correlations), self.overlap_s)
        return self.correlation >= enough and self.residual >= _least(_RESIDUAL, self.overlap_s)


def compare(a: Signature, b: Signature, *, lag_s: float) -> Comparison | None:
    """Compares two recordings at a lag, or up to 40 ms beside it, wherever they agree best.

    Args:
        a: One recording.
        b: The other.
        lag_s: What stands at t in b is expected at t + lag_s in a.

    Returns:
        None where they have no lead in common, share less than `MINIMUM_S`, or are nothing alike.
    """
    leads = _common_leads(a, b)
    place = round((lag_s + b.start_s - a.start_s) * RATE_HZ)
    start, stop = max(0, place), min(a.traces.shape[1], b.traces.shape[1] + place)
    if not leads or stop - start < MINIMUM_S * RATE_HZ:
        return None
    # The search needs room at both ends, one sample more for the parabola through its best place.
    room = _SEARCH + 1
    one = a.traces[[a.leads.index(name) for name in leads], start + room : stop - room].astype(np.float32)
    rows = [b.leads.index(name) for name in leads]
    wide = b.traces[rows, start - place : stop - place].astype(np.float32)
    length = one.shape[1]
    one = one - one.mean(axis=1, keepdims=True)
    near = [_correlations(one, wide[:, k : k + length]) for k in (room - 1, room, room + 1)]
    overlap_s = (stop - start) / RATE_HZ
    enough = _enough(len(leads), overlap_s)
    if max(map(_lower_quartile, near)) < enough - _HOPELESS:
        return None
    alike = np.array([_correlations(one, wide[:, k : k + length]).mean() for k in range(2 * room + 1)])
    best = int(np.argmax(alike[1:-1])) + 1
    fraction = _top(alike[best - 1 : best + 2])
    other = shift(wide, (0, -fraction), order=3, mode="nearest")[:, best : best + length]
    correlations = dict(zip(leads, map(float, _correlations(one, other)), strict=True))
    comparison = Comparison(
        lag_s=float((place - (best + fraction - room)) / RATE_HZ + a.start_s - b.start_s),
        overlap_s=overlap_s,
        correlations=correlations,
        residual=float("nan"),
    )
    if comparison.correlation < enough:
        return comparison
    return replace(comparison, residual=residual_correlation(one, other))


def residual_correlation(
    a: Float32[np.ndarray, "leads samples"], b: Float32[np.ndarray, "leads samples"]
) -> float:
    """Correlates what is left of two aligned recordings when they have been explained by themselves.

    To each second, the most similar other second of the same recording, its slope and a constant are fitted,
    at one and the same distance in both recordings; the remainders of the two are correlated, lead by lead.
    In two recordings of one regular heart they are different noise, in a copy they are the same.

    Args:
        a: Traces at `RATE_HZ`, aligned with b.
        b: Traces of the same leads.

    Returns:
        Mean over the leads; NaN where the recordings are too short to have another second.
    """
    window, apart = round(_WINDOW_S * RATE_HZ), round(_APART_S * RATE_HZ)
    spreads = [sliding_window_view(signal, window, axis=1).std(axis=2) for signal in (a, b)]
    left: list[tuple[np.ndarray, np.ndarray]] = []
    for start in range(0, a.shape[1] - window + 1, window):
        alike = _self_likeness(a, spreads[0], start) + _self_likeness(b, spreads[1], start)
        alike[max(0, start - apart + 1) : start + apart] = -np.inf
        other = int(np.argmax(alike))
        if np.isfinite(alike[other]):
            left.append((_remainder(a, start, other, window), _remainder(b, start, other, window)))
    if not left:
        return float("nan")
    first, second = (np.concatenate(parts, axis=1) for parts in zip(*left, strict=True))
    return float(_correlations(first, second).mean())


def _lower_quartile(correlations: Float64[np.ndarray, "leads"]) -> float:
    return float(np.quantile(correlations, 0.25, method="lower"))


def _enough(leads: int, overlap_s: float) -> float:
    return _least(_CORRELATION if leads >= 3 else _CORRELATION_OF_FEW, overlap_s)


def _least(ends: tuple[float, float], overlap_s: float) -> float:
    return float(np.interp(overlap_s, (MINIMUM_S, LONG_S), ends))


def _common_leads(a: Signature, b: Signature) -> tuple[str, ...]:
    """Returns the leads that both were given; where there are none, those that follow from given ones too."""
    both = tuple(name for name in a.leads if name in b.leads)
    return tuple(name for name in both if name not in a.derived and name not in b.derived) or both


def _self_likeness(
    signal: Float32[np.ndarray, "leads samples"], spread: Float32[np.ndarray, "leads places"], start: int
) -> Float32[np.ndarray, "places"]:
    """Returns the mean correlation, over leads, of one second with that at every place."""
    window = signal.shape[1] - spread.shape[1] + 1
    second = signal[:, start : start + window]
    second = second - second.mean(axis=1, keepdims=True)
    views = sliding_window_view(signal, window, axis=1)
    products = np.matmul(views, second[:, :, None])[:, :, 0]
    norm = np.float32(np.sqrt(window)) * spread * np.linalg.norm(second, axis=1, keepdims=True)
    return np.asarray((products / np.maximum(norm, np.float32(1e-6))).mean(axis=0))


def _remainder(
    signal: Float32[np.ndarray, "leads samples"], start: int, other: int, window: int
) -> Float32[np.ndarray, "leads window"]:
    """Returns what one second has that another, its slope and a constant do not explain."""
    second, like = signal[:, start : start + window], signal[:, other : other + window]
    terms = np.stack([like, np.gradient(like, axis=1), np.ones_like(like)], axis=2)
    weights = np.linalg.pinv(terms) @ second[:, :, None]
    return np.asarray(second - (terms @ weights)[:, :, 0])


def _correlations(
    a: Float32[np.ndarray, "leads samples"], b: Float32[np.ndarray, "leads samples"]
) -> Float64[np.ndarray, "leads"]:
    a = a - a.mean(axis=1, keepdims=True)
    b = b - b.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    product = (a * b).sum(axis=1)
    result: np.ndarray = np.divide(product, norm, out=np.zeros_like(product), where=norm > 0)
    return np.clip(result.astype(np.float64), -1.0, 1.0)


def _top(three: Float64[np.ndarray, "three"]) -> float:
    """Returns where a parabola through three values has its top, from the middle one, at most half a step."""
    before, top, after = three
    bend = before - 2 * top + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0

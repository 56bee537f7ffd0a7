"""Candidates for the same seconds in two recordings: snippets around complexes, compared all with all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from anylead.signal.signatures import RATE_HZ, Signature

_PREFERRED = ("II", "V2", "V5", "I", "V1", "V4", "V3", "V6", "III", "aVF", "aVR", "aVL")
_LEADS_TRIED = 2
"""A pair is looked for in this many of its common leads, so that one bad lead hides nothing."""
_BEFORE_S = 0.2
_LENGTH_S = 2.4
_STEP = 2
"""Samples of a trace to one of a snippet."""
_SNIPPET_CORRELATION = 0.9
_AROUND_S = 5.0
_AROUND = ((10, 0.75), (2, 0.87))
"""Samples of a trace to one that is looked at, coarsely first, and the correlation that must be reached."""
_BLOCK = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """Pairs of recordings, each at a lag."""

    a: Int64[np.ndarray, "pairs"]
    """Numbers of the recordings, a < b."""
    b: Int64[np.ndarray, "pairs"]
    lag: Int64[np.ndarray, "pairs"]
    """What stands at sample t of b's traces is expected at t + lag of a's."""
    score: Float32[np.ndarray, "pairs"]
    """How little it looks like chance: Fisher's z of the correlation up to `_AROUND_S` to either side, in one
    lead, times the square root of the samples."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Lead:
    """One lead of all recordings that have it: the traces one after the other, and snippets of them."""

    samples: Float32[np.ndarray, "samples"]
    start: Int64[np.ndarray, "recordings"]
    length: Int64[np.ndarray, "recordings"]
    snippets: Float32[np.ndarray, "snippets values"]
    """Of mean 0 and norm 1; those of recordings with equal leads stand together."""
    owner: Int64[np.ndarray, "snippets"]
    anchor: Float64[np.ndarray, "snippets"]


def candidates(signatures: Sequence[Signature]) -> Iterator[Candidates]:
    """Yields pairs that agree over a few seconds in one lead, lead by lead and block by block.

    A snippet begins shortly before a complex, so that a shift in time does not matter, and has mean 0 and
    norm 1, so that gain does not; the product of two is their correlation. A pair may come several times.

    Args:
        signatures: Of all recordings.
    """
    present = {name for one in signatures for name in one.leads}
    names = [name for name in _PREFERRED if name in present]
    names += sorted(present - set(names))
    given = [frozenset(one.leads) - frozenset(one.derived) for one in signatures]
    number = {leads: k for k, leads in enumerate(dict.fromkeys(given))}
    group = np.array([number[leads] for leads in given], dtype=np.int64)
    has = np.array([[name in leads for name in names] for leads in number], dtype=np.float32)
    for place, name in enumerate(names):
        # Groups whose recordings have not met in enough leads yet; where leads have gains of their own, those
        # that follow from others are none.
        wanted = has[:, :place] @ has[:, :place].T < _LEADS_TRIED
        yield from _in_lead(_gather(signatures, name, group), group, wanted)


def _gather(signatures: Sequence[Signature], lead: str, group: Int64[np.ndarray, "recordings"]) -> _Lead:
    steps = np.arange(round(_LENGTH_S * RATE_HZ / _STEP)) * _STEP - _BEFORE_S * RATE_HZ
    nothing = np.zeros(0, dtype=np.float32)
    traces = [nothing] * len(signatures)
    snippets, anchors = [np.zeros((0, steps.size), dtype=np.float32)], [np.zeros(0)]
    owners = [np.zeros(0, dtype=np.int64)]
    for number in np.argsort(group, kind="stable").tolist():
        one = signatures[number]
        if lead not in one.leads:
            continue
        row = one.leads.index(lead)
        trace, anchor = one.traces[row].astype(np.float32), one.anchors[row]
        anchor = anchor[(anchor + steps[0] >= 0) & (anchor + steps[-1] < trace.size - 1)]
        traces[number] = trace
        snippets.append(_cut(trace, anchor[:, None] + steps))
        anchors.append(anchor)
        owners.append(np.full(anchor.size, number, dtype=np.int64))
    length = np.array([trace.size for trace in traces], dtype=np.int64)
    return _Lead(
        samples=np.concatenate([nothing, *traces]),
        start=np.cumsum(length) - length,
        length=length,
        snippets=np.concatenate(snippets),
        owner=np.concatenate(owners),
        anchor=np.concatenate(anchors),
    )


def _cut(
    trace: Float32[np.ndarray, "samples"], places: Float64[np.ndarray, "snippets values"]
) -> Float32[np.ndarray, "snippets values"]:
    below = places.astype(np.int64)
    part = (places - below).astype(np.float32)
    cut = trace[below] * (1 - part) + trace[below + 1] * part
    cut -= cut.mean(axis=1, keepdims=True)
    cut /= np.maximum(np.linalg.norm(cut, axis=1, keepdims=True), np.float32(1e-6))
    return np.asarray(cut)


def _in_lead(
    lead: _Lead, group: Int64[np.ndarray, "recordings"], wanted: Bool[np.ndarray, "groups groups"]
) -> Iterator[Candidates]:
    kind = group[lead.owner]
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(lead.owner), _BLOCK)]
    for place, rows in enumerate(blocks):
        for columns in blocks[place:]:
            if not wanted[np.ix_(np.unique(kind[rows]), np.unique(kind[columns]))].any():
                continue
            scores = lead.snippets[rows] @ lead.snippets[columns].T
            x, y = np.divmod(np.flatnonzero(scores.ravel() > _SNIPPET_CORRELATION), scores.shape[1])
            x, y = x + rows.start, y + columns.start
            once = (lead.owner[x] != lead.owner[y]) & wanted[kind[x], kind[y]] & ((x < y) | (rows != columns))
            x, y = x[once], y[once]
            swapped = lead.owner[x] > lead.owner[y]
            yield _around(lead, np.where(swapped, y, x), np.where(swapped, x, y))


def _around(lead: _Lead, x: Int64[np.ndarray, "pairs"], y: Int64[np.ndarray, "pairs"]) -> Candidates:
    """Keeps the pairs of snippets whose recordings agree before and after them as well."""
    a, b = lead.owner[x], lead.owner[y]
    lag = np.rint(lead.anchor[x] - lead.anchor[y]).astype(np.int64)
    middle = np.rint(lead.anchor[y]).astype(np.int64)
    score = np.zeros(a.size, dtype=np.float32)
    keep = np.arange(a.size)
    for step, least in _AROUND:
        reach = round(_AROUND_S * RATE_HZ)
        steps = np.arange(-reach, reach + 1, step)
        correlation = np.zeros(keep.size, dtype=np.float32)
        for start in range(0, keep.size, _BLOCK):
            rows = keep[start : start + _BLOCK]
            at_b = middle[rows, None] + steps
            at_a = at_b + lag[rows, None]
            shared = (np.minimum(at_a, at_b) >= 0) & (at_a < lead.length[a[rows], None])
            shared &= at_b < lead.length[b[rows], None]
            one = _samples(lead, a[rows], at_a, shared)
            other = _samples(lead, b[rows], at_b, shared)
            norm = np.sqrt(np.square(one).sum(axis=1) * np.square(other).sum(axis=1))
            alike = (one * other).sum(axis=1) / np.maximum(norm, np.float32(1e-6))
            correlation[start : start + _BLOCK] = alike
            score[rows] = np.arctanh(np.minimum(alike, 0.9999)) * np.sqrt(shared.sum(axis=1) * step)
        keep = keep[correlation > least]
    return Candidates(a=a[keep], b=b[keep], lag=lag[keep], score=score[keep])


def _samples(
    lead: _Lead,
    recording: Int64[np.ndarray, "pairs"],
    places: Int64[np.ndarray, "pairs steps"],
    shared: Bool[np.ndarray, "pairs steps"],
) -> Float32[np.ndarray, "pairs steps"]:
    """Returns samples of one recording a row, 0 where the two share no time."""
    found = lead.samples[np.where(shared, places + lead.start[recording, None], 0)]
    return np.where(shared, found, np.float32(0))

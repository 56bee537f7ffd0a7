"""Copies are found whatever was done to them; other recordings of the same heart are not taken for copies."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anylead.errors import InputError
from anylead.leads import STANDARD_12
from anylead.seeding import generator
from anylead.signal.filters import band_pass
from anylead.signal.near_duplicates import equal_samples, find_near_duplicates
from anylead.signal.resample import resample
from anylead.signal.same_seconds import compare, residual_correlation
from anylead.signal.signatures import MINIMUM_S, RATE_HZ, signature
from anylead.sources.synthetic import Synthetic

RATE = 500.0


@pytest.fixture(scope="module")
def signals():
    """Two recordings of each of 60 patients."""
    source = Synthetic(patients=60, sessions=2, seed=3)
    return [source.load(ref).signal for ref in source.scan(Path())]


@pytest.fixture(scope="module")
def signatures(signals):
    return [signature(signal, STANDARD_12, rate_hz=RATE) for signal in signals]


def noise_like(signal, *, snr_db, seed=0):
    noise = generator(seed, "noise").standard_normal(signal.shape)
    return (noise * signal.std(axis=1, keepdims=True) * 10 ** (-snr_db / 20)).astype(np.float32)


def reduced(signal, leads):
    return signal[[STANDARD_12.index(lead) for lead in leads]]


def all_changed(signal):
    """Rate, gain of each lead, offset and wander, both ends, leads, white noise."""
    leads = ("I", "aVF", "V3")
    changed = reduced(signal + noise_like(signal, snr_db=10), leads)[:, 700:-600]
    wander = np.sin(np.arange(changed.shape[1]) / RATE * 2 * np.pi * 0.2)
    changed = changed * np.array([[0.5], [2.0], [1.3]]) + 0.8 + 0.2 * wander
    return resample(changed.astype(np.float32), from_hz=RATE, to_hz=257.0), leads, 257.0


# Name: (copy, its leads, its rate, where its first sample lies in the original).
CHANGES = {
    "nothing": lambda x: (x, STANDARD_12, RATE, 0.0),
    "gain": lambda x: (3.0 * x, STANDARD_12, RATE, 0.0),
    "gain of each lead": lambda x: (x * np.geomspace(0.3, 3, 12)[:, None], STANDARD_12, RATE, 0.0),
    "offset": lambda x: (x + 5.0, STANDARD_12, RATE, 0.0),
    "100 Hz": lambda x: (resample(x, from_hz=RATE, to_hz=100.0), STANDARD_12, 100.0, 0.0),
    "1000 Hz": lambda x: (resample(x, from_hz=RATE, to_hz=1000.0), STANDARD_12, 1000.0, 0.0),
    "360 Hz": lambda x: (resample(x, from_hz=RATE, to_hz=360.0), STANDARD_12, 360.0, 0.0),
    "cut at the start": lambda x: (x[:, 1650:], STANDARD_12, RATE, 3.3),
    "cut at the end": lambda x: (x[:, :-1500], STANDARD_12, RATE, 0.0),
    "zeros around": lambda x: (np.pad(x, ((0, 0), (750, 500))), STANDARD_12, RATE, -1.5),
    "one lead": lambda x: (reduced(x, ["V4"]), ("V4",), RATE, 0.0),
    "another order of leads": lambda x: (x[::-1].copy(), STANDARD_12[::-1], RATE, 0.0),
    "noise": lambda x: (x + noise_like(x, snr_db=10), STANDARD_12, RATE, 0.0),
    "high-pass and low-pass": lambda x: (
        band_pass(x, rate_hz=RATE, low_hz=0.5, high_hz=40.0),
        STANDARD_12,
        RATE,
        0.0,
    ),
    "all": lambda x: (*all_changed(x), 1.4),
}


def signed(signal, leads, rate_hz):
    return signature(signal.astype(np.float32), leads, rate_hz=rate_hz)


def test_every_planted_copy_is_found_and_nothing_else(signals, signatures):
    originals = {7 * number: name for number, name in enumerate(CHANGES)}
    copies = [CHANGES[name](signals[original]) for original, name in originals.items()]
    found = find_near_duplicates([*signatures, *(signed(*copy[:3]) for copy in copies)])
    assert [(match.a, match.b) for match in found] == [
        (original, len(signatures) + number) for number, original in enumerate(originals)
    ]
    for match, (_, leads, _, start_s) in zip(found, copies, strict=True):
        assert match.kind == "near"
        assert match.lag_s == pytest.approx(start_s, abs=0.005)
        assert set(match.leads) == set(leads)
        assert match.correlation > 0.95
        assert match.residual is not None
        assert match.residual > 0.3


def test_what_is_found_does_not_depend_on_the_order(signals, signatures):
    copy = signed(*CHANGES["cut at the start"](signals[0])[:3])
    (there,) = find_near_duplicates([signatures[0], signatures[1], copy])
    (back,) = find_near_duplicates([copy, signatures[1], signatures[0]])
    assert ((there.a, there.b), (back.a, back.b)) == ((0, 2), (0, 2))
    assert back.lag_s == pytest.approx(-there.lag_s, abs=1e-3)
    assert back.correlation == pytest.approx(there.correlation, abs=1e-3)


def test_limb_leads_that_follow_from_two_others_are_compared(signals):
    two = signed(reduced(signals[4], ["I", "II"]), ("I", "II"), RATE)
    other = signed(reduced(signals[4], ["aVL"]), ("aVL",), RATE)
    assert two.derived == ("III", "aVR", "aVL", "aVF")
    (match,) = find_near_duplicates([two, other])
    assert match.leads == ("aVL",)
    assert match.correlation > 0.999


@settings(max_examples=8)
@given(two=st.permutations(STANDARD_12[:6]))
def test_limb_leads_follow_from_any_two(two):
    given_two = tuple(two[:2])
    time = np.arange(2000) / RATE
    beats = np.exp(-0.5 * ((time % 0.8 - 0.4) / 0.02) ** 2)
    one = np.stack([beats, 0.3 * np.roll(beats, 40) + 0.5 * beats])
    one += 0.01 * generator(0, "limb").standard_normal(one.shape)
    limb = np.stack(
        [one[0], one[1], one[1] - one[0], -(one[0] + one[1]) / 2, one[0] - one[1] / 2, one[1] - one[0] / 2]
    )
    rows = [STANDARD_12.index(name) for name in given_two]
    made = signature(limb[rows].astype(np.float32), given_two, rate_hz=RATE)
    whole = signature(limb.astype(np.float32), STANDARD_12[:6], rate_hz=RATE)
    assert set(made.leads) == set(whole.leads)
    for name in whole.leads:
        expected = whole.traces[whole.leads.index(name)].astype(np.float64)
        np.testing.assert_allclose(made.traces[made.leads.index(name)], expected, atol=0.02)


def test_leads_with_their_own_gains_are_not_judged_by_what_follows_from_them(signals):
    changed = reduced(signals[2], ["I", "III"]) * np.array([[2.0], [0.3]])
    match = compare(
        signature(signals[2], STANDARD_12, rate_hz=RATE), signed(changed, ("I", "III"), RATE), lag_s=0.0
    )
    assert match is not None
    assert set(match.correlations) == {"I", "III"}
    assert match.same


def test_leads_with_their_own_gains_are_found_in_those_that_were_given(signals, signatures):
    """Limb leads that follow from two of other gains hide nothing, though they are looked at first."""
    changed = reduced(signals[6], ["aVR", "aVL", "V4"]) * np.array([[3.0], [0.1], [1.0]])
    copy = signed(changed, ("aVR", "aVL", "V4"), RATE)
    assert "II" in copy.derived
    (match,) = find_near_duplicates([*signatures[:12], copy])
    assert (match.a, match.b, set(match.leads)) == (6, 12, {"aVR", "aVL", "V4"})


def test_paced_at_one_rate_is_not_the_same_seconds():
    """Equal beats at equal intervals with noise of their own: the correlation alone would be fooled."""
    time = np.arange(5000) / RATE
    beat = np.exp(-0.5 * ((time % 0.8 - 0.3) / 0.02) ** 2) + 0.3 * np.exp(
        -0.5 * ((time % 0.8 - 0.6) / 0.05) ** 2
    )
    paced = np.outer(np.linspace(0.5, 1.5, 3), beat)
    first, second = (
        (paced + 0.02 * generator(seed, "paced").standard_normal(paced.shape)).astype(np.float32)
        for seed in (0, 1)
    )
    a, b, copy = (signature(x, ("I", "II", "V2"), rate_hz=RATE) for x in (first, second, 0.5 * first))
    other = compare(a, b, lag_s=0.0)
    assert other is not None
    assert other.correlation > 0.98
    assert abs(other.residual) < 0.1
    assert [(match.a, match.b) for match in find_near_duplicates([a, b, copy])] == [(0, 2)]


def test_residual_equals_a_loop_written_out():
    rng = generator(0, "residual")
    base = rng.standard_normal((2, 400))
    a = base.astype(np.float32)
    b = (base + 0.5 * rng.standard_normal((2, 400))).astype(np.float32)

    def alike(x, start, place):
        return np.mean([np.corrcoef(row[start : start + 100], row[place : place + 100])[0, 1] for row in x])

    def left(x, start, place):
        rows = []
        for row in x.astype(np.float64):
            like = row[place : place + 100]
            terms = np.column_stack([like, np.gradient(like), np.ones(100)])
            second = row[start : start + 100]
            rows.append(second - terms @ np.linalg.lstsq(terms, second, rcond=None)[0])
        return np.array(rows)

    parts_a, parts_b = [], []
    for start in range(0, 301, 100):
        places = [p for p in range(301) if abs(p - start) >= 35]
        place = max(places, key=lambda p: alike(a, start, p) + alike(b, start, p))
        parts_a.append(left(a, start, place))
        parts_b.append(left(b, start, place))
    one, other = np.concatenate(parts_a, axis=1), np.concatenate(parts_b, axis=1)
    expected = np.mean([np.corrcoef(x, y)[0, 1] for x, y in zip(one, other, strict=True)])
    assert residual_correlation(a, b) == pytest.approx(expected, abs=1e-4)


def test_residual_is_undefined_where_nothing_explains_a_second():
    flat = np.ones((1, 120), dtype=np.float32)
    assert np.isnan(residual_correlation(flat, flat))


def test_exact_duplicates_are_found_by_their_hash_even_where_no_heart_beats(signatures):
    empty = signature(np.zeros((1, 5000), dtype=np.float32), ("I",), rate_hz=RATE)
    found = find_near_duplicates(
        [signatures[0], empty, signatures[0], empty, empty], hashes=["x", "y", "x", "y", "z"]
    )
    assert [(match.a, match.b, match.kind) for match in found] == [(0, 2, "exact"), (1, 3, "exact")]
    assert (found[0].lag_s, found[0].correlation) == (pytest.approx(0.0, abs=1e-6), pytest.approx(1.0))
    assert (found[1].correlation, found[1].leads, found[1].overlap_s, found[1].residual) == (
        1.0,
        (),
        0.0,
        None,
    )


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros((2, 5000)),
        np.full((2, 5000), np.nan),
        np.tile(np.sin(np.arange(round((MINIMUM_S - 0.1) * RATE)) / 20), (2, 1)),
        np.zeros((2, 1)),
    ],
    ids=["flat", "missing", "short", "one sample"],
)
def test_nothing_to_compare_is_no_error(signal, signatures):
    made = signature(signal.astype(np.float32), ("I", "II"), rate_hz=RATE)
    assert (made.leads, made.duration_s) == ((), 0.0)
    assert find_near_duplicates([made, made, signatures[0]]) == []
    assert compare(made, signatures[0], lag_s=0.0) is None


def test_a_flat_lead_and_a_missing_one_have_no_part(signals):
    broken = signals[0].copy()
    broken[0], broken[7] = 1.0, np.nan
    broken[3, 1000:1100] = np.nan
    made = signature(broken, STANDARD_12, rate_hz=RATE)
    assert "V2" not in made.leads
    assert made.derived == ("I",)
    (match,) = find_near_duplicates([made, signature(signals[0], STANDARD_12, rate_hz=RATE)])
    assert "I" not in match.leads


def test_anchors_stand_at_the_complexes():
    time = np.arange(5000) / RATE
    tops_s = np.arange(0.713, 9.5, 0.9)
    beats = sum(np.exp(-0.5 * ((time - top) / 0.015) ** 2) for top in tops_s)
    beats += 0.001 * generator(0, "anchors").standard_normal(5000)
    made = signature(beats[None].astype(np.float32), ("V1",), rate_hz=RATE)
    np.testing.assert_allclose(made.start_s + made.anchors[0] / RATE_HZ, tops_s, atol=0.006)


def test_equal_samples_are_told_from_similar_ones(signals):
    a = np.round(signals[0], 3)
    b = a[:, 500:][[1, 6]]
    leads = ("II", "V1")
    lag = {"rate_hz": RATE, "lag_s": 1.0004}
    assert equal_samples(a, b, STANDARD_12, leads, **lag)
    assert not equal_samples(a, 1.01 * b, STANDARD_12, leads, **lag)
    assert not equal_samples(a, b, STANDARD_12, leads, rate_hz=RATE, lag_s=1.002)
    assert not equal_samples(a, b, STANDARD_12, ("X", "Y"), **lag)
    assert not equal_samples(a, b, STANDARD_12, leads, rate_hz=RATE, lag_s=11.0)
    assert equal_samples(b, a, leads, STANDARD_12, rate_hz=RATE, lag_s=-1.0)


def test_bad_input_is_told():
    signal = np.zeros((2, 5000), dtype=np.float32)
    with pytest.raises(InputError, match="got 1 lead names for 2 rows"):
        signature(signal, ("I",), rate_hz=RATE)
    with pytest.raises(InputError, match="got 50 Hz; rates from 60 Hz"):
        signature(signal, ("I", "II"), rate_hz=50.0)
    with pytest.raises(InputError, match="got 1 hashes for 0 signatures"):
        find_near_duplicates([], hashes=["x"])

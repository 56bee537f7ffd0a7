import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from anylead.batch import Batch
from anylead.errors import LeadError
from anylead.leads import STANDARD_12
from anylead.nn.beats import (
    BEAT_RATE_HZ,
    BEAT_SAMPLES,
    BeatSignal,
    beat_signal,
    cut_beats,
    find_beats,
    most_beats,
    tokens_under,
)
from anylead.signal.beats import r_peaks
from anylead.sources.synthesis.patient import draw_patient, draw_session
from anylead.sources.synthesis.recording import make_record, session_beats

PATIENTS = range(1, 13)


def batch_of(signal_mv, *, rate_hz=500.0, leads=STANDARD_12, lengths=None):
    signal = torch.as_tensor(np.asarray(signal_mv), dtype=torch.float32)
    rows, _, samples = signal.shape
    lengths = torch.full((rows,), samples) if lengths is None else torch.tensor(lengths)
    return Batch(
        signal=signal,
        lead_mask=torch.ones(rows, len(leads), dtype=torch.bool),
        sample_mask=torch.arange(samples) < lengths[:, None],
        leads=leads,
        sampling_rate_hz=rate_hz,
        row=torch.arange(rows),
        patient=torch.arange(rows),
        segment=torch.zeros(rows, dtype=torch.int64),
    )


def session(number):
    return draw_session(draw_patient(0, number), 1)


def recordings(rate_hz=500.0, duration_s=10.0, numbers=PATIENTS, noisy=True):
    made = [
        make_record(session(n), duration_s=duration_s, sampling_rate_hz=rate_hz, noisy=noisy) for n in numbers
    ]
    return np.stack(made) * np.float32(0.001)


def beats_of(batch):
    return find_beats(beat_signal(batch, batch.leads))


def peaks_s(beats, row):
    return beats.centre[row][beats.valid[row]].double().numpy() / BEAT_RATE_HZ


def inside(times_s, duration_s=10.0):
    return times_s[(times_s > 0.3) & (times_s < duration_s - 0.3)]


def same(found, other):
    return all(torch.equal(getattr(found, f), getattr(other, f)) for f in found.__dataclass_fields__)


@pytest.fixture(scope="module")
def signal_mv():
    return recordings()


def test_finds_the_beats_of_synthetic_hearts(signal_mv):
    found = beats_of(batch_of(signal_mv))
    assert found.found.all()
    for row, number in enumerate(PATIENTS):
        true = inside(session_beats(session(number), duration_s=10.0).time_s)
        distance = np.abs(peaks_s(found, row)[:, None] - true)
        assert distance.min(axis=0).max() < 0.08, f"patient {number}: a beat is missed"
        ours = inside(peaks_s(found, row))
        assert len(ours) == len(true), f"patient {number}: there are beats too many"
        # Of one shape, all are in the same place of it, notched or not.
        assert np.median(np.abs(ours - true - np.median(ours - true))) <= 0.01


def test_agrees_with_the_detector_of_the_data_tower(signal_mv):
    found = beats_of(batch_of(signal_mv))
    for row in range(len(signal_mv)):
        others = inside(r_peaks(signal_mv[row], rate_hz=500.0) / 500.0)
        ours = inside(peaks_s(found, row))
        assert len(ours) == len(others)
        assert np.abs(ours - others).max() <= 0.08


@pytest.mark.parametrize("rate_hz", [60.0, 100.0, 250.0, 257.0, 1000.0])
def test_the_beats_are_the_same_at_every_rate(rate_hz):
    reference = beats_of(batch_of(recordings(500.0, noisy=False, numbers=range(1, 5))))
    found = beats_of(batch_of(recordings(rate_hz, noisy=False, numbers=range(1, 5)), rate_hz=rate_hz))
    for row in range(4):
        a, b = inside(peaks_s(reference, row)), inside(peaks_s(found, row))
        assert len(a) == len(b)
        assert np.median(np.abs(a - b)) <= 0.02


def test_one_lead_is_enough_and_none_is_privileged(signal_mv):
    turned = batch_of(signal_mv[:, ::-1].copy(), leads=STANDARD_12[::-1])
    whole = beats_of(batch_of(signal_mv))
    assert same(whole, beats_of(turned))
    alone = beats_of(batch_of(signal_mv[:, 1:2], leads=("II",)))
    silent = signal_mv.copy()
    silent[:, 0] = 0.0
    for row in range(len(signal_mv)):
        many = inside(peaks_s(whole, row))
        assert abs(len(inside(peaks_s(alone, row))) - len(many)) <= 1
        assert len(inside(peaks_s(beats_of(batch_of(silent[row : row + 1])), 0))) == len(many)


@pytest.mark.parametrize("poison", [float("nan"), 1e6])
def test_absent_leads_padding_and_batch_mates_change_nothing(signal_mv, poison):
    lengths = [5000, 4000, 2500, 1200]
    batch = batch_of(signal_mv[:4], lengths=lengths)
    mask = batch.lead_mask.clone()
    mask[1, 3:] = False
    mask[3, 1:] = False
    batch = replace(batch, lead_mask=mask)
    there = mask[:, :, None] & batch.sample_mask[:, None]
    found = beats_of(batch)
    assert same(found, beats_of(replace(batch, signal=torch.where(there, batch.signal, poison))))
    for row, length in enumerate(lengths):
        leads = tuple(n for n, present in zip(STANDARD_12, mask[row].tolist(), strict=True) if present)
        kept = signal_mv[row : row + 1, : len(leads), :length]
        alone = beats_of(batch_of(kept, leads=leads))
        number = int(alone.valid.sum())
        assert number == int(found.valid[row].sum())
        for name in ("centre", "start", "end"):
            assert torch.equal(getattr(found, name)[row, :number], getattr(alone, name)[0, :number])


def spikes(places, frames=500, leads=1):
    values = torch.zeros(1, leads, frames)
    values[..., places] = 1.0
    return BeatSignal(values=values, present=torch.ones_like(values, dtype=torch.bool))


def test_a_beat_ends_in_the_middle_and_reaches_half_a_window_at_most():
    beats = find_beats(spikes([20, 100, 181, 400]))
    assert beats.centre[0, :4].tolist() == [20, 100, 181, 400]
    assert beats.start[0, :4].tolist() == [0, 60, 140, 352]
    assert beats.end[0, :4].tolist() == [60, 140, 229, 448]
    assert beats.valid[0].tolist() == [True] * 4 + [False] * 16


def test_of_two_peaks_within_the_refractory_period_the_larger_counts():
    signal = spikes([100, 300])
    signal.values[..., 120] = 0.7
    assert find_beats(signal).valid.sum() == 2


def test_rows_without_a_peak_are_cut_into_fixed_windows():
    signal = torch.zeros(3, 2, 1500)
    signal[1] += 3.0  # an offset is no beat
    beats = beats_of(batch_of(signal, leads=("I", "II"), lengths=[1500, 1500, 160]))
    assert not beats.found.any()
    assert beats.start[0, :4].tolist() == [0, 96, 192, 288]
    assert beats.end[0, :4].tolist() == [96, 192, 288, 300]
    assert beats.centre[0, :4].tolist() == [48, 144, 240, 336]
    assert beats.valid.sum(dim=1).tolist() == [4, 4, 1]
    assert beats.end[2, 0] == 32
    nothing = beats_of(batch_of(signal, leads=("I", "II"), lengths=[0, 0, 0]))
    assert not nothing.valid.any()


def test_no_row_has_more_beats_than_there_is_room_for():
    fast = spikes(range(13, 500, 26))
    beats = find_beats(fast)
    assert beats.valid.shape == (1, most_beats(2500, 500.0)) == (1, 20)
    assert 18 <= beats.valid.sum() <= 19


def test_beats_are_cut_and_standardised_as_by_a_loop(signal_mv):
    batch = batch_of(signal_mv[:2], lengths=[5000, 2222])
    mask = batch.lead_mask.clone()
    mask[1, 2] = False
    signal = beat_signal(replace(batch, lead_mask=mask), ("II", "I", "III"))
    beats = find_beats(signal)
    cut = cut_beats(signal, beats)
    for row, lead, place in np.ndindex(2, 3, cut.shape[2]):
        expected = np.zeros(BEAT_SAMPLES)
        if beats.valid[row, place] and mask[row, (1, 0, 2)[lead]]:
            start, end = int(beats.start[row, place]), int(beats.end[row, place])
            piece = signal.values[row, lead, start:end].double().numpy()
            piece = (piece - piece.mean()) / np.sqrt(piece.var() + 1e-4)
            offset = int(beats.centre[row, place]) - BEAT_SAMPLES // 2
            expected[start - offset : end - offset] = piece
        np.testing.assert_allclose(cut[row, lead, place].numpy(), expected, atol=1e-4)


def test_a_sample_is_the_mean_of_those_it_stands_for():
    batch = batch_of(np.arange(20, dtype=np.float32).reshape(1, 1, 20), leads=("II",), lengths=[13])
    found = beat_signal(batch, ("I", "II"))
    assert found.values[0, 1].tolist() == [2.0, 7.0, 11.0, 0.0]
    assert found.present[0].tolist() == [[False] * 4, [True, True, True, False]]
    with pytest.raises(LeadError, match="none of the leads II is known"):
        beat_signal(batch, ("V1",))


@pytest.mark.parametrize(
    ("samples_per_token", "rate_hz"), [(16, 500.0), (100, 500.0), (20, 100.0), (7, 257.0)]
)
def test_a_token_is_under_a_beat_if_they_share_any_time(samples_per_token, rate_hz):
    beats = find_beats(spikes([20, 100, 181, 400]))
    number = int(5 * rate_hz) // samples_per_token
    under = tokens_under(beats, number, samples_per_token=samples_per_token, rate_hz=rate_hz)
    for place in range(beats.valid.shape[1]):
        for token in range(number):
            first, last = (edge * samples_per_token / rate_hz for edge in (token, token + 1))
            start, end = (float(edge[0, place]) / BEAT_RATE_HZ for edge in (beats.start, beats.end))
            shared = min(last, end) - max(first, start) > 1e-9
            assert bool(under[0, place, token]) == (shared and bool(beats.valid[0, place]))


@pytest.mark.real
def test_finds_the_complexes_that_cardiologists_marked():
    folder = os.environ.get("ANYLEAD_REAL_DATA")
    if not folder or not (Path(folder) / "ludb").exists():
        pytest.skip("there is no folder ludb in the folder ANYLEAD_REAL_DATA names")
    import wfdb

    found = marked = extra = 0
    for number in range(1, 201, 5):
        path = str(Path(folder) / "ludb" / "data" / str(number))
        record, marks = wfdb.rdrecord(path), wfdb.rdann(path, "ii")
        reference = np.array([s for s, kind in zip(marks.sample, marks.symbol, strict=True) if kind == "N"])
        batch = batch_of(record.p_signal.T[None], rate_hz=float(record.fs))
        peaks = peaks_s(beats_of(batch), 0) * record.fs
        # The first and the last complex are often left unmarked.
        peaks = peaks[(peaks > reference[0] - 50) & (peaks < reference[-1] + 50)]
        distance = np.abs(peaks[:, None] - reference)
        found += int((distance.min(axis=0) < 50).sum())
        extra += int((distance.min(axis=1) >= 50).sum())
        marked += len(reference)
    assert marked > 300
    assert found >= 0.995 * marked
    assert extra <= 0.005 * marked

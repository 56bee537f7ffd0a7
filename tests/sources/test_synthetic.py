from pathlib import Path

import numpy as np
import pytest

from anylead.errors import ConfigError
from anylead.leads import STANDARD_12
from anylead.sources.synthesis import findings
from anylead.sources.synthesis.patient import draw_patient, draw_session
from anylead.sources.synthesis.recording import make_record
from anylead.sources.synthetic import Synthetic

ROOT = Path("unused")


@pytest.fixture(scope="module")
def loaded():
    source = Synthetic(patients=40, sessions=2)
    refs = source.scan(ROOT)
    return refs, [source.load(ref) for ref in refs]


def test_scan_lists_every_session_of_every_patient():
    refs = Synthetic(patients=3, sessions=2, seed=5).scan(ROOT)
    assert [ref.record_id for ref in refs] == [f"synthetic-p000{p}-s{s}" for p in (1, 2, 3) for s in (1, 2)]
    assert [ref.patient_id for ref in refs[:3]] == [
        "synthetic:5:p0001",
        "synthetic:5:p0001",
        "synthetic:5:p0002",
    ]
    for first, second in zip(refs[::2], refs[1::2], strict=True):
        assert 60 <= (second.recorded_at - first.recorded_at).days < 300
        assert second.age_years >= first.age_years
        assert second.sex == first.sex


def test_load_gives_the_twelve_leads_in_millivolts(loaded):
    refs, records = loaded
    assert records[0].leads == STANDARD_12
    assert records[0].signal.shape == (12, 5000)
    assert records[0].signal.dtype == np.float32
    assert (records[3].record_id, records[3].patient_id) == (refs[3].record_id, refs[3].patient_id)
    assert records[3].recorded_at == refs[3].recorded_at


def test_amplitudes_are_those_of_ecgs(loaded):
    for record in loaded[1]:
        swing = np.ptp(np.diff(record.signal, axis=-1), axis=-1).max()
        assert swing > 0.03
        span = np.quantile(record.signal, 0.999, axis=-1) - np.quantile(record.signal, 0.001, axis=-1)
        assert 0.3 < span.max() < 6.0
        assert np.abs(record.signal).max() < 8.0


def test_limb_leads_obey_einthoven_and_goldberger_with_noise():
    for number in range(1, 9):
        samples = make_record(draw_session(draw_patient(0, number), 1)).astype(int)
        one, two, three, avr, avl, avf = samples[:6]
        assert (one + three == two).all()
        assert np.abs(2 * avr + one + two).max() <= 1
        assert np.abs(2 * avl - one + three).max() <= 1
        assert np.abs(2 * avf - two - three).max() <= 1


def test_noise_reaches_every_lead_and_can_be_left_out():
    session = draw_session(draw_patient(0, 2), 1)
    noise = make_record(session).astype(float) - make_record(session, noisy=False)
    assert (np.diff(noise, axis=-1).std(axis=-1) > 1.0).all()


def test_a_recording_depends_on_nothing_but_seed_patient_and_session(loaded):
    refs, records = loaded
    draw_patient.cache_clear()
    many = Synthetic(patients=45, sessions=3)
    wanted = [ref.record_id for ref in refs[:20]]
    found = [ref for ref in reversed(many.scan(ROOT)) if ref.record_id in wanted]
    again = {ref.record_id: (ref, many.load(ref), many.labels(ref)) for ref in found}
    few = Synthetic(patients=40, sessions=2)
    for ref, record in zip(refs[:20], records[:20], strict=True):
        other_ref, other, labels = again[ref.record_id]
        assert other_ref == ref
        np.testing.assert_array_equal(other.signal, record.signal)
        assert labels == few.labels(ref)


def test_another_seed_is_another_set_of_people(loaded):
    source = Synthetic(patients=1, sessions=1, seed=1)
    other = source.load(source.scan(ROOT)[0])
    assert not np.array_equal(other.signal, loaded[1][0].signal)
    assert other.patient_id != loaded[1][0].patient_id


def test_length_and_rate_are_options():
    source = Synthetic(patients=1, sessions=1, duration_s=4.5, sampling_rate_hz=257.0)
    record = source.load(source.scan(ROOT)[0])
    assert record.signal.shape == (12, round(4.5 * 257))
    assert record.sampling_rate_hz == 257.0


def test_the_rate_of_sampling_does_not_change_the_heart():
    session = draw_session(draw_patient(0, 2), 1)
    fine = make_record(session, sampling_rate_hz=1000.0, noisy=False)
    coarse = make_record(session, sampling_rate_hz=250.0, noisy=False)
    assert np.abs(fine[:, ::4].astype(int) - coarse).max() <= 1


def test_patients_look_like_themselves_but_not_exactly(loaded):
    beats = np.stack([_average_beat(record.signal) for record in loaded[1]])
    beats /= np.linalg.norm(beats, axis=1, keepdims=True)
    likeness = beats[::2] @ beats[1::2].T
    own, others = np.diag(likeness), likeness[~np.eye(len(likeness), dtype=bool)]
    assert np.median(own) > 0.85
    assert np.mean(own) > np.mean(others) + 0.2
    assert (own < 0.995).all()
    rank_1 = np.mean(likeness.argmax(axis=0) == np.arange(len(likeness)))
    assert 0.4 < rank_1 < 1.0


def _average_beat(signal: np.ndarray) -> np.ndarray:
    """Median beat around the steepest points of the QRS complexes."""
    steep = np.convolve(np.abs(np.diff(signal, axis=-1)).sum(axis=0), np.ones(40), "same")
    peaks = []
    while (steep > 0).any() and len(peaks) < 8:
        peak = int(np.argmax(steep))
        steep[max(peak - 150, 0) : peak + 150] = 0.0
        if 130 <= peak < signal.shape[1] - 220:
            peaks.append(peak)
    beat = np.median([signal[:, p - 125 : p + 215] for p in peaks], axis=0)
    return (beat - np.median(beat, axis=-1, keepdims=True)).ravel()


def test_every_finding_has_a_dozen_patients_in_three_hundred():
    source = Synthetic(patients=300, sessions=1)
    labels = [source.labels(ref).codes for ref in source.scan(ROOT)]
    codes = [code for each in labels for code in each]
    assert set(codes) == set(findings.ABBREVIATIONS)
    assert min(map(codes.count, findings.ABBREVIATIONS)) >= 12
    assert sum(len(each) >= 2 for each in labels) > 100


def test_lasting_findings_stay_and_ectopy_comes_and_goes():
    source = Synthetic(patients=100, sessions=2)
    labels = [set(source.labels(ref).codes) for ref in source.scan(ROOT)]
    lasting = {
        findings.ATRIAL_FIBRILLATION,
        findings.FIRST_DEGREE_BLOCK,
        findings.LEFT_BUNDLE_BLOCK,
        findings.RIGHT_BUNDLE_BLOCK,
        findings.LEFT_AXIS,
        findings.T_INVERSION,
    }
    ectopy = {findings.PREMATURE_ATRIAL, findings.PREMATURE_VENTRICULAR}
    pairs = list(zip(labels[::2], labels[1::2], strict=True))
    assert all(first & lasting == second & lasting for first, second in pairs)
    changed = sum(first & ectopy != second & ectopy for first, second in pairs)
    assert 0 < changed < sum(bool((first | second) & ectopy) for first, second in pairs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patients": 0}, "synthetic: patients is 0; give a number of at least 1"),
        ({"sessions": -1}, "synthetic: sessions is -1; give a number of at least 1"),
        ({"duration_s": 0.5}, "duration_s is 0.5; recordings of 1 to 3600 seconds"),
        ({"sampling_rate_hz": 20.0}, "sampling_rate_hz is 20; rates from 50 to 10000 Hz"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Synthetic(**options)

"""Every finding of the synthetic source is measured in its signal, by detectors that know nothing of it."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.signal import find_peaks

from anylead.leads import STANDARD_12
from anylead.sources.synthesis import findings as f
from anylead.sources.synthesis.patient import draw_patient, draw_session
from anylead.sources.synthesis.recording import make_record, session_findings

FS = 500
BEFORE, AFTER = 240, 260
"""Samples of a beat before and after its QRS."""
CONDUCTION = {f.LEFT_BUNDLE_BLOCK, f.RIGHT_BUNDLE_BLOCK}
ECTOPY = {f.PREMATURE_ATRIAL, f.PREMATURE_VENTRICULAR}
SINUS = {f.SINUS_RHYTHM, f.SINUS_BRADYCARDIA, f.SINUS_TACHYCARDIA}


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    codes: set[str]
    signal: np.ndarray
    """mV, without electrode noise."""
    peaks: np.ndarray
    """Samples of the QRS complexes that lie whole in the signal."""
    all_peaks: np.ndarray

    @property
    def intervals_s(self) -> np.ndarray:
        return np.diff(self.all_peaks) / FS

    @property
    def rate_bpm(self) -> float:
        return 60.0 / float(np.median(self.intervals_s))

    def beats(self) -> np.ndarray:
        """(beats, 12, samples), each from the level just before its QRS."""
        cut = np.stack([self.signal[:, p - BEFORE : p + AFTER] for p in self.peaks])
        return cut - np.median(cut[:, :, BEFORE - 50 : BEFORE - 35], axis=-1, keepdims=True)

    def beat(self) -> dict[str, np.ndarray]:
        return dict(zip(STANDARD_12, np.median(self.beats(), axis=0), strict=True))


def qrs_peaks(signal: np.ndarray) -> np.ndarray:
    """How far the leads travel in 90 ms tells QRS complexes, narrow and wide, from P and T waves."""
    travel = np.convolve(np.abs(np.diff(signal, axis=-1)).sum(axis=0), np.ones(45), "same")
    peaks, _ = find_peaks(travel, height=0.4 * np.quantile(travel, 0.97), distance=int(0.28 * FS))
    return peaks


def qrs_width_s(beat: np.ndarray) -> float:
    """Longest stretch around the QRS in which some lead moves faster than 6 uV a sample."""
    moving = np.abs(np.diff(beat, axis=-1)).max(axis=0) > 0.006
    moving = np.convolve(moving, np.ones(9), "same") > 0
    start = end = BEFORE
    while start > 0 and moving[start - 1]:
        start -= 1
    while end < len(moving) and moving[end]:
        end += 1
    return (end - start - 8) / FS


@pytest.fixture(scope="module")
def measured() -> list[Measured]:
    result = []
    for number in range(1, 301):
        session = draw_session(draw_patient(7, number), 1)
        signal = make_record(session, noisy=False) * np.float32(0.001)
        peaks = qrs_peaks(signal)
        inside = peaks[(peaks >= BEFORE) & (peaks < signal.shape[1] - AFTER)]
        codes = set(session_findings(session, duration_s=10.0))
        result.append(Measured(codes=codes, signal=signal, peaks=inside, all_peaks=peaks))
    return result


def having(measured, *codes, without=()):
    found = [m for m in measured if set(codes) <= m.codes and not set(without) & m.codes]
    assert len(found) >= 8, f"only {len(found)} recordings with {codes}"
    return found


def normal(measured):
    return [m for m in measured if m.codes == {f.SINUS_RHYTHM}]


def share(values, condition) -> float:
    return float(np.mean([condition(value) for value in values]))


def variation(m: Measured) -> float:
    return float(m.intervals_s.std() / m.intervals_s.mean())


def p_coherence(m: Measured) -> float:
    """Share of what lead II does just before the QRS that every beat does alike, as a P wave would."""
    window = m.beats()[:, 1, BEFORE - 110 : BEFORE - 35]
    window = window - window.mean(axis=-1, keepdims=True)
    return float(window.mean(axis=0).var() / window.var())


def atrial_noise(m: Measured) -> float:
    """What beats do not have in common before the QRS, in mV."""
    window = m.beats()[:, STANDARD_12.index("V1"), BEFORE - 120 : BEFORE - 35]
    return float(np.median((window - np.median(window, axis=0)).std(axis=-1)))


def pr_s(m: Measured) -> float:
    """From where P leaves the level before it to where the QRS starts to move, on the median beat."""
    beat = np.median(m.beats(), axis=0)
    moving = np.abs(np.diff(beat, axis=-1)).max(axis=0) > 0.008
    qrs = BEFORE - 45 + int(np.argmax(moving[BEFORE - 45 :]))
    rest = beat - beat[:, qrs - 5 : qrs].mean(axis=-1, keepdims=True)
    size = np.sqrt(np.sum(rest**2, axis=0))
    earliest = qrs - 185
    top = earliest + int(np.argmax(size[earliest : qrs - 10]))
    start = top
    while start > earliest and size[start] > 0.12 * size[top]:
        start -= 1
    return (qrs - start) / FS


def net(m: Measured, lead: str) -> float:
    return float(m.beat()[lead][BEFORE - 35 : BEFORE + 45].sum())


def t_extreme(m: Measured, lead: str) -> float:
    """The largest deflection where T is, signed."""
    window = m.beat()[lead][BEFORE + 70 : BEFORE + 190]
    return float(window[np.argmax(np.abs(window))])


def premature(m: Measured, code: str) -> list[tuple[float, float, float, int]]:
    """(interval before, interval after, likeness to the usual QRS, sample) of clearly early beats."""
    usual_s = float(np.median(m.intervals_s))
    typical = np.median(m.beats(), axis=0)[:, BEFORE - 40 : BEFORE + 45].ravel()
    found = []
    for i in range(1, len(m.all_peaks) - 1):
        peak = int(m.all_peaks[i])
        before, after = m.intervals_s[i - 1] / usual_s, m.intervals_s[i] / usual_s
        if before < 0.85 and BEFORE <= peak < m.signal.shape[1] - AFTER:
            complex_ = m.signal[:, peak - 40 : peak + 45]
            level = np.median(m.signal[:, peak - 50 : peak - 38], axis=-1, keepdims=True)
            found.append((before, after, float(np.corrcoef((complex_ - level).ravel(), typical)[0, 1]), peak))
    return found


def test_rate_tells_sinus_rhythm_from_bradycardia_and_tachycardia(measured):
    assert all(m.rate_bpm < 60 for m in having(measured, f.SINUS_BRADYCARDIA))
    assert all(m.rate_bpm > 100 for m in having(measured, f.SINUS_TACHYCARDIA))
    assert all(58 < m.rate_bpm < 101 for m in having(measured, f.SINUS_RHYTHM))


def test_exactly_one_rhythm_is_named(measured):
    assert all(len(m.codes & (SINUS | {f.ATRIAL_FIBRILLATION})) == 1 for m in measured)


def test_fibrillation_beats_irregularly(measured):
    fibrillating = having(measured, f.ATRIAL_FIBRILLATION, without=ECTOPY)
    regular = [m for m in measured if m.codes & SINUS and not m.codes & ECTOPY]
    assert min(map(variation, fibrillating)) > 0.1
    assert max(map(variation, regular)) < 0.07


def test_fibrillation_has_no_p_wave_and_fibrillatory_waves_instead(measured):
    fibrillating = having(measured, f.ATRIAL_FIBRILLATION, without=ECTOPY)
    assert np.quantile([*map(p_coherence, fibrillating)], 0.9) < 0.5
    assert np.quantile([*map(p_coherence, normal(measured))], 0.1) > 0.7
    assert np.quantile([*map(atrial_noise, fibrillating)], 0.1) > 2 * np.quantile(
        [*map(atrial_noise, normal(measured))], 0.9
    )


def test_fibrillation_excludes_what_needs_a_p_wave(measured):
    for m in having(measured, f.ATRIAL_FIBRILLATION):
        assert not m.codes & {f.FIRST_DEGREE_BLOCK, f.PREMATURE_ATRIAL, *SINUS}


def test_first_degree_block_has_a_long_pr(measured):
    slow = [
        m for m in measured if m.rate_bpm < 75 and m.codes & SINUS and not m.codes & (ECTOPY | CONDUCTION)
    ]
    blocked = [pr_s(m) for m in slow if f.FIRST_DEGREE_BLOCK in m.codes]
    usual = [pr_s(m) for m in slow if f.FIRST_DEGREE_BLOCK not in m.codes]
    assert len(blocked) >= 5
    assert min(blocked) > 0.2
    assert share(usual, lambda pr: 0.1 < pr < 0.2) > 0.95


@pytest.mark.parametrize("code", sorted(CONDUCTION))
def test_bundle_branch_block_is_wide(measured, code):
    widths = [qrs_width_s(np.median(m.beats(), axis=0)) for m in having(measured, code)]
    assert min(widths) >= 0.12
    assert np.median(widths) < 0.17
    assert max(qrs_width_s(np.median(m.beats(), axis=0)) for m in normal(measured)) < 0.115


def test_left_bundle_block_points_left_with_t_against_it(measured):
    for m in having(measured, f.LEFT_BUNDLE_BLOCK, without=ECTOPY):
        beat = m.beat()
        qrs = slice(BEFORE - 60, BEFORE + 60)
        assert net(m, "V1") < 0 < net(m, "V6")
        assert beat["V6"][qrs].max() > 4 * max(beat["V6"][BEFORE - 60] - beat["V6"][qrs].min(), 0.0)
        assert t_extreme(m, "V1") > 0
        assert t_extreme(m, "V6") < 0


def test_right_bundle_block_has_rsr_in_v1_and_a_wide_s_in_v6(measured):
    blocked = having(measured, f.RIGHT_BUNDLE_BLOCK, without=ECTOPY)
    late = [m.beat()["V1"][BEFORE - 50 : BEFORE + 60] for m in blocked]
    lowest = [int(np.argmin(v1)) for v1 in late]
    assert share(zip(late, lowest, strict=True), lambda x: x[0][: x[1]].max() > 0.05) > 0.9
    assert share(zip(late, lowest, strict=True), lambda x: x[0][x[1] :].max() > 0.2) > 0.9
    assert share(blocked, lambda m: m.beat()["V6"][BEFORE + 5 : BEFORE + 60].min() < -0.15) > 0.9
    assert share(normal(measured), lambda m: m.beat()["V1"][BEFORE + 8 : BEFORE + 60].max() > 0.2) < 0.1


def test_left_axis_is_up_in_i_and_down_in_ii_and_avf(measured):
    for m in having(measured, f.LEFT_AXIS, without=ECTOPY | CONDUCTION):
        assert net(m, "I") > 0
        assert net(m, "aVF") < 0
    left = having(measured, f.LEFT_AXIS, without=ECTOPY | CONDUCTION)
    assert share(left, lambda m: net(m, "II") < 0) > 0.8
    assert share(normal(measured), lambda m: net(m, "II") > 0) > 0.97


@pytest.mark.parametrize("lead", ["V4", "V5"])
def test_t_inversion_turns_t_over(measured, lead):
    inverted = having(measured, f.T_INVERSION, without=ECTOPY | {f.ATRIAL_FIBRILLATION})
    assert share(inverted, lambda m: t_extreme(m, lead) < -0.05) > 0.9
    assert share(normal(measured), lambda m: t_extreme(m, lead) > 0.05) > 0.97


def test_premature_ventricular_beats_are_early_wide_strange_and_compensated(measured):
    found = []
    for m in having(
        measured,
        f.PREMATURE_VENTRICULAR,
        without=CONDUCTION | ECTOPY - {f.PREMATURE_VENTRICULAR} | {f.ATRIAL_FIBRILLATION},
    ):
        beats = premature(m, f.PREMATURE_VENTRICULAR)
        assert beats
        usual_s = qrs_width_s(np.median(m.beats(), axis=0))
        for before, after, likeness, peak in beats:
            wide = m.signal[:, peak - BEFORE : peak + AFTER]
            found.append((before + after, likeness, qrs_width_s(wide) - usual_s, _discordance(wide)))
    pauses, likenesses, wider_s, discordance = np.array(found).T
    assert np.abs(pauses - 2.0).max() < 0.12
    assert np.median(likenesses) < 0.6
    assert likenesses.max() < 0.95
    assert np.quantile(wider_s, 0.1) > 0.025
    assert (discordance < 0).mean() > 0.9


def _discordance(beat: np.ndarray) -> float:
    """Product of the directions of QRS and T over all leads: negative when they oppose each other."""
    level = np.median(beat[:, BEFORE - 56 : BEFORE - 48], axis=-1, keepdims=True)
    qrs, t = (beat - level)[:, BEFORE - 50 : BEFORE + 50], (beat - level)[:, BEFORE + 90 : BEFORE + 190]
    return float(np.dot(qrs.sum(axis=-1), t.sum(axis=-1)))


def test_premature_atrial_beats_are_early_narrow_and_not_compensated(measured):
    found = []
    for m in having(measured, f.PREMATURE_ATRIAL, without={f.PREMATURE_VENTRICULAR, *CONDUCTION}):
        beats = premature(m, f.PREMATURE_ATRIAL)
        assert beats
        found += [(before + after, likeness, after) for before, after, likeness, _ in beats]
    sums, likenesses, after = np.array(found).T
    assert likenesses.min() > 0.9
    assert sums.max() < 1.96
    assert np.median(after) > 0.97


def test_premature_atrial_beats_have_another_p(measured):
    likeness = []
    for m in having(
        measured, f.PREMATURE_ATRIAL, without=CONDUCTION | {f.FIRST_DEGREE_BLOCK, f.PREMATURE_VENTRICULAR}
    ):
        typical = np.median(m.beats(), axis=0)[:, BEFORE - 85 : BEFORE - 35]
        for *_, peak in premature(m, f.PREMATURE_ATRIAL):
            early = m.signal[:, peak - 85 : peak - 35]
            likeness.append(np.corrcoef(_levelled(early), _levelled(typical))[0, 1])
    assert np.median(likeness) < 0.5


def _levelled(window: np.ndarray) -> np.ndarray:
    """Takes the straight line through both ends away: what is left is the bump."""
    ramp = np.linspace(0.0, 1.0, window.shape[1])
    return (window - window[:, :1] * (1 - ramp) - window[:, -1:] * ramp).ravel()


def test_normal_beats_look_normal(measured):
    progression = np.array(
        [
            [m.beat()[lead][BEFORE - 35 : BEFORE + 45].sum() for lead in STANDARD_12[6:]]
            for m in normal(measured)
        ]
    )
    assert (np.median(progression, axis=0)[[0, 1]] < 0).all()
    assert (np.median(progression, axis=0)[[3, 4, 5]] > 0).all()
    assert share(normal(measured), lambda m: net(m, "aVR") < 0) > 0.95


def test_qt_follows_the_rate(measured):
    def t_top_s(m):
        size = np.sqrt(np.sum(np.median(m.beats(), axis=0) ** 2, axis=0))
        return (np.argmax(size[BEFORE + 70 : BEFORE + 220]) + 70) / FS

    narrow = [m for m in measured if m.codes & SINUS and not m.codes & (ECTOPY | CONDUCTION)]
    slow = [t_top_s(m) for m in narrow if m.rate_bpm < 60]
    fast = [t_top_s(m) for m in narrow if m.rate_bpm > 100]
    assert 0.8 < (np.median(fast) / np.median(slow)) / (50 / 112) ** (1 / 3) < 1.2
    assert np.median(fast) < np.median(slow) - 0.04

"""A recording: beats become waves, waves a dipole, the dipole voltages in twelve leads."""

from typing import cast

import numpy as np
from jaxtyping import Float64, Int16

from anylead.seeding import generator
from anylead.sources.synthesis import findings
from anylead.sources.synthesis.noise import electrode_noise
from anylead.sources.synthesis.patient import Session
from anylead.sources.synthesis.rhythm import ATRIAL, NORMAL, VENTRICULAR, Beats, draw_beats
from anylead.sources.synthesis.torso import ELECTRODES_TO_LEADS, quantised
from anylead.sources.synthesis.waves import Waves, render

_QT_EXPONENT = 1.0 / 3.0
"""QT grows with the cube root of the interval between beats (L. S. Fridericia, 1920)."""


def session_beats(session: Session, *, duration_s: float) -> Beats:
    """Draws the beats of a session's recording."""
    patient = session.patient
    rng = generator(patient.seed, "synthetic beats", patient.number, session.number)
    return draw_beats(rng, session.rhythm, duration_s=duration_s)


def session_findings(session: Session, *, duration_s: float) -> tuple[str, ...]:
    """Returns the SNOMED CT codes of what a session's recording shows, sorted.

    Ectopy is named only where the recording holds such a beat whole.
    """
    disposition, rhythm = session.patient.disposition, session.rhythm
    beats = session_beats(session, duration_s=duration_s)
    if rhythm.kind == "fibrillation":
        codes = [findings.ATRIAL_FIBRILLATION]
    elif rhythm.rate_bpm < 60.0:
        codes = [findings.SINUS_BRADYCARDIA]
    else:
        codes = [findings.SINUS_TACHYCARDIA if rhythm.rate_bpm > 100.0 else findings.SINUS_RHYTHM]
    present = {
        findings.PREMATURE_ATRIAL: beats.count(ATRIAL, duration_s=duration_s) > 0,
        findings.PREMATURE_VENTRICULAR: beats.count(VENTRICULAR, duration_s=duration_s) > 0,
        findings.FIRST_DEGREE_BLOCK: disposition.first_degree_block,
        findings.LEFT_BUNDLE_BLOCK: disposition.bundle_block == "left",
        findings.RIGHT_BUNDLE_BLOCK: disposition.bundle_block == "right",
        findings.LEFT_AXIS: disposition.left_axis,
        findings.T_INVERSION: disposition.t_inversion,
    }
    return tuple(sorted([*codes, *(code for code, there in present.items() if there)]))


def make_record(
    session: Session, *, duration_s: float = 10.0, sampling_rate_hz: float = 500.0, noisy: bool = True
) -> Int16[np.ndarray, "12 samples"]:
    """Makes the recording of one session.

    Args:
        session: From `draw_session`.
        duration_s: Length of the recording.
        sampling_rate_hz: Samples per second.
        noisy: False leaves the noise of the electrodes out; breathing still moves the heart.

    Returns:
        The twelve standard leads in their canonical order, in microvolts. I + III = II exactly; the
        augmented leads follow from I and II to within half a microvolt.
    """
    samples = round(duration_s * sampling_rate_hz)
    beats = session_beats(session, duration_s=duration_s)
    dipole_mv = render(_waves(session, beats), samples=samples, sampling_rate_hz=sampling_rate_hz)
    time_s = np.arange(samples) / sampling_rate_hz
    patient = session.patient
    rng = generator(patient.seed, "synthetic noise", patient.number, session.number)
    if session.rhythm.kind == "fibrillation":
        dipole_mv += _fibrillation(rng, session, time_s)
    leads_mv = (session.field @ _breathing(session, dipole_mv, time_s)).astype(np.float32)
    if noisy:
        noise = electrode_noise(rng, session.noise, samples=samples, sampling_rate_hz=sampling_rate_hz)
        leads_mv += ELECTRODES_TO_LEADS.astype(np.float32) @ noise
    return quantised(leads_mv)


def _waves(session: Session, beats: Beats) -> Waves:
    """Places the waves of every beat."""
    heart, mean_s = session.patient.heart, 60.0 / session.rhythm.rate_bpm
    ventricular = beats.kind == VENTRICULAR
    conducted = ~ventricular
    onset_s = beats.time_s + np.where(ventricular, heart.ectopic.onset_s, heart.qrs.onset_s)
    parts = [
        heart.qrs.scaled(session.qrs_gain).at(beats.time_s[conducted]),
        heart.ectopic.at(beats.time_s[ventricular]),
    ]
    if session.rhythm.kind == "sinus":
        shortened = mean_s**0.15
        pr_s = max(heart.pr_s * shortened, 0.215) if heart.pr_s > 0.2 else heart.pr_s * shortened
        sinus, atrial = beats.kind == NORMAL, beats.kind == ATRIAL
        parts.append(heart.p.at(onset_s[sinus] - pr_s))
        parts.append(heart.premature_p.at(onset_s[atrial] - 0.95 * pr_s))
    # Repolarisation follows the mean rate with some memory: one odd interval moves it little.
    speed = (0.75 * mean_s + 0.25 * beats.interval_s) ** _QT_EXPONENT
    extra_s = 0.5 * (heart.ectopic.end_s - heart.ectopic.onset_s - heart.qrs.end_s + heart.qrs.onset_s)
    end_s = onset_s + speed * (heart.qt_s + np.where(ventricular, max(extra_s, 0.0), 0.0))
    stretch = float(mean_s**_QT_EXPONENT)
    t = heart.t.scaled(session.t_gain).rotated(session.t_rotation).stretched(stretch)
    parts.append(t.at(end_s[conducted]))
    parts.append(heart.ectopic_t.stretched(stretch).at(end_s[ventricular]))
    return parts[0].joined(*parts[1:])


def _fibrillation(
    rng: np.random.Generator, session: Session, time_s: Float64[np.ndarray, " samples"]
) -> Float64[np.ndarray, "3 samples"]:
    """Draws fibrillatory waves: their rate and size wander, their direction turns."""
    heart = session.patient.heart
    wander = rng.uniform([0.15, 0.4, 0.9], [0.4, 0.9, 1.6])
    phases = rng.uniform(0, 2 * np.pi, 5)
    slow = np.sin(2 * np.pi * wander[:, None] * time_s + phases[:3, None])
    angle = 2 * np.pi * heart.flutter_hz * time_s + 2.0 * slow[0] + 0.9 * slow[1] + 0.5 * slow[2]
    size = 1.0 + 0.35 * slow[1] * slow[2] + 0.2 * slow[0]
    saw = np.sin(angle + phases[3]) + 0.35 * np.sin(2 * angle + phases[4])
    return cast(
        np.ndarray, heart.flutter_vectors_mv.T @ (size * np.stack([saw, np.cos(angle + 0.7 * slow[0])]))
    )


def _breathing(
    session: Session, dipole_mv: Float64[np.ndarray, "3 samples"], time_s: Float64[np.ndarray, " samples"]
) -> Float64[np.ndarray, "3 samples"]:
    """Turns and scales the dipole with breathing."""
    rhythm = session.rhythm
    breath = np.sin(2 * np.pi * rhythm.breathing_hz * time_s + rhythm.breathing_phase + 0.8)
    angle = np.radians(session.breathing_turn_deg) * breath
    gain = 1.0 + session.breathing_gain * breath
    left, feet, back = dipole_mv
    return np.stack([gain * (left - angle * feet), gain * (feet + angle * left), gain * back])

"""Patients and their sessions: what stays, what changes."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float

from anylead.seeding import generator
from anylead.sources.synthesis.findings import Disposition, draw_disposition
from anylead.sources.synthesis.heart import Heart, draw_heart
from anylead.sources.synthesis.noise import Noise, draw_noise
from anylead.sources.synthesis.rhythm import Rhythm
from anylead.sources.synthesis.torso import LeadField, displaced, personal_field
from anylead.sources.synthesis.waves import rotation_matrix


@dataclass(frozen=True, kw_only=True, eq=False)
class Patient:
    """What stays with a patient: heart, chest, findings. A function of (seed, number) alone."""

    seed: int
    number: int
    sex: Literal["F", "M"]
    age_years: float
    disposition: Disposition
    field: LeadField
    heart: Heart
    rate_bpm: float
    """Usual rate at rest."""
    variability: float
    """Usual relative variation of the sinus interval."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Session:
    """What changes from visit to visit. A function of (seed, patient, number) alone."""

    patient: Patient
    number: int
    rhythm: Rhythm
    field: LeadField
    """The patient's lead field with this day's electrodes and posture."""
    qrs_gain: float
    t_gain: float
    t_rotation: Float[np.ndarray, "3 3"]
    """Repolarisation changes from day to day."""
    breathing_turn_deg: float
    """How far breathing turns the heart in the frontal plane, to either side."""
    breathing_gain: float
    """How much breathing changes the amplitude, to either side."""
    noise: Noise


@lru_cache(maxsize=256)
def draw_patient(seed: int, number: int) -> Patient:
    """Draws patient `number` of the collection `seed`; patients do not depend on each other."""
    rng = generator(seed, "synthetic patient", number)
    disposition = draw_disposition(rng)
    female = bool(rng.random() < 0.5)
    older = 8.0 * sum(
        [disposition.fibrillation, disposition.first_degree_block, bool(disposition.bundle_block)]
    )
    age_years = float(np.clip(rng.normal(52.0 + older, 15.0), 18.0, 89.0))
    field = personal_field(rng, gain=0.14, offset=0.07)
    rate_bpm, lowest, highest = _usual_rate(rng, disposition)
    return Patient(
        seed=seed,
        number=number,
        sex="F" if female else "M",
        age_years=round(age_years, 1),
        disposition=disposition,
        field=field,
        heart=draw_heart(rng, disposition, field, female=female),
        rate_bpm=float(np.clip(rate_bpm, lowest, highest)),
        variability=float(rng.uniform(0.012, 0.03)),
    )


def _usual_rate(rng: np.random.Generator, disposition: Disposition) -> tuple[float, float, float]:
    if disposition.fibrillation:
        return rng.normal(88.0, 16.0), 62.0, 130.0
    return rng.normal(74.0, 8.0), 64.0, 92.0


def draw_session(patient: Patient, number: int) -> Session:
    """Draws session `number` of a patient; sessions do not depend on each other."""
    rng = generator(patient.seed, "synthetic session", patient.number, number)
    rhythm = _draw_rhythm(rng, patient)
    along = rng.normal(0.0, 0.15) + rng.normal(0.0, 0.15, 6)
    down = rng.normal(0.0, 0.4) + rng.normal(0.0, 0.3, 6)
    moved = displaced(patient.field, along, down, rng.normal(0.0, 0.03, (2, 3)))
    posture = rotation_matrix(rng.normal(0.0, 6.5, 3))
    return Session(
        patient=patient,
        number=number,
        rhythm=rhythm,
        field=moved @ posture,
        qrs_gain=float(np.exp(0.07 * rng.standard_normal())),
        t_gain=float(np.exp(0.2 * rng.standard_normal())),
        t_rotation=rotation_matrix(rng.normal(0.0, 11.0, 3)),
        breathing_turn_deg=float(rng.uniform(1.0, 5.0)),
        breathing_gain=float(rng.uniform(0.01, 0.06)),
        noise=draw_noise(rng, breathing_hz=rhythm.breathing_hz),
    )


def _draw_rhythm(rng: np.random.Generator, patient: Patient) -> Rhythm:
    """Draws rate and ectopy of one session. Fibrillation is permanent; the rest is there most days."""
    disposition = patient.disposition
    typical = bool(rng.random() < 0.85)
    low, high = 61.5, 98.0
    rate_bpm = patient.rate_bpm + rng.normal(0.0, 6.0)
    if disposition.fibrillation:
        low, high = 58.0, 140.0
    elif disposition.bradycardia and typical:
        rate_bpm, low, high = rng.normal(51.0, 4.0), 42.0, 57.0
    elif disposition.tachycardia and typical:
        rate_bpm, low, high = rng.normal(114.0, 7.0), 104.0, 135.0
    ectopy = rng.random(2) < 0.85
    counts = 1 + rng.poisson(1.0, 2)
    fast = 1.0 if rate_bpm < 100 else 0.5
    return Rhythm(
        kind="fibrillation" if disposition.fibrillation else "sinus",
        rate_bpm=float(np.clip(rate_bpm, low, high)),
        variability=float(rng.uniform(0.17, 0.26))
        if disposition.fibrillation
        else 0.5 * fast * patient.variability,
        breathing_hz=float(rng.uniform(0.18, 0.33)),
        breathing_phase=float(rng.uniform(0.0, 2 * np.pi)),
        sinus_arrhythmia=fast * patient.variability,
        premature_atrial=int(counts[0]) if disposition.atrial_ectopy and ectopy[0] else 0,
        premature_ventricular=int(counts[1]) if disposition.ventricular_ectopy and ectopy[1] else 0,
        atrial_coupling=float(rng.uniform(0.6, 0.72)),
        ventricular_coupling=float(rng.uniform(0.56, 0.68)),
    )

"""The heart of one patient: the waves of P, QRS, T and of ectopic beats, and their intervals."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from anylead.sources.synthesis.findings import Disposition
from anylead.sources.synthesis.torso import LeadField
from anylead.sources.synthesis.waves import Waves, rotation_matrix

# Group references: P waves after the onset of P; QRS after the peak of R; T before the end of T.
# Each wave: (peak in ms, width in ms, (left, feet, back) in mV).
_P = Waves.of((36.0, 16.0, (0.035, 0.085, -0.05)), (64.0, 17.0, (0.085, 0.04, 0.045)))
_SEPTUM, _FREE_WALL, _LATE, _BASE = (
    (-24.0, 7.0, (-0.14, -0.06, -0.28)),
    (0.0, 9.5, (1.05, 0.75, 0.05)),
    (17.0, 9.0, (0.33, 0.25, 0.72)),
    (33.0, 8.5, (-0.18, -0.24, 0.28)),
)
_QRS_NORMAL = Waves.of(_SEPTUM, _FREE_WALL, _LATE, _BASE)
# Left block: no septal q, slow spread through the wall to the left and back, a notch between two peaks.
_QRS_LEFT_BLOCK = Waves.of(
    (-38.0, 13.0, (0.22, 0.10, 0.10)), (-11.0, 15.0, (0.96, 0.35, 0.50)), (32.0, 15.0, (0.80, 0.06, 0.75))
)
# Right block: a normal start, then the right ventricle late and alone, to the right and front. The axis
# is that of the start, as on paper.
_QRS_RIGHT_BLOCK = Waves.of(_SEPTUM, (0.0, 9.0, (0.95, 0.70, 0.05)), (16.0, 9.0, (0.30, 0.20, 0.50)))
_QRS_RIGHT_BLOCK_LATE = Waves.of((53.0, 17.0, (-0.52, -0.04, -0.55)))
_T_NORMAL = np.array([0.34, 0.21, -0.18])
_T_LEFT_BLOCK = np.array([-0.33, -0.10, -0.30])
_T_RIGHT_BLOCK = np.array([0.42, 0.20, 0.06])
_T_INVERTED = np.array([-0.30, -0.16, 0.08])
# Premature ventricular beats: from the right ventricle (looks like left block) or from the left one.
_ECTOPIC = {
    "right": Waves.of(
        (-42.0, 17.0, (0.25, 0.35, 0.2)), (-6.0, 21.0, (0.75, 0.95, 0.75)), (36.0, 21.0, (0.55, 0.35, 0.95))
    ),
    "left": Waves.of(
        (-42.0, 17.0, (-0.2, -0.2, -0.35)),
        (-6.0, 21.0, (-0.75, -0.75, -1.0)),
        (36.0, 21.0, (-0.5, -0.7, -0.55)),
    ),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Heart:
    """Stable morphology of one patient."""

    p: Waves
    """After the onset of P."""
    premature_p: Waves
    """P of a premature atrial beat: from low in the atrium or from the left one."""
    qrs: Waves
    """After the peak of the main wave."""
    t: Waves
    """Before the end of T, at an interval of one second between beats."""
    ectopic: Waves
    """QRS of a premature ventricular beat, after its peak."""
    ectopic_t: Waves
    flutter_vectors_mv: Float[np.ndarray, "2 3"]
    """Two directions the fibrillating atria turn between."""
    flutter_hz: float
    pr_s: float
    """From the onset of P to the onset of QRS, at an interval of one second between beats."""
    qt_s: float
    """From the onset of QRS to the end of T, at an interval of one second between beats."""


def frontal_axis_deg(waves: Waves, field: LeadField) -> float:
    """Returns the electrical axis of a QRS complex from its net areas in I and aVF, as on paper."""
    one, two = field[:2] @ waves.areas().sum(axis=0)
    return float(np.degrees(np.arctan2((two - 0.5 * one) * 2.0 / np.sqrt(3.0), one)))


def with_axis(waves: Waves, field: LeadField, target_deg: float) -> tuple[Waves, float]:
    """Turns a complex in the frontal plane until its axis is the wanted one.

    The limb leads are not orthogonal, so that the turn of the axis is not that of the heart; a few
    corrections settle it.

    Returns:
        The complex and the angle it was turned by, in degrees.
    """
    angle = 0.0
    for _ in range(6):
        turned = waves.rotated(rotation_matrix(np.array([0.0, 0.0, angle])))
        miss = (target_deg - frontal_axis_deg(turned, field) + 180.0) % 360.0 - 180.0
        angle += 0.8 * miss
    return waves.rotated(rotation_matrix(np.array([0.0, 0.0, angle]))), angle


def draw_heart(
    rng: np.random.Generator, disposition: Disposition, field: LeadField, *, female: bool
) -> Heart:
    """Draws the morphology of one patient.

    Args:
        rng: Source of randomness.
        disposition: Findings that change the morphology.
        field: The patient's lead field, against which the electrical axis is set.
        female: Women have smaller complexes and longer QT intervals.
    """
    size = float(np.exp(0.16 * rng.standard_normal())) * (0.92 if female else 1.05)
    qrs, turn_deg = with_axis(
        _draw_qrs(rng, disposition).scaled(size), field, _draw_axis_deg(rng, disposition)
    )
    block = disposition.bundle_block
    if block == "right":
        late = _QRS_RIGHT_BLOCK_LATE.scaled(size)
        qrs = qrs.joined(late.varied(rng, amplitude=0.15, angle_deg=9.0, offset_s=0.002, width=0.06))
    delay_s = 0.0 if block is None else 0.5 * max(qrs.end_s - qrs.onset_s - 0.095, 0.0)
    pr_s = rng.uniform(0.235, 0.32) if disposition.first_degree_block else rng.normal(0.152, 0.014)
    lowest_s, highest_s = (0.23, 0.33) if disposition.first_degree_block else (0.125, 0.18)
    origin = _ECTOPIC["right" if rng.random() < 0.6 else "left"]
    ectopic = origin.varied(rng, amplitude=0.15, angle_deg=15.0, offset_s=0.003, width=0.06).scaled(
        1.4 * size
    )
    against = -ectopic.areas().sum(axis=0)
    p = _P.varied(rng, amplitude=0.2, angle_deg=14.0, offset_s=0.004, width=0.1)
    flip = np.array([1.0, -1.0, 1.0]) if rng.random() < 0.7 else np.array([-0.9, 0.5, 0.8])
    return Heart(
        p=p,
        premature_p=replace(p, vector_mv=1.15 * p.vector_mv * flip),
        qrs=qrs,
        t=_draw_t(rng, disposition, size, turn_deg),
        ectopic=ectopic,
        ectopic_t=_t_waves(0.5 * size * against / np.linalg.norm(against)).stretched(1.15),
        flutter_vectors_mv=_draw_flutter(rng),
        flutter_hz=float(rng.uniform(5.2, 7.6)),
        pr_s=float(np.clip(pr_s, lowest_s, highest_s)),
        qt_s=float(np.clip(rng.normal(0.402 if female else 0.392, 0.014), 0.355, 0.445) + delay_s),
    )


def _draw_qrs(rng: np.random.Generator, disposition: Disposition) -> Waves:
    if disposition.bundle_block is None:
        base, stretch = _QRS_NORMAL, float(np.clip(rng.normal(0.96, 0.06), 0.84, 1.08))
    else:
        base = _QRS_LEFT_BLOCK if disposition.bundle_block == "left" else _QRS_RIGHT_BLOCK
        stretch = float(np.clip(rng.normal(1.03, 0.05), 0.96, 1.15))
    qrs = base.varied(rng, amplitude=0.2, angle_deg=9.0, offset_s=0.0015, width=0.06).stretched(stretch)
    notch = Waves.of(
        (rng.uniform(-14.0, 30.0), rng.uniform(4.0, 6.0), tuple(rng.normal(0.0, 0.07, 3).tolist()))
    )
    return qrs.joined(notch)


def _draw_axis_deg(rng: np.random.Generator, disposition: Disposition) -> float:
    if disposition.left_axis:
        return float(rng.uniform(-68.0, -40.0))
    if disposition.bundle_block == "left":
        return float(np.clip(rng.normal(15.0, 15.0), -14.0, 55.0))
    return float(np.clip(rng.normal(42.0, 22.0), -14.0, 78.0))


def _draw_t(rng: np.random.Generator, disposition: Disposition, size: float, turn_deg: float) -> Waves:
    if disposition.t_inversion:
        vector = _T_INVERTED
    elif disposition.bundle_block == "left":
        vector = _T_LEFT_BLOCK
    else:
        vector = _T_RIGHT_BLOCK if disposition.bundle_block == "right" else _T_NORMAL
        vector = rotation_matrix(np.array([0.0, 0.0, 0.25 * np.clip(turn_deg, -60, 60)])) @ vector
    gain = 0.9 * float(np.exp(0.18 * rng.standard_normal())) * size
    return _t_waves(vector * gain).varied(rng, amplitude=0.0, angle_deg=10.0, offset_s=0.0, width=0.1)


def _t_waves(vector_mv: Float[np.ndarray, " 3"]) -> Waves:
    """Returns a T wave that rises slowly and falls fast, ending at time 0."""
    rise_s, fall_s = 0.055, 0.036
    return Waves(
        offset_s=np.array([-2.4 * fall_s]),
        rise_s=np.array([rise_s]),
        fall_s=np.array([fall_s]),
        vector_mv=vector_mv[None, :],
    )


def _draw_flutter(rng: np.random.Generator) -> Float[np.ndarray, "2 3"]:
    strength = rng.uniform(0.05, 0.11)
    directions = np.array([[-0.25, 0.65, -0.75], [0.3, 0.55, -0.2]]) + 0.15 * rng.standard_normal((2, 3))
    return np.asarray(strength * directions)

"""The torso: which voltage the dipole makes in each lead, and what moving an electrode changes."""

import numpy as np
from jaxtyping import Float, Float32, Int16

ELECTRODES: tuple[str, ...] = ("RA", "LA", "LL", "C1", "C2", "C3", "C4", "C5", "C6")
INDEPENDENT: tuple[str, ...] = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")

DOWER = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)
"""Lead vectors of `INDEPENDENT` in Frank's axes (left, feet, back).

Source: G. E. Dower, H. B. Machado, J. A. Osborne, "On deriving the electrocardiogram from
vectorcardiographic leads", Clinical Cardiology 3 (1980), 87-95.
"""

ELECTRODES_TO_LEADS = np.array(
    [
        [-1, 1, 0, 0, 0, 0, 0, 0, 0],
        [-1, 0, 1, 0, 0, 0, 0, 0, 0],
        *([[-1 / 3] * 3 + [float(c == v) for c in range(6)] for v in range(6)]),
    ],
    dtype=np.float64,
)
"""I = LA - RA, II = LL - RA, Vi = Ci - (RA + LA + LL) / 3 (Wilson's central terminal)."""

LeadField = Float[np.ndarray, "8 3"]


def personal_field(rng: np.random.Generator, *, gain: float, offset: float) -> LeadField:
    """Draws the lead field of one body.

    Args:
        rng: Source of randomness.
        gain: Standard deviation of the logarithm of a lead's strength (conductivity, distance).
        offset: Standard deviation of each component of a lead vector (shape of the chest).
    """
    gains = np.exp(gain * rng.standard_normal((8, 1)))
    return np.asarray(DOWER * gains + offset * rng.standard_normal((8, 3)))


def displaced(
    field: LeadField,
    along: Float[np.ndarray, " 6"],
    down: Float[np.ndarray, " 6"],
    limb: Float[np.ndarray, "2 3"],
) -> LeadField:
    """Moves the electrodes of a lead field.

    An electrode between two places of the precordial chain sees a mixture of their two lead vectors;
    one placed lower sees more of the dipole's vertical part.

    Args:
        field: Lead vectors of `INDEPENDENT`.
        along: Shift of C1-C6 towards the next one, in electrode spacings (negative: the one before).
        down: Shift of C1-C6 towards the feet, in intercostal spaces.
        limb: What the position of the limb electrodes adds to the lead vectors of I and II.
    """
    moved = field.copy()
    moved[:2] += limb
    chain = np.concatenate([[2 * field[2] - field[3]], field[2:], [2 * field[7] - field[6]]])
    towards = chain[np.arange(1, 7) + np.sign(along).astype(np.int64)] - field[2:]
    moved[2:] += np.abs(along)[:, None] * towards
    moved[2:, 1] += 0.22 * down
    return moved


def quantised(independent_mv: Float32[np.ndarray, "8 samples"]) -> Int16[np.ndarray, "12 samples"]:
    """Derives the twelve leads as whole microvolts.

    I, II and V1-V6 are rounded first and III is their exact difference, so that I + III = II holds in
    the stored integers; the augmented leads are halves of integers, rounded.

    Args:
        independent_mv: I, II, V1-V6 in millivolts; they saturate at 16 mV.

    Returns:
        I, II, III, aVR, aVL, aVF, V1-V6 in microvolts.
    """
    steps = np.rint(independent_mv * np.float32(1000.0)).clip(-16000.0, 16000.0)
    one, two = steps[0], steps[1]
    three = two - one
    halves = np.rint(np.float32(0.5) * np.stack([-(one + two), one - three, two + three]))
    return np.concatenate([steps[:2], three[None], halves, steps[2:]]).astype(np.int16)

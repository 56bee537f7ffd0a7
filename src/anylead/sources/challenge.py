"""The 26 scored classes of the PhysioNet/CinC Challenge 2021 and what confusing them is worth.

Source: Reyna et al., "Will Two Do? Varying Dimensions in Electrocardiography: The PhysioNet/Computing in
Cardiology Challenge 2021"; https://github.com/physionetchallenges/evaluation-2021, weights.csv and
dx_mapping_scored.csv (BSD 2-Clause). METHOD 1.2.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from anylead.sources.snomed import CODES, NAMES


@dataclass(frozen=True, kw_only=True)
class ScoredClass:
    """One class; two codes are scored as one diagnosis."""

    index: int
    """Its row in the weight matrix."""
    codes: tuple[str, ...]
    """SNOMED CT codes, any of which makes a recording positive."""
    abbreviation: str
    """``AF``; ``CLBBB|LBBB`` where two codes are scored as one."""
    name: str


_CLASSES = (
    "AF", "AFL", "BBB", "Brady", "CLBBB|LBBB", "CRBBB|RBBB", "IAVB", "IRBBB", "LAD", "LAnFB", "LPR", "LQRSV",
    "LQT", "NSIVCB", "NSR", "PAC|SVPB", "PR", "PRWP", "PVC|VPB", "QAb", "RAD", "SA", "SB", "STach", "TAb",
    "TInv",
)  # fmt: skip


def _scored_class(index: int, abbreviation: str) -> ScoredClass:
    codes = tuple(CODES[part] for part in abbreviation.split("|"))
    name = " or ".join(NAMES[code] for code in codes)
    return ScoredClass(index=index, codes=codes, abbreviation=abbreviation, name=name)


SCORED_CLASSES: tuple[ScoredClass, ...] = tuple(_scored_class(i, a) for i, a in enumerate(_CLASSES))
"""In the row order of the weight matrix."""

SINUS_RHYTHM_INDEX = 14
"""Sinus rhythm: what a classifier that always gives the same answer would answer."""

_PLACE = (8, 8, 10, 24, 10, 16, 24, 24, 20, 20, 24, 14, 12, 20, 28, 21, 18, 14, 18, 0, 20, 24, 24, 18, 8, 8)
"""The matrix has a structure: classes stand on a line (in eightieths), from abnormal Q waves to sinus rhythm,
and mistaking one for another is worth half a point less their distance."""
_NEIGHBOURS = ((2, 4), (11, 17))
"""Two pairs in the same place whose confusion is nevertheless worth 0.475 instead of 0.5."""


def _weights() -> Float64[np.ndarray, "26 26"]:
    place = np.array(_PLACE)
    eightieths = 40 - np.abs(place[:, None] - place[None, :])
    for first, second in _NEIGHBOURS:
        eightieths[first, second] = eightieths[second, first] = 38
    np.fill_diagonal(eightieths, 80)
    weights: Float64[np.ndarray, "26 26"] = eightieths / 80.0
    weights.setflags(write=False)
    return weights


WEIGHTS: Float64[np.ndarray, "26 26"] = _weights()
"""What predicting the column's class for the row's is worth; symmetric, 1 on the diagonal. Read-only."""

_INDEX_OF_CODE = {code: scored.index for scored in SCORED_CLASSES for code in scored.codes}


def class_targets(codes: Iterable[str]) -> Bool[np.ndarray, "26"]:
    """Returns which scored classes a set of SNOMED CT codes contains.

    Args:
        codes: Any codes; those that are not scored are ignored, so all classes may be False.
    """
    targets = np.zeros(len(SCORED_CLASSES), dtype=bool)
    targets[[_INDEX_OF_CODE[code] for code in codes if code in _INDEX_OF_CODE]] = True
    return targets

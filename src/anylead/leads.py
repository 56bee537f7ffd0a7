"""Names of leads: the canonical ones, their aliases, and the lead sets people report on."""

import re
from collections.abc import Iterable, Sequence

from anylead.errors import LeadError

STANDARD_12: tuple[str, ...] = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The twelve standard leads in the order every array of this package uses."""

LEAD_SETS: dict[str, tuple[str, ...]] = {
    "12": STANDARD_12,
    "8": ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"),
    "6": ("I", "II", "III", "aVR", "aVL", "aVF"),
    "4": ("I", "II", "III", "V2"),
    "3": ("I", "II", "V2"),
    "2": ("I", "II"),
    "I": ("I",),
    "II": ("II",),
}
"""Named lead sets. 12, 6, 4, 3 and 2 are those of the PhysioNet/CinC Challenge 2021."""

LIMB_LEADS: tuple[str, ...] = STANDARD_12[:6]
INDEPENDENT_8: tuple[str, ...] = LEAD_SETS["8"]
"""Leads that are measured; the other four limb leads follow from I and II."""

FROM_I_AND_II: dict[str, tuple[float, float]] = {
    "I": (1.0, 0.0),
    "II": (0.0, 1.0),
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}
"""Every limb lead as a sum of I and II (Einthoven, Goldberger)."""

INVERSE_DOWER: tuple[tuple[float, ...], ...] = (
    (0.156, -0.009, -0.172, -0.073, 0.122, 0.231, 0.239, 0.193),
    (-0.227, 0.886, 0.057, -0.019, -0.106, -0.022, 0.040, 0.048),
    (0.021, 0.102, -0.228, -0.310, -0.245, -0.063, 0.054, 0.108),
)
"""The heart's dipole (X, Y, Z) as sums of `INDEPENDENT_8`. Source: METHOD §4 (3KG views)."""

_ALIASES: dict[str, str] = {name.lower(): name for name in STANDARD_12}
_ALIASES |= {f"d{name.lower()}": name for name in ("I", "II", "III")}
_ALIASES |= {f"ml{name.lower()}": name for name in ("I", "II", "III")}
_ALIASES |= {f"m{name.lower()}": name for name in STANDARD_12[6:]}
_ALIASES |= {"1": "I", "2": "II", "3": "III"}

_PREFIX = re.compile(r"^(?:ecg|ekg|lead|ableitung)[\s_:-]+", re.IGNORECASE)
_SUFFIX = re.compile(r"\s*\((?:einthoven|goldberger|wilson)[^)]*\)\s*$", re.IGNORECASE)


def canonical_lead(name: str) -> str:
    """Returns the canonical spelling of a lead name.

    Args:
        name: As a file gives it: ``AVR``, ``DI``, ``MLII``, ``ECG I``, ``Lead I (Einthoven)``.

    Returns:
        One of `STANDARD_12` where the name means one of them, otherwise the name itself, stripped.
        ``ECG I filtered`` stays what it is: a filtered channel is not lead I.
    """
    stripped = " ".join(name.split())
    bare = _SUFFIX.sub("", _PREFIX.sub("", stripped)).strip()
    return _ALIASES.get(bare.lower(), stripped)


def canonical_leads(names: Iterable[str], *, where: str = "leads") -> tuple[str, ...]:
    """Maps lead names to their canonical spelling.

    Args:
        names: Lead names in any known spelling.
        where: What to call the offender in an error.

    Returns:
        The canonical names, in the order given.

    Raises:
        LeadError: If there is no lead at all, a name is empty, or two names mean the same lead.
    """
    if isinstance(names, str):
        names = [part for part in re.split(r"[,\s]+", names) if part]
    result = tuple(canonical_lead(name) for name in names)
    if not result:
        raise LeadError(f"{where}: got no lead; give at least one lead name, such as I or V2.")
    if any(not name for name in result):
        raise LeadError(f"{where}: got an empty lead name in {list(result)}; name every lead.")
    duplicates = sorted({name for name in result if result.count(name) > 1})
    if duplicates:
        raise LeadError(
            f"{where}: lead {', '.join(duplicates)} is named more than once; give every lead once only."
        )
    return result


def lead_set(name: str | Sequence[str]) -> tuple[str, ...]:
    """Returns the leads of a named set, or of a comma-separated list of names.

    Args:
        name: A key of `LEAD_SETS` (``"12"``, ``"6"``, ...), a text such as ``"I,II"``, or names.

    Raises:
        LeadError: If a lead is named twice or none is named.
    """
    if isinstance(name, str) and name in LEAD_SETS:
        return LEAD_SETS[name]
    return canonical_leads(name, where="lead set")

"""Absent leads from present ones: Einthoven's law, then the heart as one dipole."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anylead.leads import FROM_I_AND_II, INDEPENDENT_8, INVERSE_DOWER, STANDARD_12

_SMALLEST_DETERMINANT = 1e-3
"""Of the normal equations over their mean eigenvalue, from which the directions do not lie in a plane."""


def _lead_vectors() -> Float[np.ndarray, "12 3"]:
    """Returns the direction in which each standard lead sees the dipole."""
    independent = dict(zip(INDEPENDENT_8, np.linalg.pinv(np.array(INVERSE_DOWER)), strict=True))
    first, second = independent["I"], independent["II"]
    derived = {name: a * first + b * second for name, (a, b) in FROM_I_AND_II.items()}
    return np.stack([{**independent, **derived}[name] for name in STANDARD_12])


LEAD_VECTORS = _lead_vectors()
"""Rows in the order of `STANDARD_12`; the pseudo-inverse of the inverse Dower matrix."""


def fill_absent_leads(
    signal: Float[Tensor, "B L N"], present: Bool[Tensor, "B L"], leads: tuple[str, ...]
) -> tuple[Float[Tensor, "B L N"], Bool[Tensor, "B L"]]:
    """Fills leads that follow from others; the present ones stay as they are.

    Limb leads follow exactly from any two of them. Then, where the present leads see the dipole from three
    directions that do not lie in a plane, the dipole that fits them best (least squares) says what every
    other standard lead shows. Limb leads alone lie in a plane: no chest lead follows from them.

    Args:
        signal: Millivolts; 0 where a lead is absent.
        present: Leads that were recorded, the same for all samples of a segment.
        leads: Names of the columns; those that are no standard lead are left alone.

    Returns:
        The signal, and which leads it has now.

    Source: PEERS §2.16 (LVCG geometry); the vectors are those of METHOD §4.
    """
    limb = torch.tensor([FROM_I_AND_II.get(name, (0.0, 0.0)) for name in leads])
    limb = limb.to(signal.device, signal.dtype)
    is_limb = torch.tensor([name in FROM_I_AND_II for name in leads], device=signal.device)
    known = [STANDARD_12.index(name) if name in STANDARD_12 else -1 for name in leads]
    rows = np.stack([LEAD_VECTORS[place] if place >= 0 else np.zeros(3) for place in known])
    vectors = torch.from_numpy(rows).to(signal.device, signal.dtype)
    is_standard = torch.tensor([place >= 0 for place in known], device=signal.device)
    signal, present = _fill(signal, present, limb, is_limb)
    return _fill(signal, present, vectors, is_standard)


def _fill(
    signal: Float[Tensor, "B L N"],
    present: Bool[Tensor, "B L"],
    vectors: Float[Tensor, "L K"],
    reach: Bool[Tensor, "L"],
) -> tuple[Float[Tensor, "B L N"], Bool[Tensor, "B L"]]:
    """Fits K sources to the present leads, and fills the leads within reach where the fit has rank K."""
    used = (present & reach).to(signal.dtype)
    sources = vectors.shape[1]
    normal = torch.einsum("bl,lk,lj->bkj", used, vectors, vectors)
    mean = normal.diagonal(dim1=1, dim2=2).mean(dim=1).clamp_min(1e-12)
    ranked = torch.linalg.det(normal / mean[:, None, None]) > _SMALLEST_DETERMINANT
    # Where the rank is too low nothing is filled, so that any regular matrix will do.
    regular = torch.where(ranked[:, None, None], normal, torch.eye(sources).to(normal))
    inverse, _ = torch.linalg.inv_ex(regular)
    weights = torch.einsum("lk,bkj,mj,bm->blm", vectors, inverse, vectors, used)
    filled = torch.bmm(weights, signal)
    fills = ~present & reach & ranked[:, None]
    return torch.where(fills.unsqueeze(-1), filled, signal), present | fills

"""Einthoven's law and the heart as one dipole: what leads say of one another."""

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


def lead_vectors(leads: tuple[str, ...]) -> Float[Tensor, "L 3"]:
    """Returns the directions of some leads; 0 for one that is not a standard lead."""
    known = {name: LEAD_VECTORS[place] for place, name in enumerate(STANDARD_12)}
    return torch.from_numpy(np.stack([known.get(name, np.zeros(3)) for name in leads])).float()


def spans_three_directions(leads: tuple[str, ...]) -> bool:
    """Returns whether leads of these names see the dipole from directions that do not lie in a plane."""
    known = [LEAD_VECTORS[STANDARD_12.index(name)] for name in leads if name in STANDARD_12]
    if len(known) < 3:
        return False
    products = np.stack(known).T @ np.stack(known)
    return bool(np.linalg.det(products / (np.trace(products) / 3.0)) > _SMALLEST_DETERMINANT)


def dipole_of(
    signal: Float[Tensor, "B L N"], present: Bool[Tensor, "B L"], leads: tuple[str, ...]
) -> tuple[Float[Tensor, "B 3 N"], Bool[Tensor, "B"]]:
    """Returns the dipole that fits the present leads best (least squares), and where three directions fix it.

    Args:
        signal: Millivolts; 0 where a lead is absent.
        present: Leads that were recorded.
        leads: Names of the columns.
    """
    vectors = lead_vectors(leads).to(signal)
    fit, ranked = _fit(present.to(signal.dtype), vectors)
    return torch.bmm(fit, signal), ranked


def seen_by_leads(dipole: Float[Tensor, "B 3 N"], leads: tuple[str, ...]) -> Float[Tensor, "B L N"]:
    """Returns what leads of these names show of a dipole; 0 for one that is not a standard lead."""
    seen: Tensor = lead_vectors(leads).to(dipole) @ dipole
    return seen


def fill_absent_leads(
    signal: Float[Tensor, "B L N"], present: Bool[Tensor, "B L"], leads: tuple[str, ...]
) -> tuple[Float[Tensor, "B L N"], Bool[Tensor, "B L"]]:
    """Fills leads that follow from others; the present ones stay as they are.

    Limb leads follow exactly from any two of them. Then, where the present leads see the dipole from three
    directions that do not lie in a plane, the dipole that fits them best says what every other standard lead
    shows. Limb leads alone lie in a plane: no chest lead follows from them.

    Args:
        signal: Millivolts; 0 where a lead is absent.
        present: Leads that were recorded, the same for all samples of a segment.
        leads: Names of the columns; those that are no standard lead are left alone.

    Returns:
        The signal, and which leads it has now.

    Source: PEERS §2.16 (LVCG geometry); the vectors are those of METHOD §4.
    """
    limb = torch.tensor([FROM_I_AND_II.get(name, (0.0, 0.0)) for name in leads]).to(signal)
    signal, present = _fill(signal, present, limb)
    return _fill(signal, present, lead_vectors(leads).to(signal))


def _fill(
    signal: Float[Tensor, "B L N"], present: Bool[Tensor, "B L"], vectors: Float[Tensor, "L K"]
) -> tuple[Float[Tensor, "B L N"], Bool[Tensor, "B L"]]:
    reach = vectors.any(dim=1)
    fit, ranked = _fit((present & reach).to(signal.dtype), vectors)
    filled = torch.bmm(vectors @ fit, signal)
    fills = ~present & reach & ranked[:, None]
    return torch.where(fills.unsqueeze(-1), filled, signal), present | fills


def _fit(
    used: Float[Tensor, "B L"], vectors: Float[Tensor, "L K"]
) -> tuple[Float[Tensor, "B K L"], Bool[Tensor, "B"]]:
    """Returns the least-squares fit of K sources to the used leads (1 or 0), and where its rank is K."""
    products = torch.einsum("bl,lk,lj->bkj", used, vectors, vectors)
    mean = products.diagonal(dim1=1, dim2=2).mean(dim=1).clamp_min(1e-12)
    ranked = torch.linalg.det(products / mean[:, None, None]) > _SMALLEST_DETERMINANT
    # Where the rank is too low the fit is not used, so that any regular matrix will do.
    regular = torch.where(ranked[:, None, None], products, torch.eye(vectors.shape[1]).to(products))
    inverse, _ = torch.linalg.inv_ex(regular)
    return inverse @ (vectors.T * used.unsqueeze(1)), ranked

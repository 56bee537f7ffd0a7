"""What the feeds ask of the recordings before they start."""

import logging
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from anylead.errors import StoreError
from anylead.store import Store, require_same_preparation

log = logging.getLogger(__name__)


def common_rate_hz(stores: Sequence[Store]) -> float:
    """Returns the one sampling rate of the stores.

    Raises:
        InputError: If there is no store.
        StoreError: If the stores were made by other steps, or hold several rates.
    """
    require_same_preparation(stores)
    rates = {store.sampling_rate_hz for store in stores}
    if len(rates) != 1:
        raise StoreError(
            f"stores: they hold recordings at {', '.join(f'{rate:g}' for rate in sorted(rates))} Hz; "
            "prepare them with one Resample step."
        )
    return rates.pop()


def name_unused_leads(stores: Sequence[Store], leads: tuple[str, ...]) -> None:
    """Logs the leads that are kept in the stores and not fed, each once."""
    unused = sorted({name for store in stores for names in store.lead_sets for name in names} - set(leads))
    if unused:
        log.warning("leads %s are in the stores and are not fed", ", ".join(unused))


def usable_leads(store: Store, row: int, leads: tuple[str, ...]) -> list[str]:
    """Returns the leads of a recording that are fed."""
    return [name for name in _leads(store, row) if name in leads]


def fed_at_all(store: Store, leads: tuple[str, ...]) -> Bool[np.ndarray, "recordings"]:
    """Tells of every recording of a store whether one of its leads is fed."""
    of_set = np.array([any(name in leads for name in names) for names in store.lead_sets], dtype=bool)
    result: Bool[np.ndarray, "recordings"] = of_set[store.lead_set_numbers]
    return result


def _leads(store: Store, row: int) -> tuple[str, ...]:
    return store.lead_sets[int(store.lead_set_numbers[row])]


def gaps_everywhere(store: Store, row: int, leads: tuple[str, ...]) -> bool:
    """Tells whether every lead of a recording that is fed has a gap somewhere."""
    flags = store.index.column("flags")[row].as_py()
    return all(f"missing:{name}" in flags for name in usable_leads(store, row, leads))


def has_whole_lead(store: Store, row: int, start: int, length: int, leads: tuple[str, ...]) -> bool:
    """Tells whether some lead that is fed has no missing sample in a window. Reads the signal."""
    signal = store.signal(row, start, length)
    fed = [place for place, name in enumerate(_leads(store, row)) if name in leads]
    return bool((~np.isnan(signal[fed]).any(axis=1)).any())

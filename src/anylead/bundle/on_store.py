"""A bundle over recordings of a store, which are prepared already: read window by window."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Float32, Int64

from anylead.bundle.bundle import Bundle
from anylead.bundle.inference import Window, cut, record_means, stack_rows
from anylead.encoders.base import Readout
from anylead.errors import StoreError
from anylead.store import Store

Rows = Sequence[int] | Int64[np.ndarray, "n"]
"""Rows of a store's index."""
Wrap = Callable[[Sequence[int]], Iterable[int]]
"""Wraps what is iterated, to show progress: `tqdm.tqdm`, for instance."""


def embed_store(
    bundle: Bundle,
    store: Store,
    indices: Rows,
    *,
    lead_set: tuple[str, ...] | None = None,
    readout: Readout | None = None,
    batch_size: int = 64,
    progress: Wrap | None = None,
) -> Float32[np.ndarray, "n E"]:
    """Returns one vector for each of the given recordings: the mean over its windows.

    Args:
        bundle: The encoder.
        store: Prepared by the bundle's own steps.
        indices: Rows of the store.
        lead_set: Leads to use; every other one is taken as absent. None uses all.
        readout: Layer and pooling; the bundle's own where None.
        batch_size: Windows at a time.
        progress: Wraps the indices, such as `tqdm.tqdm`.

    Returns:
        NaN for a recording without a window in which one of the leads is present.

    Raises:
        StoreError: If the store was prepared by other steps.
    """
    windows = windows_in(bundle, store, indices, lead_set=lead_set, progress=progress)
    return record_means(bundle.run(bundle.reader(readout), windows, batch_size=batch_size), len(indices))[0]


def embed_store_windows(
    bundle: Bundle,
    store: Store,
    indices: Rows,
    *,
    lead_set: tuple[str, ...] | None = None,
    readout: Readout | None = None,
    batch_size: int = 64,
    progress: Wrap | None = None,
) -> tuple[Float32[np.ndarray, "W E"], Int64[np.ndarray, "W"]]:
    """Returns one vector a window, and the place in `indices` of the recording of each.

    Arguments and errors are those of `embed_store`.
    """
    windows = windows_in(bundle, store, indices, lead_set=lead_set, progress=progress)
    return stack_rows(bundle.run(bundle.reader(readout), windows, batch_size=batch_size))


def predict_store(
    bundle: Bundle,
    store: Store,
    indices: Rows,
    *,
    head: str | None = None,
    lead_set: tuple[str, ...] | None = None,
    batch_size: int = 64,
    progress: Wrap | None = None,
) -> Float32[np.ndarray, "n C"]:
    """Returns the probability of each class for each of the given recordings: the mean over its windows.

    Arguments and errors are those of `embed_store` and `Bundle.predict_proba`.
    """
    windows = windows_in(bundle, store, indices, lead_set=lead_set, progress=progress)
    return record_means(bundle.run(bundle.classifier(head), windows, batch_size=batch_size), len(indices))[0]


def windows_in(
    bundle: Bundle,
    store: Store,
    indices: Rows,
    *,
    lead_set: tuple[str, ...] | None = None,
    progress: Wrap | None = None,
) -> Iterator[Window]:
    """Cuts recordings of a store, one after the other; arguments and errors are those of `embed_store`."""
    require_own_steps(bundle, store)
    known = tuple(name for name in bundle.encoder.leads if lead_set is None or name in lead_set)
    wanted = [int(index) for index in indices]
    samples = store.column("samples")
    for number, index in enumerate(wanted if progress is None else progress(wanted)):
        yield from cut(
            lambda start, count, index=index: store.signal(index, start, count),  # type: ignore[misc]
            samples=samples[index],
            leads=store.leads[index],
            known=known,
            length=bundle.manifest.window_samples,
            record=number,
        )


def require_own_steps(bundle: Bundle, store: Store) -> None:
    """Checks that a store was prepared as the bundle prepares recordings.

    Raises:
        StoreError: If it was prepared by other steps.
    """
    if store.manifest.preparation_fingerprint != bundle.preparation.fingerprint():
        raise StoreError(
            f"{store.path}: the store was prepared by other steps than this bundle's; "
            "prepare it again with --bundle, naming this one."
        )

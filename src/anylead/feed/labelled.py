"""LabelledFeed: random windows of labelled recordings, for supervised training."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64

from anylead.batch import Batch
from anylead.errors import ConfigError, InputError
from anylead.feed.collate import collate_stored
from anylead.feed.lead_masking import RandomLeadMasking
from anylead.feed.lead_sets import restrict_rows, shown_leads
from anylead.feed.order import EpochOrder
from anylead.feed.overlap import Recording, person_numbers
from anylead.feed.recordings import common_rate_hz, name_unused_leads, usable_leads
from anylead.leads import STANDARD_12
from anylead.nn.keyed_random import DrawKey, integers
from anylead.store import Store


@dataclass(frozen=True, kw_only=True)
class LabelledFeedConfig:
    """How recordings are cut and batched."""

    window_s: float = 5.0
    """Length of the window taken from each recording, elsewhere at every step."""
    batch_size: int = 64
    """Recordings in one micro-batch."""
    micro_batches: int = 1
    """Batches per optimizer update."""

    def __post_init__(self) -> None:
        if not (self.window_s > 0 and self.batch_size >= 1 and self.micro_batches >= 1):
            raise ConfigError(
                f"labelled feed: got window_s {self.window_s:g}, batch_size {self.batch_size} and "
                f"micro_batches {self.micro_batches}; give a window above 0 s and at least 1 of each."
            )


class LabelledFeed:
    """One random window per recording and step, with its labels or its person's class.

    What a step holds is a function of the seed and the step alone. Recordings shorter than a window
    are padded on the right.

    Raises:
        InputError: If there is no store or recording, or the labels don't match the recordings.
        StoreError: If the stores were made by other steps or hold several sampling rates.
        LeadError: If a store would show none of the leads.
    """

    def __init__(
        self,
        stores: Sequence[Store],
        recordings: Sequence[Recording],
        config: LabelledFeedConfig,
        *,
        seed: int,
        targets: Float32[np.ndarray, "R C"] | None = None,
        identities: Int64[np.ndarray, "R"] | None = None,
        leads: tuple[str, ...] = STANDARD_12,
        lead_masking: RandomLeadMasking | None = None,
        lead_set: tuple[str, ...] | None = None,
        store_leads: Sequence[tuple[str, ...] | None] = (),
    ) -> None:
        """Plans the feed.

        Args:
            stores: Where the recordings are.
            recordings: Which to use, as (store, row).
            config: How they are cut and batched.
            seed: Of the order, the windows and the lead masking.
            targets: Labels of each recording, for `Batch.target`; NaN where one is not known.
            identities: Class of each recording's person, for `Batch.identity`.
            leads: Columns of the batches.
            lead_masking: Hides leads at random; None hides none.
            lead_set: Show these leads only; None shows all.
            store_leads: Leads that the recordings of each store show, None for all they have; none given
                shows all of every store.
        """
        self.sampling_rate_hz = common_rate_hz(stores)
        for name, values in (("targets", targets), ("identities", identities)):
            if values is not None and len(values) != len(recordings):
                raise InputError(
                    f"labelled feed: got {len(values)} {name} for {len(recordings)} recordings; "
                    "give one each."
                )
        name_unused_leads(stores, leads)
        self._stores = list(stores)
        self._config = config
        self._seed = seed
        self._leads = leads
        self._lead_masking = lead_masking
        self._window = round(config.window_s * self.sampling_rate_hz)
        fed = leads if lead_set is None else tuple(name for name in leads if name in lead_set)
        self._shown = shown_leads(fed, store_leads or [None] * len(self._stores))
        kept = [
            place
            for place, (number, row) in enumerate(recordings)
            if usable_leads(stores[number], row, self._shown[number])
        ]
        dropped = Counter({"none of its leads is fed": len(recordings) - len(kept)})
        self.dropped: Mapping[str, int] = {reason: count for reason, count in dropped.items() if count}
        """Reason -> recordings that are not fed."""
        self._recordings = [recordings[place] for place in kept]
        self._targets = None if targets is None else targets[kept].astype(np.float32)
        self._identities = None if identities is None else identities[kept].astype(np.int64)
        persons = person_numbers(stores)
        self._persons = np.array([persons[number][row] for number, row in self._recordings], dtype=np.int64)
        samples = [stores[number].numbers("samples")[row] for number, row in self._recordings]
        self._samples = np.array(samples, dtype=np.int64)
        self._order = EpochOrder(len(self._recordings), seed=seed)

    def __len__(self) -> int:
        return len(self._recordings)

    @property
    def recordings_per_step(self) -> int:
        """Recordings of one step, all micro-batches together."""
        return self._config.batch_size * self._config.micro_batches

    def batches(self, step: int) -> list[Batch]:
        """Returns the micro-batches of one step; `Batch.row` counts through all of them."""
        count, size = self.recordings_per_step, self._config.batch_size
        chosen = self._order.at(step * count, count)
        room = np.maximum(self._samples[chosen] - self._window, 0) + 1
        key = DrawKey(seed=self._seed, step=step, purpose="feed/crop")
        starts = integers(key, torch.arange(count), 1, high=torch.from_numpy(room[:, None]))[:, 0].numpy()
        return [
            self._batch(chosen[first : first + size], starts[first : first + size], first, step)
            for first in range(0, count, size)
        ]

    def _batch(
        self, chosen: Int64[np.ndarray, "B"], starts: Int64[np.ndarray, "B"], first: int, step: int
    ) -> Batch:
        segments = []
        for place, start in zip(chosen.tolist(), starts.tolist(), strict=True):
            number, row = self._recordings[place]
            segments.append((number, row, start, min(self._window, int(self._samples[place]))))
        batch = collate_stored(
            self._stores,
            segments,
            leads=self._leads,
            sampling_rate_hz=self.sampling_rate_hz,
            rows=np.arange(first, first + len(chosen), dtype=np.int64),
            patients=self._persons[chosen],
            target=None if self._targets is None else self._targets[chosen],
            identity=None if self._identities is None else self._identities[chosen],
        )
        numbers = [self._recordings[place][0] for place in chosen.tolist()]
        batch = restrict_rows(batch, self._shown, np.array(numbers, dtype=np.int64))
        if self._lead_masking is None:
            return batch
        return self._lead_masking.apply(batch, DrawKey(seed=self._seed, step=step, purpose="feed/leads"))

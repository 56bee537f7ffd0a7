"""PairFeed: pairs of neighbouring windows of one recording, for contrastive pre-training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Int64

from anylead.batch import Batch
from anylead.errors import ConfigError
from anylead.feed.augmentation import Augmentation
from anylead.feed.collate import collate_stored
from anylead.feed.lead_masking import RandomLeadMasking
from anylead.feed.lead_sets import restrict_rows, shown_leads
from anylead.feed.order import EpochOrder, MixtureOrder, whole_weights
from anylead.feed.overlap import DropReport, Recording, person_numbers, usable_rows
from anylead.feed.recordings import (
    common_rate_hz,
    fed_at_all,
    gaps_everywhere,
    has_whole_lead,
    name_unused_leads,
)
from anylead.leads import STANDARD_12
from anylead.nn.keyed_random import DrawKey, uniform
from anylead.store import Store


@dataclass(frozen=True, kw_only=True)
class PairFeedConfig:
    """How pairs are cut and batched."""

    window_s: float = 5.0
    """Length of one of the two windows."""
    pairs_per_batch: int = 64
    """Pairs in one micro-batch: a batch has twice as many segments (METHOD §2)."""
    micro_batches: int = 1
    """Batches per optimizer update."""
    crop: Literal["grid", "random"] = "grid"
    """``grid``: the windows 0 and 1, 2 and 3, ... of a recording, as the paper. ``random``: the recording is
    cut into equal stretches of at least two windows, and the two windows lie anywhere in theirs, in order
    and without overlap, elsewhere at every step. For recordings of two windows' length both are the same."""
    second: Literal["neighbour", "same"] = "neighbour"
    """Which window is the second of a pair: another one of the recording, or the first once more, for
    objectives that compare two augmentations of one window, which may be as long as a recording."""
    persons_together: bool = False
    """Keep a person's pairs side by side, so that recordings of different days meet in a batch, where CMSC
    takes them for positives of each other (METHOD §3.8). Needs patient ids; the paper had none."""

    def __post_init__(self) -> None:
        if not (self.window_s > 0 and self.pairs_per_batch >= 1 and self.micro_batches >= 1):
            raise ConfigError(
                f"pairs: got window_s {self.window_s:g}, pairs_per_batch {self.pairs_per_batch} and "
                f"micro_batches {self.micro_batches}; give a window above 0 s and at least 1 of each."
            )


@dataclass(frozen=True, kw_only=True)
class StoreShare:
    """What one store gives."""

    store: str
    """Its folder."""
    pairs: int
    """Pairs it holds."""
    segments_per_step: float
    """Segments a step gets from it, on average."""


@dataclass(frozen=True, kw_only=True)
class PairFeedReport:
    """What is fed and what is not."""

    recordings: int
    """Recordings that give at least one pair."""
    pairs: int
    """Pairs that are fed."""
    dropped: Mapping[str, int]
    """Reason -> recordings that give none, or, for ``pairs in a gap of all leads``, pairs."""
    overlap: DropReport | None
    """What the overlap with test and validation splits took; None where the recordings were given."""
    pairs_per_epoch: int | None = None
    """Pairs in which each is seen once, or, with weights, at least once; None is `pairs`."""
    stores: tuple[StoreShare, ...] = ()
    """What each store gives."""


class PairFeed:
    """Which pairs are in the batches of a step, and the batches themselves.

    What a step holds is a function of the seed and the step alone: any step can be asked for, in
    any order, and is always the same.

    Raises:
        InputError: If there is no store, or no recording gives a pair.
        StoreError: If the stores were made by other steps or hold several sampling rates.
        ConfigError: If weights are not one positive number a store.
        LeadError: If a store would show none of the leads.
    """

    def __init__(
        self,
        stores: Sequence[Store],
        config: PairFeedConfig,
        *,
        seed: int,
        leads: tuple[str, ...] = STANDARD_12,
        augmentation: Augmentation | None = None,
        lead_masking: RandomLeadMasking | None = None,
        recordings: Sequence[Recording] | None = None,
        store_weights: Sequence[float] = (),
        store_leads: Sequence[tuple[str, ...] | None] = (),
    ) -> None:
        """Plans the pairs.

        Args:
            stores: Where the recordings are.
            config: How pairs are cut and batched.
            seed: Of the order, the crops and the lead masking.
            leads: Columns of the batches.
            augmentation: Changes every segment at random, before leads are hidden; None changes none.
            lead_masking: Hides leads at random; None hides none.
            recordings: Which recordings to use; None takes those that may be trained on.
            store_weights: Proportions in which the stores' pairs are fed, one a store; none shuffles the
                pairs of all stores together.
            store_leads: Leads that the recordings of each store show, None for all they have; none given
                shows all of every store.
        """
        self._stores = list(stores)
        self._config = config
        self._seed = seed
        self._leads = leads
        self._shown = shown_leads(leads, store_leads or [None] * len(self._stores))
        if store_weights:
            whole_weights(store_weights, len(self._stores))
        self._augmentation = augmentation
        self._lead_masking = lead_masking
        self.sampling_rate_hz = common_rate_hz(stores)
        self._window = round(config.window_s * self.sampling_rate_hz)
        name_unused_leads(stores, leads)
        overlap: DropReport | None = None
        if recordings is None:
            rows, overlap = usable_rows(stores, "train")
        else:
            rows = np.array(recordings, dtype=np.int64).reshape(-1, 2)
        self._pairs, dropped = self._plan(rows)
        self._persons = person_numbers(stores)
        groups = self._persons_of(self._pairs) if config.persons_together else None
        self._order: EpochOrder | MixtureOrder = EpochOrder(len(self._pairs), seed=seed, groups=groups)
        per_store = np.bincount(self._pairs[:, 0], minlength=len(self._stores)).tolist()
        shares = tuple(pairs / len(self._pairs) for pairs in per_store)
        epoch = len(self._pairs)
        if store_weights:
            self._order = MixtureOrder(self._pairs[:, 0], weights=store_weights, seed=seed, groups=groups)
            shares, epoch = self._order.shares, self._order.places_per_epoch
        self.report = PairFeedReport(
            recordings=len(np.unique(self._pairs[:, :2], axis=0)),
            pairs=len(self._pairs),
            dropped=dropped,
            overlap=overlap,
            pairs_per_epoch=epoch,
            stores=tuple(
                StoreShare(
                    store=str(store.path), pairs=pairs, segments_per_step=2 * self.pairs_per_step * share
                )
                for store, pairs, share in zip(self._stores, per_store, shares, strict=True)
            ),
        )

    @property
    def pairs_per_step(self) -> int:
        """Pairs of one step, all micro-batches together."""
        return self._config.pairs_per_batch * self._config.micro_batches

    @property
    def steps_per_epoch(self) -> float:
        """Steps in which every pair is seen once; with weights, at least once."""
        return (self.report.pairs_per_epoch or self.report.pairs) / self.pairs_per_step

    def batches(self, step: int) -> list[Batch]:
        """Returns the micro-batches of one step.

        Rows are pair 0 window 0, pair 0 window 1, pair 1 window 0, ...; `Batch.row` counts through
        all micro-batches.
        """
        return self.batches_of(step, part=0, parts=1, share="micro_batches")

    def batches_of(
        self, step: int, *, part: int, parts: int, share: Literal["micro_batches", "pairs"]
    ) -> list[Batch]:
        """Returns one process' part of `batches`, and makes no other.

        Args:
            step: Updates done.
            part: Number of the process.
            parts: How many there are.
            share: Each gets some micro-batches whole, or some pairs of each micro-batch.

        Raises:
            ConfigError: If the micro-batches, or the pairs, cannot be shared out evenly.
        """
        shared = self._config.micro_batches if share == "micro_batches" else self._config.pairs_per_batch
        if shared % parts:
            other = "pairs" if share == "micro_batches" else "micro_batches"
            raise ConfigError(
                f"feed: {parts} processes cannot share {shared} {share.replace('_', '-')} evenly; "
                f"take a number that divides them, another feed.{share.replace('pairs', 'pairs_per_batch')}, "
                f"or share {other}."
            )
        per_batch, own = self._config.pairs_per_batch, shared // parts
        chosen = self._pairs[self._order.at(step * self.pairs_per_step, self.pairs_per_step)]
        starts = self._starts(chosen, step)
        if share == "micro_batches":
            firsts = [number * per_batch for number in range(part * own, (part + 1) * own)]
            count = per_batch
        else:
            firsts = [first + part * own for first in range(0, self.pairs_per_step, per_batch)]
            count = own
        return [
            self._batch(chosen[first : first + count], starts[first : first + count], first, step)
            for first in firsts
        ]

    def _plan(self, rows: Int64[np.ndarray, "R 2"]) -> tuple[Int64[np.ndarray, "P 4"], dict[str, int]]:
        """Lists the pairs: store, row, first sample and length of the stretch the two windows lie in."""
        samples = self._of_recordings(rows, lambda number: self._stores[number].numbers("samples"))
        fed = self._of_recordings(
            rows, lambda number: fed_at_all(self._stores[number], self._shown[number])
        ).astype(bool)
        counts, needed_s = samples // (2 * self._window), 2 * self._config.window_s
        if self._config.second == "same":
            # One window is enough where it is both of a pair.
            counts, needed_s = np.maximum(counts, samples >= self._window), self._config.window_s
        kept = (counts > 0) & fed
        dropped = {
            f"shorter than {needed_s:g} s": int((counts == 0).sum()),
            "none of its leads is fed": int(((counts > 0) & ~fed).sum()),
        }
        pairs = self._stretches(rows[kept], samples[kept], counts[kept])
        whole = self._not_in_gaps(pairs)
        dropped["pairs in a gap of all leads"] = int((~whole).sum())
        return pairs[whole], {reason: count for reason, count in dropped.items() if count}

    def _of_recordings(
        self, rows: Int64[np.ndarray, "R 2"], column: Callable[[int], np.ndarray]
    ) -> Int64[np.ndarray, "R"]:
        """Returns a column of the stores, asked for by number, in the order of (store, row)."""
        result = np.zeros(len(rows), dtype=np.int64)
        for number in np.unique(rows[:, 0]).tolist():
            own = rows[:, 0] == number
            result[own] = column(number)[rows[own, 1]]
        return result

    def _not_in_gaps(self, pairs: Int64[np.ndarray, "P 4"]) -> Bool[np.ndarray, "P"]:
        """Tells which pairs have a whole lead; reads the signals of recordings with gaps only."""
        result = np.ones(len(pairs), dtype=bool)
        gaps = self._of_recordings(pairs[:, :2], lambda number: self._stores[number].gaps)
        for place in np.flatnonzero(gaps).tolist():
            number, row, start, length = pairs[place].tolist()
            store = self._stores[number]
            if gaps_everywhere(store, row, self._shown[number]):
                result[place] = self._is_whole(store, row, start, length, self._shown[number])
        return result

    def _persons_of(self, pairs: Int64[np.ndarray, "P 4"]) -> Int64[np.ndarray, "P"]:
        first = np.cumsum([0, *map(len, self._persons)])
        found: Int64[np.ndarray, "P"] = np.concatenate(self._persons)[first[pairs[:, 0]] + pairs[:, 1]]
        return found

    def _stretches(
        self,
        rows: Int64[np.ndarray, "R 2"],
        samples: Int64[np.ndarray, "R"],
        counts: Int64[np.ndarray, "R"],
    ) -> Int64[np.ndarray, "P 4"]:
        """Returns store, row, first sample and length of every stretch, recording after recording."""
        total, count = np.repeat(samples, counts), np.repeat(counts, counts)
        place = np.arange(len(total)) - np.repeat(np.cumsum(counts) - counts, counts)
        if self._config.crop == "grid":
            start = 2 * self._window * place
            stop = start + 2 * self._window
        else:
            start, stop = total * place // count, total * (place + 1) // count
        return np.column_stack([np.repeat(rows, counts, axis=0), start, stop - start])

    def _is_whole(self, store: Store, row: int, start: int, length: int, shown: tuple[str, ...]) -> bool:
        """Tells whether both windows of a pair have a lead, wherever in the stretch they lie."""
        if self._config.crop == "random":
            return has_whole_lead(store, row, start, length, shown)
        half, windows = self._window, (0,) if self._config.second == "same" else (0, 1)
        return all(has_whole_lead(store, row, start + k * half, half, shown) for k in windows)

    def _starts(self, chosen: Int64[np.ndarray, "P 4"], step: int) -> Int64[np.ndarray, "P 2"]:
        """Returns the first samples of both windows of each pair."""
        if self._config.second == "same":
            return self._same_starts(chosen, step)
        first, slack = chosen[:, 2], chosen[:, 3] - 2 * self._window
        if not slack.any():
            return np.stack([first, first + self._window], axis=1)
        key = DrawKey(seed=self._seed, step=step, purpose="feed/crop")
        draws = uniform(key, torch.arange(len(chosen)), 2, dtype=torch.float64).sort(dim=1).values.numpy()
        # Two sorted offsets within the slack, the second moved on by a window: never an overlap.
        offsets = np.floor(draws * (slack[:, None] + 1)).astype(np.int64)
        starts: Int64[np.ndarray, "P 2"] = first[:, None] + offsets + np.array([0, self._window])
        return starts

    def _same_starts(self, chosen: Int64[np.ndarray, "P 4"], step: int) -> Int64[np.ndarray, "P 2"]:
        """One window a pair: the first of the stretch, or anywhere in it."""
        first, slack = chosen[:, 2], chosen[:, 3] - self._window
        if self._config.crop == "random":
            key = DrawKey(seed=self._seed, step=step, purpose="feed/crop")
            drawn = uniform(key, torch.arange(len(chosen)), 1, dtype=torch.float64).numpy()[:, 0]
            first = first + np.floor(drawn * (slack + 1)).astype(np.int64)
        return np.stack([first, first], axis=1)

    def _batch(
        self, chosen: Int64[np.ndarray, "P 4"], starts: Int64[np.ndarray, "P 2"], first: int, step: int
    ) -> Batch:
        segments, persons = [], []
        for (number, row, _, _), places in zip(chosen.tolist(), starts.tolist(), strict=True):
            segments += [(number, row, start, self._window) for start in places]
            persons += [int(self._persons[number][row])] * 2
        batch = collate_stored(
            self._stores,
            segments,
            leads=self._leads,
            sampling_rate_hz=self.sampling_rate_hz,
            rows=np.arange(2 * first, 2 * first + len(segments), dtype=np.int64),
            patients=persons,
            segment=np.tile(np.array([0, 1], dtype=np.int64), len(chosen)),
        )
        batch = restrict_rows(batch, self._shown, np.repeat(chosen[:, 0], 2))
        if self._augmentation is not None:
            batch = self._augmentation.apply(
                batch, DrawKey(seed=self._seed, step=step, purpose="feed/augment")
            )
        if self._lead_masking is None:
            return batch
        return self._lead_masking.apply(batch, DrawKey(seed=self._seed, step=step, purpose="feed/leads"))

"""Which segments are in the batches of a step, and the batches."""

from anylead.feed.augmentation import Augmentation, DipoleViews, Noises
from anylead.feed.collate import collate
from anylead.feed.labelled import LabelledFeed, LabelledFeedConfig
from anylead.feed.lead_masking import RandomLeadMasking
from anylead.feed.lead_sets import restrict_leads
from anylead.feed.lookahead import Lookahead
from anylead.feed.overlap import DropReport, Recording, person_numbers, training_indices, usable_indices
from anylead.feed.pairs import PairFeed, PairFeedConfig, PairFeedReport
from anylead.feed.targets import class_targets, identity_targets
from anylead.feed.windows import windows

__all__ = [
    "Augmentation",
    "DipoleViews",
    "DropReport",
    "LabelledFeed",
    "LabelledFeedConfig",
    "Lookahead",
    "Noises",
    "PairFeed",
    "PairFeedConfig",
    "PairFeedReport",
    "RandomLeadMasking",
    "Recording",
    "class_targets",
    "collate",
    "identity_targets",
    "person_numbers",
    "restrict_leads",
    "training_indices",
    "usable_indices",
    "windows",
]

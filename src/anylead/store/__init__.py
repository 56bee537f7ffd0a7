"""Prepared recordings on disk: shards, index, splits."""

from anylead.store.manifest import StoreManifest
from anylead.store.persons import numbered, same_person
from anylead.store.reader import Places, Store, require_same_preparation
from anylead.store.splits import SPLITS, Split, SplitConfig
from anylead.store.writer import PrepareSummary, write_store

__all__ = [
    "SPLITS",
    "Places",
    "PrepareSummary",
    "Split",
    "SplitConfig",
    "Store",
    "StoreManifest",
    "numbered",
    "require_same_preparation",
    "same_person",
    "write_store",
]

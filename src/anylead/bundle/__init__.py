"""Bundle: what is released and used — encoder, heads, preparation, input contract, provenance."""

from anylead.bundle.bundle import Bundle, load
from anylead.bundle.folder import read_manifest
from anylead.bundle.manifest import BUNDLE_FORMAT, BundleManifest, HeadManifest
from anylead.bundle.on_store import embed_store, embed_store_windows, predict_store, require_own_steps

__all__ = [
    "BUNDLE_FORMAT",
    "Bundle",
    "BundleManifest",
    "HeadManifest",
    "embed_store",
    "embed_store_windows",
    "load",
    "predict_store",
    "read_manifest",
    "require_own_steps",
]

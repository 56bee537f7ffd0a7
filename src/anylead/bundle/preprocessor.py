"""What must be done to a recording before the encoder sees it, in the words of other people's libraries."""

from typing import Any

from anylead.bundle.manifest import BundleManifest


def preprocessor_config(manifest: BundleManifest) -> dict[str, Any]:
    """Returns the content of `preprocessor_config.json`: nothing that the manifest does not say.

    The first three names are those of feature extractors on the Hugging Face Hub.
    """
    return {
        "sampling_rate": manifest.sampling_rate_hz,
        "feature_size": len(manifest.leads),
        "padding_value": 0.0,
        "unit": "mV",
        "leads": list(manifest.leads),
        "window_s": manifest.window_s,
        "window_samples": manifest.window_samples,
        "preparation": manifest.to_plain()["preparation"],
    }

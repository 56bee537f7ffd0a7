"""The `README.md` of a bundle: what it is, how to use it, what it is not for."""

import json
from collections.abc import Mapping

from anylead.bundle.manifest import BundleManifest, HeadManifest

_TEMPLATE = """---
library_name: anylead
pipeline_tag: feature-extraction
tags: [ecg, electrocardiogram, self-supervised]
---
# ECG encoder for any set of leads

A bundle of the Python package `anylead`: an encoder, {heads}the preparation it was trained with,
and what it may be fed.

```python
import anylead

model = anylead.load("path/to/this/folder")
embedding = model.embed(signal, fs=500, leads=["I", "II"])  # signal: (leads, samples) in mV
```

| | |
|---|---|
| encoder | `{kind}`, {encoder} |
| leads it knows | {leads}; any subset may be given |
| input | millivolts at any rate from 50 to 10,000 Hz, prepared as `config.json` says |
| window | {window:g} s at {rate:g} Hz; longer recordings are averaged over windows |
| read-out | layer {layer}, pooling `{pooling}` |
| trained with | anylead {version}, commit {commit} |

{table}## Measured

{numbers}

## Intended use and limits

For research. It is not a medical device: nothing here has been shown to be safe for decisions about patients.
Embeddings of an ECG can identify a person, and identifying people by their ECG is biometrics: it needs their
consent and a legal ground. Recordings of other devices, ages or countries than the training data may be read
worse.
"""


def model_card(manifest: BundleManifest) -> str:
    """Returns the text of the `README.md` of a bundle."""
    encoder = ", ".join(
        f"{name} {value}" for name, value in manifest.encoder.items() if name in ("layers", "dimension")
    )
    numbers = (
        f"```json\n{json.dumps(manifest.numbers, indent=1)}\n```"
        if manifest.numbers
        else "Nothing has been measured for this bundle yet."
    )
    return _TEMPLATE.format(
        heads=f"the heads {', '.join(manifest.heads)}, " if manifest.heads else "",
        kind=manifest.encoder_kind,
        encoder=encoder or "see `config.json`",
        leads=", ".join(manifest.leads),
        window=manifest.window_s,
        rate=manifest.sampling_rate_hz,
        layer="last" if manifest.readout.layer is None else manifest.readout.layer,
        pooling=manifest.readout.pooling,
        version=manifest.provenance.get("anylead", "unknown"),
        commit=manifest.provenance.get("commit") or "unknown",
        table=_heads_table(manifest.heads),
        numbers=numbers,
    )


def _heads_table(heads: Mapping[str, HeadManifest]) -> str:
    if not heads:
        return ""
    rows = [
        f"| `{name}` | {head.kind} | {len(head.classes)} | {', '.join(head.leads or ('any',))} |"
        for name, head in heads.items()
    ]
    columns = ["| name | kind | classes | leads |", "|---|---|---|---|"]
    return "\n".join(["## Heads", "", *columns, *rows, "", ""])

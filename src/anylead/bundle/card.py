"""The `README.md` of a bundle: what it is, how to use it, what was measured, what it is not for."""

from collections.abc import Mapping
from typing import Any

import yaml

from anylead.bundle.card_data import data_section, public_data, weights_licence
from anylead.bundle.card_scores import measured_section
from anylead.bundle.manifest import BundleManifest, HeadManifest
from anylead.bundle.markdown import flat, table

_TEMPLATE = """---
{front}---
# {title}

Turns electrocardiograms (ECGs) into vectors, from whichever leads there are: twelve, two, or one.
{heads_told}For research; **not a medical device**.

## Use

It needs the Python package `anylead`. Loading reads `config.json` and `model.safetensors`, and runs no code
that comes with them.

```python
import anylead

model = anylead.load("{name}"){beside}
embedding = model.embed(signal, fs=500, leads=["I", "II"])  # signal: (leads, samples) in mV
{predict}```

{facts}
{heads}## Intended use and limits

- For research on ECG representations, classification and identification. It is not a medical device: nothing
  here has been shown to be safe for decisions about patients.
- Embeddings of an ECG can identify the person it came from, and telling people apart by their ECG is
  biometrics: it needs their consent and a legal ground. Treat embeddings as personal data.
- Recordings of other devices, ages, countries or lead positions than those of the training data may be read
  worse. Evaluate on your own recordings, by patient, before you rely on anything.

{measured}
{data}"""


def model_card(manifest: BundleManifest, *, figure: str | None = None) -> str:
    """Returns the text of the `README.md` of a bundle.

    Args:
        manifest: What is told comes from it alone. ``provenance["release"]`` may name the repository
            (``name``) and the licence of the weights (``licence``).
        figure: Name of the file beside the card that shows the any-lead curve; None where there is none.
    """
    release = manifest.provenance.get("release") or {}
    name = release.get("name")
    short = f"{name.split('/')[-1]}: an " if name else ""
    title = f"{short}ECG encoder for any set of leads"
    return _TEMPLATE.format(
        front=_front(manifest),
        title=title,
        name=name or "path/to/this/folder",
        beside="  # or the path of a folder that holds these files" if name else "",
        heads_told=f"It has the heads {', '.join(f'`{one}`' for one in manifest.heads)}.\n"
        if manifest.heads
        else "",
        predict=_predict(manifest.heads),
        facts=_facts(manifest),
        heads=_heads_section(manifest.heads),
        measured=measured_section(manifest.numbers, heads=tuple(manifest.heads), figure=figure),
        data=data_section(manifest),
    )


def _front(manifest: BundleManifest) -> str:
    licence = weights_licence(manifest.provenance)
    data = [one.source for one in public_data(manifest)]
    values: dict[str, Any] = {
        "library_name": "anylead",
        "pipeline_tag": "feature-extraction",
        **({"license": licence} if licence else {}),
        **({"datasets": data} if data else {}),
        "tags": ["ecg", "electrocardiogram", "self-supervised", "any-lead"],
    }
    return str(yaml.safe_dump(values, sort_keys=False))


def _facts(manifest: BundleManifest) -> str:
    encoder = flat({n: v for n, v in manifest.encoder.items() if n in ("layers", "dimension")})
    number = manifest.readout.layer
    layer = "the last layer" if number is None else f"layer {number}"
    steps = ", ".join(f"`{step.get('kind')}`" for step in manifest.preparation.get("steps", ()))
    version, commit = manifest.provenance.get("anylead", "unknown"), manifest.provenance.get("commit")
    rows = [
        ("encoder", f"`{manifest.encoder_kind}`: {encoder or 'see `config.json`'}"),
        ("leads it knows", f"{', '.join(manifest.leads)}; any subset may be given"),
        ("input", "millivolts at any rate from 50 to 10,000 Hz; missing samples are NaN"),
        ("preparation", f"done by `embed` itself: {steps}"),
        (
            "window",
            f"{manifest.window_s:g} s at {manifest.sampling_rate_hz:g} Hz; a recording is the mean over its "
            "windows",
        ),
        ("read-out", f"{layer}, pooled by `{manifest.readout.pooling}`"),
        ("made by", f"anylead {version}" + (f", commit {commit}" if commit else "")),
    ]
    return (
        f"{table(('', ''), rows)}\n\n"
        "`preprocessor_config.json` says the preparation once more, for other libraries; `config.json` says "
        "everything.\n"
    )


def _predict(heads: Mapping[str, HeadManifest]) -> str:
    named = next((name for name, head in heads.items() if head.kind != "arcface"), None)
    if named is None:
        return ""
    return (
        f'probabilities = model.predict_proba(signal, fs=500, leads=["I", "II"], head="{named}")\n'
        f'classes = model.classes("{named}")\n'
    )


def _heads_section(heads: Mapping[str, HeadManifest]) -> str:
    if not heads:
        return ""
    rows = [
        (f"`{name}`", head.kind, str(len(head.classes)), ", ".join(head.leads or ("any",)))
        for name, head in heads.items()
    ]
    return f"## Heads\n\n{table(('name', 'kind', 'classes', 'leads'), rows)}\n\n"

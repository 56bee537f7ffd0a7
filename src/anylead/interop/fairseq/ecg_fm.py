"""ECG-FM: a fairseq-signals model with a preparation and labels of its own.

McKeen et al. 2024 (arXiv 2408.05178), https://github.com/bowang-lab/ECG-FM; the weights, at
https://huggingface.co/wanglab/ecg-fm, are under the MIT licence.

Source: METHOD §7; the labels' names are those of the repository's ``label_def.csv``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from anylead.preparation import (
    DropAbsentLeads,
    FillGaps,
    FlagQuality,
    LinearResample,
    Preparation,
    StandardizeLeads,
)

URL = "https://huggingface.co/wanglab/ecg-fm"
LICENCE = "MIT"
CITATION = "McKeen et al. 2024, ECG-FM: An Open Electrocardiogram Foundation Model, arXiv:2408.05178"

PRETRAINED = "mimic_iv_ecg_physionet_pretrained.pt"
SHA256 = {"4d0142bcb485eb9f0c7845e0c19ff3463f6ae9d0e458eab69136efe90ceb9b7e": PRETRAINED}
"""Of the published files, as far as known, with their names."""

LABELS = (
    "Poor data quality",
    "Sinus rhythm",
    "Premature ventricular contraction",
    "Tachycardia",
    "Ventricular tachycardia",
    "Supraventricular tachycardia with aberrancy",
    "Atrial fibrillation",
    "Atrial flutter",
    "Bradycardia",
    "Accessory pathway conduction",
    "Atrioventricular block",
    "1st degree atrioventricular block",
    "Bifascicular block",
    "Right bundle branch block",
    "Left bundle branch block",
    "Infarction",
    "Electronic pacemaker",
)
"""Outputs of the fine-tuned model, in order."""

_WORDS = ("mimic", "ecg_fm", "ecg-fm", "ecgfm")


def preparation(*, rate_hz: float = 500.0) -> Preparation:
    """Returns the steps ECG-FM's recordings went through; short gaps, which its data had not, are bridged.

    Linear interpolation to one rate, then each lead of the whole record to mean 0 and standard deviation 1.
    """
    return Preparation(
        steps=(
            DropAbsentLeads(),
            FillGaps(),
            FlagQuality(),
            LinearResample(rate_hz=rate_hz),
            StandardizeLeads(),
        )
    )


def evidence(config: Mapping[str, Any], *, file_name: str, sha256: str, outputs: int | None) -> str | None:
    """Says by what a checkpoint shows that it is ECG-FM's; None where nothing does.

    A checkpoint does not say how its recordings were prepared, so that this is a guess unless the file is one
    of those known.

    Args:
        config: The checkpoint's, nested.
        file_name: Its name.
        sha256: Of the file.
        outputs: Of its classification head, if any.
    """
    if sha256 in SHA256:
        return f"it is the published {SHA256[sha256]}"
    if any(word in file_name.lower() for word in _WORDS):
        return f"the file is called {file_name}"
    named = next((text for text in _texts(config) if any(word in text.lower() for word in _WORDS)), None)
    if named is not None:
        return f"its configuration names {named}"
    return f"its head has {outputs} outputs" if outputs == len(LABELS) else None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)

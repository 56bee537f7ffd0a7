"""import-checkpoint: a checkpoint of fairseq-signals, ECG-FM or one of the ECG-JEPAs becomes a bundle."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from anylead.bundle import Bundle
from anylead.errors import CheckpointError, ConfigError, InputError
from anylead.heads import ArcFaceHead, Head, LinearHead
from anylead.interop.ecg_jepa import kim, weimann
from anylead.interop.ecg_jepa.model import ECGJEPA
from anylead.interop.fairseq import ecg_fm
from anylead.interop.fairseq.checkpoint import FairseqCheckpoint, checkpoint_of
from anylead.interop.fairseq.models import FairseqModel, build
from anylead.interop.torch_file import read_torch_file
from anylead.preparation import Preparation
from anylead.sources.challenge import SCORED_CLASSES

FRAMEWORK = "https://github.com/Jwoo5/fairseq-signals"


@dataclass(frozen=True, kw_only=True)
class ImportCheckpointConfig:
    """Configuration of `import_checkpoint`."""

    checkpoint: Path
    """File that fairseq-signals or the code of an ECG-JEPA wrote."""
    out: Path
    """Folder of the bundle."""
    preparation: Literal["auto", "ecg-fm", "fairseq-signals", "mimic-iv-ecg", "ptb-xl"] = "auto"
    """How its training recordings were prepared: ``ecg-fm`` standardises each lead of a record,
    ``fairseq-signals`` leaves millivolts; for the ECG-JEPA of Weimann and Conrad, the data set whose
    constants scale each lead. ``auto`` guesses and says by what."""
    classes: tuple[str, ...] = ()
    """Names of the outputs of its head; without, those of ECG-FM or of the Challenge where they fit."""
    leads: tuple[str, ...] = ()
    """What its input columns are, where they are not the standard leads."""


@dataclass(frozen=True, kw_only=True)
class ImportedCheckpoint:
    """What was made."""

    out: Path
    model: str
    """What it is, in one line."""
    assumed: tuple[str, ...]
    """What the file does not say and was assumed, one sentence each."""


def import_checkpoint(config: ImportCheckpointConfig) -> ImportedCheckpoint:
    """Writes the bundle; in it the encoder runs as theirs does (reference mode).

    What only pre-training needs is left out: bundles are for using a model.

    Raises:
        CheckpointError: If the file is none of these; the first thing that differs is named.
        ConfigError: If the model differs in something our encoder does not have, there is not one class an
            output or one lead a column, or the preparation is another model's.
        BundleError: If the folder cannot be written.
    """
    content = read_torch_file(config.checkpoint)
    if weimann.is_theirs(content) or kim.is_theirs(content):
        return _import_ecg_jepa(content, config)
    return _import_fairseq(checkpoint_of(content, path=config.checkpoint), config)


def _import_fairseq(checkpoint: FairseqCheckpoint, config: ImportCheckpointConfig) -> ImportedCheckpoint:
    _require_preparation(config, ("auto", "ecg-fm", "fairseq-signals"), model="fairseq-signals")
    model = _build(checkpoint, config)
    sha256 = _sha256(config.checkpoint)
    outputs = len(model.head.config.classes) if isinstance(model.head, LinearHead) else None
    evidence = ecg_fm.evidence(
        checkpoint.config, file_name=config.checkpoint.name, sha256=sha256, outputs=outputs
    )
    is_ecg_fm = config.preparation == "ecg-fm" or (config.preparation == "auto" and evidence is not None)
    classes, named = _classes(model.head, config, is_ecg_fm=is_ecg_fm)
    if model.head is not None and classes != model.head.config.classes:
        model = _build(checkpoint, config, classes=classes)
    rate_hz = model.encoder.sampling_rate_hz
    assumed = [
        _preparation_sentence(config, evidence, rate_hz=rate_hz, is_ecg_fm=is_ecg_fm),
        *_leads_sentences(model, checkpoint, config),
        *named,
        *_task_sentences(checkpoint),
        *_size_sentences(model),
    ]
    bundle = Bundle.assemble(
        model.encoder.eval(),
        preparation=(
            ecg_fm.preparation(rate_hz=rate_hz) if is_ecg_fm else Preparation.default(rate_hz=rate_hz)
        ),
        heads={} if model.head is None else {_HEADS[type(model.head)]: model.head},
        provenance={"imported": _provenance(checkpoint, config, sha256, assumed, is_ecg_fm=is_ecg_fm)},
    )
    bundle.save_pretrained(config.out)
    return ImportedCheckpoint(out=config.out, model=_line(checkpoint, model), assumed=tuple(assumed))


def _import_ecg_jepa(content: Mapping[str, Any], config: ImportCheckpointConfig) -> ImportedCheckpoint:
    model = _build_ecg_jepa(content, config)
    bundle = Bundle.assemble(
        model.encoder.eval(),
        preparation=model.preparation,
        window_s=model.window_s,
        provenance={
            "imported": {
                "file": config.checkpoint.name,
                "sha256": _sha256(config.checkpoint),
                "framework": model.source["url"],
                "model": model.name,
                "trained": model.trained,
                "assumed": list(model.assumed),
                **model.source,
            }
        },
    )
    bundle.save_pretrained(config.out)
    encoder = model.encoder
    facts = (
        f"{model.name}, {encoder.layers} layers of {encoder.dimension}",
        f"{len(encoder.leads)} leads",
        "no head",
        *([model.trained] if model.trained else []),
    )
    return ImportedCheckpoint(out=config.out, model=", ".join(facts), assumed=model.assumed)


def _build_ecg_jepa(content: Mapping[str, Any], config: ImportCheckpointConfig) -> ECGJEPA:
    theirs = weimann if weimann.is_theirs(content) else kim
    _require_preparation(config, theirs.PREPARATIONS, model=theirs.NAME)
    _refuse_classes(config)
    try:
        if theirs is kim:
            return kim.build(content, leads=config.leads)
        if config.leads:
            raise ConfigError("leads were named and the file names its own; name none.")
        return weimann.build(content, preparation=config.preparation)
    except (CheckpointError, InputError) as error:
        raise type(error)(f"{config.checkpoint}: {error}") from error


def _require_preparation(config: ImportCheckpointConfig, accepted: tuple[str, ...], *, model: str) -> None:
    if config.preparation not in accepted:
        raise ConfigError(
            f"{config.checkpoint}: got preparation {config.preparation} and a file of {model}, with which "
            f"{', '.join(accepted)} can go; choose one of them."
        )


def _refuse_classes(config: ImportCheckpointConfig) -> None:
    if config.classes:
        raise ConfigError(f"{config.checkpoint}: classes were named and the model has no head; name none.")


_HEADS: dict[type[Head], str] = {LinearHead: "arrhythmia", ArcFaceHead: "identity"}
"""Head -> its name in the bundle, the one fine-tuning gives it."""


def _build(
    checkpoint: FairseqCheckpoint, config: ImportCheckpointConfig, *, classes: tuple[str, ...] = ()
) -> FairseqModel:
    try:
        return build(checkpoint.config, checkpoint.state, leads=config.leads, classes=classes)
    except (CheckpointError, ConfigError) as error:
        raise type(error)(f"{config.checkpoint}: {error}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _classes(
    head: Head | None, config: ImportCheckpointConfig, *, is_ecg_fm: bool
) -> tuple[tuple[str, ...], list[str]]:
    """Returns the names of the head's outputs, and a sentence where they are assumed."""
    if head is None:
        _refuse_classes(config)
        return (), []
    count = len(head.config.classes)
    if config.classes:
        if len(config.classes) != count or len(set(config.classes)) != count:
            raise ConfigError(
                f"{config.checkpoint}: its head has {count} outputs and {len(set(config.classes))} different "
                "classes were named; name every output once, in order."
            )
        return config.classes, []
    if isinstance(head, ArcFaceHead):
        return tuple(f"person_{number}" for number in range(count)), []
    say = "--classes names others"
    if is_ecg_fm and count == len(ecg_fm.LABELS):
        return ecg_fm.LABELS, [f"the {count} classes are assumed to be ECG-FM's; {say}."]
    if not is_ecg_fm and count == len(SCORED_CLASSES):
        scored = tuple(one.abbreviation for one in SCORED_CLASSES)
        return scored, [f"the {count} classes are assumed to be those of the Challenge 2021; {say}."]
    numbered = tuple(f"class_{number}" for number in range(count))
    return numbered, [f"nothing says what the {count} classes are: they are numbered; {say}."]


def _preparation_sentence(
    config: ImportCheckpointConfig, evidence: str | None, *, rate_hz: float, is_ecg_fm: bool
) -> str:
    mine, other = ("ecg-fm", "fairseq-signals") if is_ecg_fm else ("fairseq-signals", "ecg-fm")
    steps = (
        f"{rate_hz:g} Hz by linear interpolation, each lead of a recording to mean 0 and deviation 1"
        if is_ecg_fm
        else f"millivolts at {rate_hz:g} Hz, not standardised"
    )
    if config.preparation != "auto":
        return f"recordings are prepared as for {mine} ({steps}), as was asked for."
    reason = evidence or "nothing shows that it is ECG-FM"
    return (
        f"recordings are assumed to be prepared as for {mine} ({steps}), as {reason}; "
        f"--preparation {other} says otherwise."
    )


def _leads_sentences(
    model: FairseqModel, checkpoint: FairseqCheckpoint, config: ImportCheckpointConfig
) -> list[str]:
    leads = model.encoder.leads
    if config.leads or len(leads) == 12 or (checkpoint.config.get("task") or {}).get("leads_to_load"):
        return []
    return [f"its {len(leads)} input columns are assumed to be {','.join(leads)}; --leads names others."]


def _task_sentences(checkpoint: FairseqCheckpoint) -> list[str]:
    """Names what their loader did besides and the bundle does not."""
    task = checkpoint.config.get("task") or {}
    done = {"normalize": "standardised by constants of its own", "filter": "filtered by neurokit2"}
    return [
        f"its task {what} (task.{name}), which this bundle does not do: expect other outputs."
        for name, what in done.items()
        if task.get(name)
    ]


def _size_sentences(model: FairseqModel) -> list[str]:
    if not model.corrected:
        return []
    differences = "; ".join(model.corrected)
    return [
        f"its configuration and its weights differ ({differences}) and the weights are believed; "
        f"that its attention has {model.encoder.config.heads} heads only the configuration says."
    ]


def _provenance(
    checkpoint: FairseqCheckpoint,
    config: ImportCheckpointConfig,
    sha256: str,
    assumed: list[str],
    *,
    is_ecg_fm: bool,
) -> Mapping[str, Any]:
    source = {"url": ecg_fm.URL, "licence": ecg_fm.LICENCE, "citation": ecg_fm.CITATION} if is_ecg_fm else {}
    return {
        "file": config.checkpoint.name,
        "sha256": sha256,
        "framework": FRAMEWORK,
        "model": checkpoint.config["model"].get("_name"),
        "updates": checkpoint.updates,
        "assumed": assumed,
        **({"licence": "not stated in the file"} | source),
    }


def _line(checkpoint: FairseqCheckpoint, model: FairseqModel) -> str:
    encoder = model.encoder.config
    head = "no head"
    if model.head is not None:
        head = f"head {_HEADS[type(model.head)]} with {len(model.head.config.classes)} outputs"
    name = checkpoint.config["model"].get("_name") or "model"
    updates = "" if checkpoint.updates is None else f", after {checkpoint.updates} updates"
    return (
        f"{name}, {encoder.layers} layers of {encoder.dimension}, {len(encoder.leads)} leads, {head}{updates}"
    )

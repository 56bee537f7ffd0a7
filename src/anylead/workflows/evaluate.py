"""`anylead evaluate`: bundles are judged on the recordings of persons nobody has trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from anylead.errors import ConfigError, InputError
from anylead.evaluation.report import Section
from anylead.evaluation.results import ClassificationResult, IdentificationResult
from anylead.evaluation.sections import classification_section, difference_sentence, identification_section
from anylead.store import Store
from anylead.workflows.judge_classification import (
    EvaluateClassifyConfig,
    EvaluateProbeConfig,
    judge_classify,
    judge_probe,
)
from anylead.workflows.judge_identification import EvaluateIdentifyConfig, judge_identify
from anylead.workflows.selection import Selection, open_stores
from anylead.workflows.systems import (
    EvaluateConfig,
    FrozenConfig,
    Judgement,
    System,
    load_systems,
    untrained_systems,
    write_judgement,
)

__all__ = [
    "EvaluateClassifyConfig",
    "EvaluateIdentifyConfig",
    "EvaluateLeadsConfig",
    "EvaluateProbeConfig",
    "Judgement",
    "evaluate_classify",
    "evaluate_identify",
    "evaluate_leads",
    "evaluate_probe",
]

_SHOWN_FIRST = ("macro_auroc", "rank1")


@dataclass(frozen=True, kw_only=True)
class EvaluateLeadsConfig(FrozenConfig):
    """Judging everything one bundle can do, for each lead set."""

    untrained: int = 0
    """Baselines of identification: the encoder with fresh weights, this many times."""
    head: str | None = None
    """Name of the classification head, where there are several."""


def evaluate_classify(config: EvaluateClassifyConfig) -> Judgement:
    """Judges classification heads per recording: AUROC, AUPRC and Challenge score for each lead set.

    The Challenge score is given with the threshold 0.5 and, where a bundle has them, with the thresholds
    chosen on validation recordings. Baselines are bundles too: after the bundle to judge, give the untrained
    one (``finetune classify``, ``weights=fresh``, ``frozen``) and the one from scratch (``weights=fresh``).

    Raises:
        ConfigError: If nothing can be judged.
        BundleError: If a bundle cannot be read.
        StoreError: If a store cannot be used with the bundles.
        InputError: If a bundle has no such head.
        FileError: If the results cannot be written.
    """
    systems, stores = _open(config)
    judgement = judge_classify(config, systems, Selection.of(stores, config.split).labelled())
    return _write(judgement, config, systems, stores, title="Classification")


def evaluate_probe(config: EvaluateProbeConfig) -> Judgement:
    """Judges frozen embeddings by a logistic probe on labelled training recordings, for each lead set.

    Training and validation recordings are used together; the strength of the regression is chosen by
    cross-validation over patients. Arguments, results and errors are as those of `evaluate_classify`.

    Raises:
        ConfigError: If nothing can be judged.
        BundleError: If a bundle cannot be read.
        StoreError: If a store cannot be used with the bundles.
        FileError: If the results cannot be written.
    """
    systems, stores = _open(config)
    systems = [*systems, *untrained_systems(config, systems[0])]
    test = Selection.of(stores, config.split).labelled()
    judgement = judge_probe(config, systems, _not_tested(stores, config).labelled(), test)
    return _write(judgement, config, systems, stores, title="Classification by a probe on frozen embeddings")


def evaluate_identify(config: EvaluateIdentifyConfig) -> Judgement:
    """Judges whose heart a recording is: Rank-1, Rank-5, equal error rate, true acceptance.

    Embeddings are compared by cosine, as they are and whitened; those of a bundle fine-tuned for
    identification too.

    Raises:
        ConfigError: If nobody has two recordings.
        BundleError: If a bundle cannot be read.
        StoreError: If a store cannot be used with the bundles.
        FileError: If the results cannot be written.
    """
    systems, stores = _open(config)
    systems = [*systems, *untrained_systems(config, systems[0])]
    test = Selection.of(stores, config.split).of_known_persons()
    judgement = judge_identify(config, systems, _not_tested(stores, config), test)
    return _write(judgement, config, systems, stores, title="Identification")


def evaluate_leads(config: EvaluateLeadsConfig) -> Judgement:
    """Judges all a bundle can do, for each lead set: its classification head, if any, and identification.

    Raises:
        ConfigError: If neither can be judged.
        BundleError: If a bundle cannot be read.
        StoreError: If a store cannot be used with the bundles.
        FileError: If the results cannot be written.
    """
    systems, stores = _open(config)
    parts: list[Judgement] = []
    reasons: list[str] = []
    test = Selection.of(stores, config.split)
    try:
        classify = _as(EvaluateClassifyConfig, config)
        parts.append(judge_classify(classify, systems, test.labelled()))
    except (ConfigError, InputError) as error:
        reasons.append(f"Classification was not judged: {error}")
    try:
        identify = _as(EvaluateIdentifyConfig, config)
        compared = [*systems, *untrained_systems(config, systems[0])]
        training = _not_tested(stores, config)
        parts.append(judge_identify(identify, compared, training, test.of_known_persons()))
    except ConfigError as error:
        reasons.append(f"Identification was not judged: {error}")
    if not parts:
        raise ConfigError(f"evaluate leads: there is nothing to judge. {' '.join(reasons)}")
    judgement = Judgement(
        results=tuple(result for part in parts for result in part.results),
        differences=tuple(difference for part in parts for difference in part.differences),
        left_out={reason: count for part in parts for reason, count in part.left_out.items()},
        notes=tuple(note for part in parts for note in part.notes),
        recordings=tuple(dict.fromkeys(name for part in parts for name in part.recordings)),
    )
    return _write(judgement, config, systems, stores, title="Fewer leads", more=reasons)


Config = TypeVar("Config", bound=EvaluateConfig)


def _as(kind: type[Config], config: EvaluateConfig) -> Config:
    """Returns the same settings for another evaluation, its own ones at their defaults."""
    known = {f.name for f in fields(kind)}
    values: dict[str, Any] = {f.name: getattr(config, f.name) for f in fields(config) if f.name in known}
    return kind(**values)


def _open(config: EvaluateConfig) -> tuple[list[System], tuple[Store, ...]]:
    systems = load_systems(config)
    bundles = [bundle for system in systems for bundle in system.bundles.values()]
    stores = open_stores(config.stores, bundles[0])
    for bundle in bundles[1:]:
        open_stores(config.stores, bundle)
    return systems, stores


def _not_tested(stores: Sequence[Store], config: EvaluateConfig) -> Selection:
    """Returns the recordings that may be fitted on: those of training and validation, or training only."""
    training = Selection.of(stores, "train")
    if config.split != "test":
        return training
    validation = Selection.of(stores, "valid")
    return Selection(stores=training.stores, recordings=training.recordings + validation.recordings)


def _write(
    judgement: Judgement,
    config: EvaluateConfig,
    systems: Sequence[System],
    stores: Sequence[Store],
    *,
    title: str,
    more: Sequence[str] = (),
) -> Judgement:
    told = [difference_sentence(one) for one in judgement.differences if one.metric in _SHOWN_FIRST]
    write_judgement(
        judgement,
        config,
        title=title,
        summary=told or [f"{', '.join(system.name for system in systems)}: judged without a comparison."],
        sections=_sections(judgement, more),
        systems=systems,
        stores=stores,
    )
    return judgement


def _sections(judgement: Judgement, more: Sequence[str]) -> list[Section]:
    classified = [one for one in judgement.results if isinstance(one, ClassificationResult)]
    identified = [one for one in judgement.results if isinstance(one, IdentificationResult)]
    notes = [
        *more,
        *judgement.notes,
        *(f"{reason}: {count} recordings." for reason, count in judgement.left_out.items()),
    ]
    ranked = [one for one in judgement.differences if one.metric in ("rank1", "rank5", "eer")]
    rest = [one for one in judgement.differences if one not in ranked]
    sections = []
    if classified:
        sections.append(classification_section(classified, rest, notes=notes))
    if identified:
        sections.append(identification_section(identified, ranked, notes=() if classified else notes))
    return sections

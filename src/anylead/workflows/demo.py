"""demo: the whole way on synthetic patients, from recordings to a report, in a few minutes on two cores."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from anylead.encoders import ConvTransformerConfig, Readout
from anylead.engine import AdamWConfig, WarmupCosine, read_run_log
from anylead.errors import ConfigError
from anylead.evaluation.figures import Figure
from anylead.evaluation.report import Report, Section, Table, write_report
from anylead.evaluation.results import ClassificationResult, IdentificationResult
from anylead.evaluation.sections import (
    classification_section,
    difference_sentence,
    identification_section,
    learning_curves_section,
)
from anylead.feed import PairFeedConfig
from anylead.objectives import W2VCMSCConfig
from anylead.provenance import environment
from anylead.sources.synthetic import Synthetic
from anylead.store import SplitConfig, Store
from anylead.workflows.evaluate import (
    EvaluateClassifyConfig,
    EvaluateIdentifyConfig,
    EvaluateProbeConfig,
    Judgement,
    evaluate_classify,
    evaluate_identify,
    evaluate_probe,
)
from anylead.workflows.finetune import ClassifyConfig, IdentifyConfig, finetune_classify, finetune_identify
from anylead.workflows.prepare import PrepareConfig, prepare
from anylead.workflows.pretrain import PretrainConfig, pretrain
from anylead.workflows.stages import Stages
from anylead.workflows.view import draw

LEAD_SETS = ("12", "6", "4", "3", "2", "I", "II")

_CURVES = ("step", "loss", "contrast_accuracy", "cmsc_accuracy", "codes_in_use")

Result = TypeVar("Result", ClassificationResult, IdentificationResult)


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """How large the demo is.

    Raises:
        ConfigError: If a number is too small for all stages to have something to do.
    """

    out: Path = Path("demo")
    """Folder of everything; what is there and fits is re-used."""
    patients: int = 1200
    """Synthetic patients, two recordings each."""
    seed: int = 0
    steps: int = 300
    """Updates of pre-training."""
    finetune_steps: int = 60
    """Updates of each fine-tuning."""
    encoder: str = "tiny"
    """Size of the encoder."""
    resamples: int = 1000
    """Resamples of the patients, for the intervals."""
    jobs: int = 2
    """Processes that prepare."""
    progress: bool = True
    """Show progress bars on standard error."""

    def __post_init__(self) -> None:
        if self.patients < 40 or self.steps < 1 or self.finetune_steps < 1:
            raise ConfigError(
                f"demo: got {self.patients} patients, {self.steps} and {self.finetune_steps} steps; at least "
                "40 patients and 1 step of each are needed."
            )


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """The settings of every stage."""

    prepare: PrepareConfig
    pretrain: PretrainConfig
    classify: ClassifyConfig
    scratch: ClassifyConfig
    identify: IdentifyConfig
    judge_probe: EvaluateProbeConfig
    judge_classify: EvaluateClassifyConfig
    judge_identify: EvaluateIdentifyConfig


def demo(config: DemoConfig) -> Path:
    """Prepares, pre-trains, fine-tunes and evaluates both tasks, and writes ``report.html``.

    Every stage checks what it was made from: run again, it re-uses what is there; interrupted, it continues.

    Returns:
        The report.

    Raises:
        ConfigError: If a size is not known, or a folder holds something else.
        FileError: If the disk refuses.
    """
    plan = _plan(config)
    stages = Stages(config.out / "stages", total=6)
    store, pretrained = plan.prepare.out, plan.pretrain.out
    stages.run(
        "prepare",
        "prepare synthetic patients",
        lambda: prepare(plan.prepare),
        settings=replace(plan.prepare, jobs=1, progress=False),
        makes=(store / "store.json",),
        owns=(store,),
    )
    stages.run(
        "pretrain",
        "pre-train without labels",
        lambda: _pretrain(plan.pretrain, progress=config.progress),
        settings=plan.pretrain,
        after=("prepare",),
        makes=(pretrained / "bundle" / "config.json",),
        owns=(pretrained,),
    )
    for name, what, finetuning in (
        ("classify", "fine-tune a classifier", plan.classify),
        ("scratch", "train the same classifier from scratch", plan.scratch),
    ):
        stages.run(
            name,
            what,
            lambda chosen=finetuning: finetune_classify(chosen),  # type: ignore[misc]
            settings=replace(finetuning, progress=False),
            after=("pretrain",),
            makes=(finetuning.out / "bundle" / "config.json",),
            owns=(finetuning.out,),
        )
    stages.run(
        "identify",
        "fine-tune for identification",
        lambda: finetune_identify(plan.identify),
        settings=replace(plan.identify, progress=False),
        after=("pretrain",),
        makes=(plan.identify.out / "bundle" / "config.json",),
        owns=(plan.identify.out,),
    )
    report = config.out / "report.html"
    stages.run(
        "report",
        "evaluate both tasks at 12, 6, 4, 3, 2 and 1 leads",
        lambda: write_report(_report(config, plan, stages), config.out),
        settings={"lead_sets": LEAD_SETS, "resamples": config.resamples},
        after=("prepare", "pretrain", "classify", "scratch", "identify"),
        makes=(report,),
    )
    return report


def _plan(config: DemoConfig) -> _Plan:
    out, bar = config.out, config.progress
    store, pretrained = out / "store", out / "pretrained"
    finetuning: dict[str, Any] = {
        "bundle": pretrained / "bundle",
        "stores": (store,),
        "steps": config.finetune_steps,
        "learning_rate": 5e-4,
        "batch_size": 32,
        "seed": config.seed,
        "progress": bar,
    }
    judging: dict[str, Any] = {
        "stores": (store,),
        "resamples": config.resamples,
        "seed": config.seed,
        "progress": bar,
    }
    encoder = ConvTransformerConfig.named(config.encoder)
    return _Plan(
        prepare=PrepareConfig(
            source=Synthetic(patients=config.patients, sessions=2, seed=config.seed),
            out=store,
            split=SplitConfig(test_fraction=0.125, valid_fraction=0.05, seed=config.seed),
            jobs=config.jobs,
            progress=bar,
        ),
        # Few updates of a small network: higher rates than the paper's, with a start and an end, a quantiser
        # that settles sooner, and convolutions that may move.
        pretrain=PretrainConfig(
            stores=(store,),
            out=pretrained,
            seed=config.seed,
            steps=config.steps,
            encoder=replace(encoder, feature_gradient_scale=1.0),
            objective=W2VCMSCConfig(gumbel_decay=0.999),
            feed=PairFeedConfig(pairs_per_batch=32, crop="random"),
            optimizer=AdamWConfig(learning_rate=1e-3),
            schedule=WarmupCosine(),
            clip_norm=1.0,
            checkpoint_minutes=1.0,
            readout=Readout(pooling="mean"),
        ),
        classify=ClassifyConfig(out=out / "classifier", **finetuning),
        scratch=ClassifyConfig(out=out / "scratch", weights="fresh", **finetuning),
        identify=IdentifyConfig(out=out / "identifier", **finetuning),
        judge_probe=EvaluateProbeConfig(
            bundles=(pretrained,), names=("pre-trained",), lead_sets=("12",), out=out / "probe", **judging
        ),
        judge_classify=EvaluateClassifyConfig(
            bundles=(out / "classifier", out / "scratch"),
            names=("fine-tuned", "from scratch"),
            lead_sets=LEAD_SETS,
            out=out / "classification",
            **judging,
        ),
        judge_identify=EvaluateIdentifyConfig(
            bundles=(pretrained, out / "identifier"),
            names=("pre-trained", "fine-tuned"),
            lead_sets=LEAD_SETS,
            out=out / "identification",
            whitening_recordings=200,
            **judging,
        ),
    )


def _pretrain(config: PretrainConfig, *, progress: bool) -> None:
    if not pretrain(config, progress=progress).finished:
        # Ctrl-C ends a run with a checkpoint; here it also has to end what would come next.
        raise KeyboardInterrupt


def _report(config: DemoConfig, plan: _Plan, stages: Stages) -> Report:
    probed = evaluate_probe(plan.judge_probe)
    classified = evaluate_classify(plan.judge_classify)
    identified = evaluate_identify(plan.judge_identify)
    log = [{name: line.get(name) for name in _CURVES} for line in read_run_log(plan.pretrain.out)]
    objective = plan.pretrain.objective
    assert isinstance(objective, W2VCMSCConfig)
    chance = {
        "contrast_accuracy": {"chance": 1 / (1 + objective.negatives)},
        "cmsc_accuracy": {"chance": 1 / plan.pretrain.feed.pairs_per_batch},
    }
    return Report(
        title="anylead demo: synthetic patients",
        summary=(
            "Every patient here is synthetic. The page shows that the way from recordings to scores works; "
            "it says nothing about real ECGs.",
            *_headlines(probed, identified),
        ),
        sections=(
            _patients(Store.open(plan.prepare.out)),
            learning_curves_section(
                log, title="Pre-training, without labels", references=chance, notes=(_pretraining_note(plan),)
            ),
            classification_section(
                _of(probed, ClassificationResult),
                probed.differences,
                title="Findings, read from the frozen encoder",
                notes=("A logistic regression on frozen vectors of the training patients' recordings.",),
            ),
            classification_section(
                _of(classified, ClassificationResult),
                classified.differences,
                title="Findings, with fewer and fewer leads",
                notes=("One network each, trained with leads hidden at random, judged at every lead set.",),
            ),
            identification_section(
                _of(identified, IdentificationResult),
                identified.differences,
                title="Whose heart is it?",
                notes=("Vectors are compared by cosine. Nobody in the gallery was seen in training.",),
            ),
            _times(stages),
        ),
        provenance={"config": config, "stages": stages.keys, "environment": environment()},
        results=(*probed.results, *classified.results, *identified.results),
    )


def _headlines(probed: Judgement, identified: Judgement) -> list[str]:
    """Returns what the frozen encoder gained over an untrained one, at twelve leads."""
    chosen = [one for one in probed.differences if one.metric == "macro_auroc"]
    chosen += [
        one
        for one in identified.differences
        if (one.metric, one.subset, one.lead_set) == ("rank1", "cross_session", "12")
        and one.b.startswith("untrained")
    ]
    return [difference_sentence(one) for one in chosen]


def _of(judgement: Judgement, kind: type[Result]) -> list[Result]:
    return [result for result in judgement.results if isinstance(result, kind)]


def _patients(store: Store) -> Section:
    first = int(store.split_indices("test")[0])
    record = store.record(first)
    svg = draw(record, seconds=4.0, leads=("I", "II", "V2")).to_svg(preview_points=1200)
    splits = store.manifest.counts["splits"]
    rows = tuple((name, str(part["persons"]), str(part["recordings"])) for name, part in splits.items())
    findings = ", ".join(store.column("labels")[first])
    return Section(
        title="The patients",
        notes=(
            "A heart dipole seen through a lead field; each patient has two sessions, months apart. "
            "Nobody is in two splits.",
        ),
        tables=(Table(caption="Splits", columns=("Split", "Patients", "Recordings"), rows=rows),),
        figures=(
            Figure(
                caption=f"Recording {record.record_id}, SNOMED CT {findings}",
                svg=svg,
                description="Leads I, II and V2 on ECG paper",
            ),
        ),
    )


def _pretraining_note(plan: _Plan) -> str:
    feed = plan.pretrain.feed
    return (
        f"W2V + CMSC with random lead masking, {plan.pretrain.steps} updates of {feed.pairs_per_batch} "
        "pairs. Accuracies are those of the two contrast terms, beside chance."
    )


def _times(stages: Stages) -> Section:
    rows = tuple((name, f"{seconds:.0f} s") for name, seconds in stages.seconds.items())
    return Section(
        title="How long it took",
        tables=(Table(caption="Before this page was written", columns=("Stage", "Time"), rows=rows),),
    )

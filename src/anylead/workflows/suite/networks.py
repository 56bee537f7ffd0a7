"""Networks trained with labels: the encoder fine-tuned, and what it has to be compared with."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anylead.bundle import load
from anylead.evaluation.conditions import Condition
from anylead.workflows.finetune import ClassifyConfig, finetune_classify
from anylead.workflows.stages import Stages
from anylead.workflows.suite.config import ProtocolConfig, SuiteConfig
from anylead.workflows.suite.embedders import BundleEmbedder
from anylead.workflows.suite.parts import Answers
from anylead.workflows.suite.passes import Pass, Passes
from anylead.workflows.suite.task import Task
from anylead.workflows.systems import bundle_folder

_ATTENTIVE_RATE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One network to train."""

    protocol: str
    """In tables."""
    is_pretrained: bool = False
    """Whether it begins with the judged weights: otherwise it is a baseline."""
    settings: Mapping[str, Any]
    """Of `ClassifyConfig`."""

    @property
    def reads_like_judged(self) -> bool:
        """Whether it pools as the judged encoder is pooled; attention pools by itself."""
        return self.is_pretrained and "head_kind" not in self.settings


def recipes(config: ProtocolConfig) -> dict[str, Recipe]:
    """Returns the networks of a full report, by the name of their folder.

    Where an encoder of ours is judged, it is trained too; of another model nobody here knows how to build it.
    """
    rate = {"learning_rate": config.fine_tuning_rate}
    scratch = {"schedule": "warmup_cosine", **rate}
    supervised = {
        "resnet1d": Recipe(protocol="supervised ResNet-1D", settings={"encoder": "resnet1d", **scratch}),
        "s4": Recipe(protocol="supervised S4", settings={"encoder": "s4", **scratch}),
    }
    if not isinstance(config, SuiteConfig):
        return supervised
    attentive = {"frozen": True, "head_kind": "attentive", "learning_rate": _ATTENTIVE_RATE}
    return {
        "fine-tuned": Recipe(
            protocol="fine-tuned", is_pretrained=True, settings={"layer_decay": config.layer_decay, **rate}
        ),
        "attentive": Recipe(protocol="attentive probe", is_pretrained=True, settings=attentive),
        "untrained-attentive": Recipe(
            protocol="untrained, attentive probe", settings={**attentive, "weights": "fresh"}
        ),
        "scratch": Recipe(
            protocol="same architecture from scratch", settings={"weights": "fresh", **scratch}
        ),
        **supervised,
    }


def train_networks(config: ProtocolConfig, start: BundleEmbedder) -> dict[str, BundleEmbedder]:
    """Trains every network that is not there yet; returns them by recipe.

    Args:
        config: What is trained on, and how long.
        start: Gives the preparation to all, architecture, weights and the layer that is read to those
            that begin with them.

    Raises:
        ConfigError: If there is nothing to train on.
        FileError: If the disk refuses.
    """
    chosen = recipes(config)
    stages = Stages(config.out / "networks" / "stages", total=len(chosen))
    trained: dict[str, BundleEmbedder] = {}
    for name, recipe in chosen.items():
        out = config.out / "networks" / name
        work = ClassifyConfig(
            bundle=bundle_folder(config.bundles[0]) if isinstance(config, SuiteConfig) else Path(),
            stores=config.stores,
            out=out,
            steps=config.supervised_steps,
            layer=start.readout.layer if recipe.is_pretrained else None,
            pooling=start.readout.pooling if recipe.reads_like_judged else None,
            minimum_positives=config.minimum_positives,
            store_classes=("all",),  # as the judgement takes labels
            seed=config.seed,
            progress=config.progress,
            **recipe.settings,
        )
        stages.run(
            name,
            f"train: {recipe.protocol}",
            lambda chosen=work: finetune_classify(chosen, start=start.bundle),  # type: ignore[misc]
            settings={"bundle": start.bundle.fingerprint(), "work": _settings(work)},
            makes=(out / "bundle" / "config.json",),
            owns=(out,),
        )
        bundle = load(out / "bundle")
        name_shown = f"{start.name}, {recipe.protocol}" if recipe.is_pretrained else recipe.protocol
        trained[name] = BundleEmbedder(
            name=name_shown,
            seed=start.seed,
            bundle=bundle,
            readout=bundle.manifest.readout,
            batch_size=config.batch_size,
        )
    return trained


def network_answers(
    passes: Passes, network: BundleEmbedder, task: Task, condition: Condition, protocol: str
) -> Answers:
    """Returns what a network's own outputs say, in the columns of the classes judged."""
    classes = network.bundle.classes()
    columns = [classes.index(name) for name in task.classes]
    test, valid = (
        passes.probabilities(network, condition, part)[:, columns].astype(float) for part in ("test", "valid")
    )
    return Answers(system=network.name, protocol=protocol, test=test, valid=valid)


def network_passes(networks: Mapping[str, BundleEmbedder], condition: Condition) -> list[Pass]:
    """Returns the passes that `network_answers` needs."""
    return [
        Pass(embedder=network, condition=condition, part=part, gives="probabilities")
        for network in networks.values()
        for part in ("test", "valid")
    ]


def _settings(work: ClassifyConfig) -> ClassifyConfig:
    """Leaves out what does not change the weights: paths and progress."""
    return replace(work, bundle=Path(), stores=(Path(),), out=Path(), progress=False)

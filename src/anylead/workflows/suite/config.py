"""What the suite is asked to do."""

from dataclasses import dataclass
from pathlib import Path

from anylead.encoders import named_encoder
from anylead.errors import ConfigError

LEAD_SETS = ("12", "8", "6", "4", "3", "2", "I", "II")
"""Fixed lead sets of the any-lead protocol (docs/lead_protocol.md)."""


@dataclass(frozen=True, kw_only=True)
class ProtocolConfig:
    """What a judgement by the suite needs to know, whoever made the embeddings.

    Raises:
        ConfigError: If there is no store, or a number is out of range.
    """

    stores: tuple[Path, ...]
    """Where the recordings are, used together."""
    out: Path
    """Folder of the report; what was computed is kept in it and used again."""
    quick: bool = False
    """Fixed lead sets, frozen probes, two untrained seeds, hand-made features; nothing is trained."""
    untrained_seeds: int = 3
    """Untrained encoders for each preparation and initial gain; two of the plain ones where quick."""
    supervised_steps: int = 300
    """Updates of each network that is trained with labels."""
    fine_tuning_rate: float = 1e-3
    """Peak learning rate of those."""
    pretraining_stores: tuple[Path, ...] = ()
    """Stores the encoder was pre-trained on, for the leakage audit; what the bundle says where empty."""
    minimum_positives: int = 5
    """Classes with fewer positive training recordings are not judged."""
    label_draws: int = 5
    """Draws of each label budget."""
    resamples: int = 2000
    """Resamples of the patients, for the intervals; few cannot decide among many baselines."""
    seed: int = 0
    """Of resamples, draws, noise and baselines."""
    batch_size: int = 64
    """Windows at a time."""
    audit: bool = True
    """Look for recordings that occur twice."""
    progress: bool = False
    """Show progress bars on standard error."""

    def __post_init__(self) -> None:
        if not self.stores:
            raise ConfigError("evaluate: got no store; give at least one made by anylead prepare.")
        for what, value, least in (
            ("label_draws", self.label_draws, 1),
            ("resamples", self.resamples, 100),
            ("batch_size", self.batch_size, 1),
            ("minimum_positives", self.minimum_positives, 1),
        ):
            if value < least:
                raise ConfigError(f"evaluate: {what} is {value}; give at least {least}.")
        if self.untrained_seeds < 1 or self.supervised_steps < 1:
            raise ConfigError(
                f"evaluate: got {self.untrained_seeds} untrained seeds and {self.supervised_steps} "
                "steps; give at least 1 of each."
            )


@dataclass(frozen=True, kw_only=True)
class SuiteConfig(ProtocolConfig):
    """Judging encoders of ours.

    Raises:
        ConfigError: If there is no bundle, or the names are not one a bundle.
    """

    bundles: tuple[Path, ...]
    """The first is judged; further ones are other seeds or other models, judged beside it."""
    names: tuple[str, ...] = ()
    """What to call the bundles; their folders' names where empty. Those that differ in ``-seed-N`` or ``:N``
    at the end are one model, pre-trained from several seeds."""
    layer_decay: float = 1.0
    """Layer-wise decay of the rate when fine-tuning: 1 is none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.bundles:
            raise ConfigError("evaluate suite: got no bundle; give the one to judge.")
        if self.names and len(self.names) != len(self.bundles):
            raise ConfigError(
                f"evaluate suite: got {len(self.names)} names for {len(self.bundles)} bundles; "
                "name each, or none."
            )


@dataclass(frozen=True, kw_only=True)
class EmbeddingsConfig(ProtocolConfig):
    """Judging embeddings that any other model made.

    Raises:
        ConfigError: If there is no such encoder, or a number is out of range.
    """

    embeddings: Path
    """Parquet table: record_id, condition, embedding."""
    name: str = ""
    """What to call the model; the file's name where empty."""
    untrained_encoder: str = "conv_transformer:mini"
    """Encoder of ours that stands untrained among the baselines, ``NAME`` or ``NAME:SIZE``: a table does not
    tell how to build the model's own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        named_encoder(self.untrained_encoder)

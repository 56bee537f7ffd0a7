"""What a bundle's `config.json` says: everything but the weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anylead.config import from_plain, to_plain
from anylead.encoders.base import Readout
from anylead.errors import BundleError, ConfigError

BUNDLE_FORMAT = 1
"""Rises with every change that an older version of anylead would misread."""


@dataclass(frozen=True, kw_only=True)
class HeadManifest:
    """One named head of a bundle.

    Raises:
        BundleError: If there are thresholds, but not one a class.
    """

    kind: str
    """Name in the heads' union: ``linear``, ``attentive`` or ``arcface``."""
    config: Mapping[str, Any]
    """Plain configuration of the head: its classes and readout, and whatever else it has."""
    thresholds: tuple[float, ...] = ()
    """Probability from which a class counts as found, one a class; empty where there are none."""
    leads: tuple[str, ...] | None = None
    """The lead set it was trained for; None where it was trained for any."""

    def __post_init__(self) -> None:
        if self.thresholds and len(self.thresholds) != len(self.classes):
            raise BundleError(
                f"head {self.kind}: {len(self.thresholds)} thresholds for {len(self.classes)} classes; "
                "give one a class, or none."
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its outputs, in order."""
        return tuple(self.config.get("classes", ()))


@dataclass(frozen=True, kw_only=True)
class BundleManifest:
    """Everything a bundle needs besides its weights: plain values only."""

    format: int = BUNDLE_FORMAT
    encoder_kind: str
    """Name in the encoders' union."""
    encoder: Mapping[str, Any]
    """Plain configuration of the encoder."""
    preparation: Mapping[str, Any]
    """Plain steps every recording goes through before it is cut."""
    readout: Readout = field(default_factory=Readout)
    """Layer and pooling of an embedding, unless a caller asks for another."""
    window_s: float = 5.0
    """Length of what the encoder sees at a time, in seconds."""
    sampling_rate_hz: float
    """Rate the encoder was built for."""
    leads: tuple[str, ...]
    """Leads the encoder knows."""
    heads: Mapping[str, HeadManifest] = field(default_factory=dict)
    """Heads by name."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Where the weights come from: versions, command, stores, seed, what it was trained from."""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """Measured figures worth carrying along."""

    @property
    def window_samples(self) -> int:
        """Samples per window."""
        return round(self.window_s * self.sampling_rate_hz)

    def to_plain(self) -> dict[str, Any]:
        """Returns nested plain values; `from_plain` takes them back, also after a trip through JSON."""
        values: dict[str, Any] = to_plain(self)
        return values

    @classmethod
    def from_plain(cls, values: Mapping[str, Any], *, where: str = "bundle") -> "BundleManifest":
        """Builds a manifest from plain values.

        Args:
            values: What `to_plain` gave, or the content of a `config.json`.
            where: What to call the offender in an error.

        Raises:
            BundleError: If the values are of a newer format, or are not those of a bundle.
        """
        number = values.get("format")
        if not isinstance(number, int):
            raise BundleError(
                f"{where}: config.json names no bundle format; it is not a bundle of anylead, "
                "or it was changed by hand: give a folder written by save_pretrained."
            )
        if number > BUNDLE_FORMAT:
            raise BundleError(
                f"{where}: the bundle has format {number} and this anylead reads formats up to "
                f"{BUNDLE_FORMAT}; install a newer anylead."
            )
        plain = dict(values)
        try:
            heads = plain.pop("heads", {})
            if not isinstance(heads, Mapping):
                raise ConfigError(f"{where}.heads: got {heads!r}; a mapping of names to heads is needed.")
            named = {
                name: from_plain(HeadManifest, head, where=f"{where}.heads.{name}")
                for name, head in heads.items()
            }
            return from_plain(cls, {**plain, "heads": named}, where=where)
        except ConfigError as error:
            raise BundleError(
                f"{error} The bundle's config.json cannot be used; save the bundle again."
            ) from error

"""What an ONNX file says about itself: what it takes, what it gives, which bundle it was made of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anylead.bundle import Bundle
from anylead.bundle.preprocessor import preprocessor_config
from anylead.config import from_plain, to_plain
from anylead.encoders.base import Readout
from anylead.errors import ConfigError, FileError
from anylead.heads import ClassificationHead
from anylead.provenance import version

ONNX_FORMAT = 1
"""Rises with every change that an older reader of the file would misread."""
METADATA_NAME = "anylead"
"""Where the contract stands among the file's metadata."""
INPUTS = ("signal", "lead_mask", "sample_mask")
EMBEDDING = "embedding"


@dataclass(frozen=True, kw_only=True)
class OnnxHead:
    """What one output of class probabilities means."""

    output: str
    """Name of the output."""
    classes: tuple[str, ...]
    """Names of its columns."""
    thresholds: tuple[float, ...] = ()
    """Probability from which a class counts as found; 0.5 where there are none."""
    leads: tuple[str, ...] | None = None
    """The lead set it was trained for; None where it was trained for any."""


@dataclass(frozen=True, kw_only=True)
class OnnxContract:
    """Everything a user of the file needs to know; plain values, kept as JSON in the file's metadata."""

    format: int = ONNX_FORMAT
    anylead: str = field(default_factory=version)
    """Version that wrote the file."""
    bundle: str
    """Fingerprint of the bundle it was made of."""
    precision: str
    """``float32``, ``bfloat16`` for stored weights, or ``int8`` for matrix products with weights."""
    input: Mapping[str, Any]
    """Content of the bundle's `preprocessor_config.json`: leads, rate, window, preparation."""
    readout: Readout
    """Layer and pooling of the embedding."""
    heads: Mapping[str, OnnxHead] = field(default_factory=dict)

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the columns of `signal` and `lead_mask`, in order."""
        return tuple(self.input["leads"])

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, in order."""
        return (EMBEDDING, *(head.output for head in self.heads.values()))

    @classmethod
    def of(cls, bundle: Bundle, *, precision: str) -> "OnnxContract":
        """Returns what a file made of a bundle says."""
        heads = {
            name: OnnxHead(
                output=f"probabilities_{name}",
                classes=described.classes,
                thresholds=described.thresholds,
                leads=described.leads,
            )
            for name, described in bundle.manifest.heads.items()
            if isinstance(bundle.heads[name], ClassificationHead)
        }
        return cls(
            bundle=bundle.fingerprint(),
            precision=precision,
            input=preprocessor_config(bundle.manifest),
            readout=bundle.manifest.readout,
            heads=heads,
        )

    def to_json(self) -> str:
        """Returns the text that stands in the file."""
        return json.dumps(to_plain(self))

    @classmethod
    def from_json(cls, text: str, *, where: str) -> "OnnxContract":
        """Reads what `to_json` gave.

        Raises:
            FileError: If it is of a newer format, or is not a contract.
        """
        try:
            values = json.loads(text)
            number = values["format"]
            if number > ONNX_FORMAT:
                raise FileError(
                    f"{where}: the file has format {number} and this anylead reads formats up to "
                    f"{ONNX_FORMAT}; install a newer anylead."
                )
            heads = {name: from_plain(OnnxHead, head) for name, head in values["heads"].items()}
            return from_plain(cls, {**values, "heads": heads})
        except (ValueError, TypeError, KeyError, AttributeError, ConfigError) as error:
            raise FileError(
                f"{where}: what the file says about itself cannot be read ({error}); export it again."
            ) from error

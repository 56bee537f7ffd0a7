"""A bundle as a function of three tensors: what is written as ONNX."""

import copy
from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.bundle import Bundle
from anylead.encoders import Encoder, Features
from anylead.export.plain_layers import simplify
from anylead.heads import ClassificationHead


class ExportedNetwork(nn.Module):
    """Embedding and class probabilities of windows, by a copy of a bundle's networks.

    Args:
        bundle: Stays as it is.
        heads: Names of the classification heads whose probabilities are given, in this order.
    """

    def __init__(self, bundle: Bundle, *, heads: tuple[str, ...]) -> None:
        super().__init__()
        # Together, so that what a head shares with the encoder stays shared.
        copied = copy.deepcopy({"encoder": bundle.encoder, **{name: bundle.heads[name] for name in heads}})
        self.encoder = cast(Encoder, copied.pop("encoder"))
        self.heads = nn.ModuleList(copied[name] for name in heads)
        self.readout = bundle.manifest.readout
        self.encoder.forward = _once_a_layer(self.encoder.forward)  # type: ignore[method-assign]
        simplify(self)
        self.eval().requires_grad_(False).to("cpu", torch.float32)

    def forward(
        self,
        signal: Float[Tensor, "B L N"],
        lead_mask: Bool[Tensor, "B L"],
        sample_mask: Bool[Tensor, "B N"],
    ) -> tuple[Float[Tensor, "B _"], ...]:
        """Returns (B, E), then (B, C) of each head."""
        unused = torch.zeros_like(lead_mask[:, 0], dtype=torch.int64)
        batch = Batch(
            signal=signal,
            lead_mask=lead_mask,
            sample_mask=sample_mask,
            leads=self.encoder.leads,
            sampling_rate_hz=self.encoder.sampling_rate_hz,
            row=unused,
            patient=unused,
            segment=unused,
        )
        embedding = self.encoder.read(batch, self.readout)
        heads = (cast(ClassificationHead, head) for head in self.heads)
        return (embedding, *(head.probabilities(self.encoder, batch) for head in heads))


def _once_a_layer(forward: Callable[..., Features]) -> Callable[..., Features]:
    """Wraps an encoder's `forward`: embedding and heads read the same batch, and it is encoded once."""
    seen: dict[int | None, tuple[Batch, Features]] = {}

    def read(batch: Batch, *, layer: int | None = None) -> Features:
        if layer not in seen or seen[layer][0] is not batch:
            seen[layer] = batch, forward(batch, layer=layer)
        return seen[layer][1]

    return read

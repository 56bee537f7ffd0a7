"""Product quantiser with Gumbel-softmax, straight through."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from anylead.nn.across import ALONE, Across


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantized:
    """What the quantiser makes of M vectors a row."""

    values: Float[Tensor, "B M Q"]
    codes: Int64[Tensor, "B M G"]
    """Entry chosen in each group."""
    logits: Float[Tensor, "B M G V"]
    soft_perplexity: Float[Tensor, ""]
    """Effective number of entries by mean probability, summed over groups; has a gradient."""
    hard_perplexity: Float[Tensor, ""]
    """Effective number of entries in use, summed over groups."""


class _StraightThroughLookup(torch.autograd.Function):
    """Forward gathers the chosen entries; backward is that of soft codes times the codebook."""

    @staticmethod
    def forward(ctx: Any, soft: Tensor, codebook: Tensor, codes: Tensor) -> Tensor:
        groups, entries, width = codebook.shape
        rows = codes.shape[0]
        offset = torch.arange(groups, device=codes.device) * entries
        flat = codes + offset
        ctx.save_for_backward(codebook, flat)
        return codebook.reshape(groups * entries, width)[flat].reshape(rows, groups, width)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        codebook, flat = ctx.saved_tensors
        groups, entries, width = codebook.shape
        soft_gradient = torch.einsum("ngd,gvd->ngv", gradient, codebook) if ctx.needs_input_grad[0] else None
        book_gradient = None
        if ctx.needs_input_grad[1]:
            book_gradient = torch.zeros_like(codebook).reshape(groups * entries, width)
            book_gradient.index_add_(0, flat.reshape(-1), gradient.reshape(-1, width).to(codebook.dtype))
            book_gradient = book_gradient.reshape(groups, entries, width)
        return soft_gradient, book_gradient, None


class GumbelQuantizer(nn.Module):
    """Chooses one entry in each of G groups and joins them.

    Args:
        dimension: Width C of the input.
        groups: G.
        entries: V, a group.
        output_dimension: Q; each entry has Q / G numbers.

    Source: METHOD §3.4 (wav2vec 2.0). The entries are gathered, never multiplied out of one-hot codes.
    """

    def __init__(self, dimension: int, *, groups: int, entries: int, output_dimension: int) -> None:
        super().__init__()
        self.groups = groups
        self.entries = entries
        self.codebook = nn.Parameter(torch.rand(groups, entries, output_dimension // groups))
        self.project = nn.Linear(dimension, groups * entries)
        nn.init.normal_(self.project.weight, mean=0.0, std=1.0)
        nn.init.zeros_(self.project.bias)

    def forward(
        self,
        x: Float[Tensor, "B M C"],
        valid: Bool[Tensor, "B M"],
        *,
        noise: Float[Tensor, "B M G V"] | None,
        temperature: Float[Tensor, ""] | float,
        across: Across = ALONE,
    ) -> Quantized:
        """Quantises; perplexities count valid vectors only.

        Args:
            x: Vectors.
            valid: Which of them exist.
            noise: Gumbel noise; None chooses the largest logit with no gradient through the choice.
            temperature: Of the softmax, used with noise only.
            across: Processes over which perplexities are taken.
        """
        rows, places, _ = x.shape
        logits = self.project(x).view(rows * places, self.groups, self.entries)
        wide = logits if logits.dtype == torch.float64 else logits.float()
        if noise is None:
            codes = wide.argmax(dim=-1)
            soft = wide.detach()
        else:
            soft = torch.softmax((wide + noise.reshape(wide.shape)) / temperature, dim=-1)
            codes = soft.argmax(dim=-1)
        values = _StraightThroughLookup.apply(soft, self.codebook.to(wide.dtype), codes)  # type: ignore[no-untyped-call]

        weight = valid.reshape(-1, 1, 1).to(wide.dtype)
        count = across.total(weight.sum()).clamp_min(1)
        mean_probability = across.total((torch.softmax(wide, dim=-1) * weight).sum(dim=0)) / count
        used = torch.zeros_like(wide).scatter_(-1, wide.detach().argmax(dim=-1, keepdim=True), 1.0)
        return Quantized(
            values=values.reshape(rows, places, -1).to(x.dtype),
            codes=codes.view(rows, places, self.groups),
            logits=logits.view(rows, places, self.groups, self.entries),
            soft_perplexity=perplexity(mean_probability),
            hard_perplexity=perplexity(across.total((used * weight).sum(dim=0)) / count).detach(),
        )


def perplexity(probability: Float[Tensor, "G V"]) -> Float[Tensor, ""]:
    """Returns the exponential of the entropy, summed over groups. Source: METHOD §3.4."""
    return torch.exp(-(probability * torch.log(probability + 1e-7)).sum(dim=-1)).sum()

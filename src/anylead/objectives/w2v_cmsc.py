"""The paper's objective: masked contrast (W2V) plus agreement of two segments (CMSC)."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder, Features, Tokens
from anylead.errors import ConfigError
from anylead.nn.dropout import Dropout
from anylead.nn.gumbel_quantizer import GumbelQuantizer, Quantized
from anylead.nn.keyed_random import DrawKey, gumbel
from anylead.nn.loss import Loss, Progress
from anylead.nn.places import places_of
from anylead.nn.token_predictor import TokenPredictor
from anylead.objectives.base import Objective
from anylead.objectives.cmsc import cmsc_loss
from anylead.objectives.masked_contrast import (
    HiddenFrames,
    contrastive_logits,
    contrastive_loss,
    draw_hidden,
    draw_hidden_reference,
    draw_negatives,
)


@dataclass(frozen=True, kw_only=True)
class W2VCMSCConfig:
    """Configuration of `W2VCMSC`; the defaults are the paper's."""

    kind: Literal["w2v_cmsc"] = "w2v_cmsc"
    hidden_share: float = 55 / 156
    """Of a segment's frames; the paper's nominal 0.65 came to this at 128 segments a batch."""
    reference_probability: float = 0.65
    """Nominal share where the encoder is in reference mode."""
    span: int = 10
    """Frames a hidden span (320 ms)."""
    negatives: int = 100
    contrast_temperature: float = 0.1
    groups: int = 2
    entries: int = 320
    """Codebook entries a group."""
    final_dimension: int = 256
    """Width of targets and projected contexts."""
    feature_dropout: float = 0.1
    """On frames before the quantiser."""
    gumbel_start: float = 2.0
    gumbel_floor: float = 0.5
    gumbel_decay: float = 0.999995
    """Per update."""
    contrast_weight: float = 1.0
    diversity_weight: float = 0.1
    penalty_weight: float = 10.0
    cmsc_weight: float = 1.0
    cmsc_temperature: float = 0.1
    predictor_layers: int = 0
    """0 sends hidden frames through the encoder, as the paper; otherwise the encoder is spared them, and as
    many transformer layers predict them from those that were shown."""
    detach_norm: bool = True
    """Let no gradient through the lengths of pooled vectors, as the paper's code."""


@dataclass(frozen=True, kw_only=True, eq=False)
class W2VDraws:
    """Every random draw of one micro-batch."""

    hidden: HiddenFrames
    negatives: Int64[Tensor, "B M K"]
    """Places within the row."""
    noise: Float[Tensor, "B M G V"] | None
    """Gumbel noise; None takes the largest logit, as in evaluation."""
    temperature: Float[Tensor, ""] | float
    """Of the Gumbel softmax."""


@dataclass(frozen=True, kw_only=True, eq=False)
class W2VOutputs:
    """Everything on the way to the loss."""

    tokens: Tokens
    features: Features
    quantized: Quantized
    targets: Float[Tensor, "B M Q"]
    context: Float[Tensor, "B M Q"]
    logits: Float[Tensor, "B M candidates"]


class W2VCMSC(Objective):
    """Local and global contrast on the same masked forward pass.

    Args:
        config: Configuration.
        encoder: Gives the widths.

    Source: METHOD §3; Oh et al. 2022 (arXiv 2203.06889).
    """

    def __init__(self, config: W2VCMSCConfig, encoder: Encoder) -> None:
        super().__init__()
        if encoder.has_lead_tokens:
            raise ConfigError(
                f"{config.kind}: it hides stretches of time, and the encoder has tokens of single "
                "leads, which show them through other leads; use an encoder with fused tokens, or jepa_grid "
                "with this one."
            )
        self.config = config
        width = config.final_dimension
        self.hidden_embedding: nn.Parameter | None = None
        self.predictor: TokenPredictor | None = None
        if config.predictor_layers:
            heads = max(1, encoder.dimension // 64)
            self.predictor = TokenPredictor(
                encoder.dimension,
                encoder.dimension,
                width=encoder.dimension,
                layers=config.predictor_layers,
                heads=heads,
            )
        else:
            self.hidden_embedding = nn.Parameter(torch.rand(encoder.dimension))
        self.feature_dropout = Dropout(config.feature_dropout)
        self.quantizer = GumbelQuantizer(
            encoder.token_dimension, groups=config.groups, entries=config.entries, output_dimension=width
        )
        self.project_targets = nn.Linear(width, width)
        self.project_context = nn.Linear(encoder.dimension, width)

    def gumbel_temperature(self, progress: Progress) -> float:
        """Returns max(start * decay^updates, floor). Source: METHOD §3.4."""
        return max(
            self.config.gumbel_start * self.config.gumbel_decay**progress.step, self.config.gumbel_floor
        )

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> W2VDraws:
        """Draws hidden frames, negatives and, while training, Gumbel noise."""
        config = self.config
        mask = encoder.token_mask(batch)
        if encoder.reference:
            hidden = draw_hidden_reference(
                key, batch.row, mask, probability=config.reference_probability, span=config.span
            )
        else:
            hidden = draw_hidden(key, batch.row, mask, share=config.hidden_share, span=config.span)
        places = hidden.places.shape[1]
        noise = None
        if self.training:
            noise = gumbel(key.of("gumbel"), batch.row, places, config.groups, config.entries)
        return W2VDraws(
            hidden=hidden,
            negatives=draw_negatives(key, batch.row, hidden.valid, number=config.negatives),
            noise=noise,
            # A tensor: to a compiled loss a number that changes with every step would be another loss.
            temperature=torch.full((), self.gumbel_temperature(progress), device=mask.device),
        )

    def outputs(self, encoder: Encoder, batch: Batch, draws: W2VDraws) -> W2VOutputs:
        """Runs the masked forward pass and both branches (METHOD §3.2-3.7)."""
        tokens = encoder.tokenize(batch)
        hidden = draws.hidden
        features, predicted = self._contexts(encoder, tokens, hidden, padded=batch.padded)
        quantized = self.quantizer(
            _pick(self.feature_dropout(tokens.values), hidden.places),
            hidden.valid,
            noise=draws.noise,
            temperature=draws.temperature,
            across=self.across,
        )
        targets = self.project_targets(quantized.values)
        context = self.project_context(_pick(predicted, hidden.places))
        logits = contrastive_logits(
            context, targets, quantized.codes, draws.negatives, temperature=self.config.contrast_temperature
        )
        return W2VOutputs(
            tokens=tokens,
            features=features,
            quantized=quantized,
            targets=targets,
            context=context,
            logits=logits,
        )

    def _contexts(
        self, encoder: Encoder, tokens: Tokens, hidden: HiddenFrames, *, padded: bool
    ) -> tuple[Features, Float[Tensor, "B T D"]]:
        """Returns the features that CMSC pools, and a context of every frame."""
        if self.predictor is None:
            features = encoder.contextualize(
                tokens, padded=padded, hidden=hidden.mask, hidden_embedding=self.hidden_embedding
            )
            return features, features.tokens
        # Equal shares are hidden, so that no row shows more frames than one without padding.
        most = hidden.mask.shape[1] - hidden.places.shape[1]
        shown = places_of(tokens.mask & ~hidden.mask, most)
        features = encoder.contextualize(tokens, padded=padded, shown=shown)
        return features, self.predictor(features.tokens, shown, tokens.mask, padded=padded)

    def loss(self, encoder: Encoder, batch: Batch, *, draws: W2VDraws, progress: Progress) -> Loss:
        """Returns the summed loss of METHOD §3.9; its count is the number of hidden frames."""
        return self.loss_of(self.outputs(encoder, batch, draws), batch, draws)

    def loss_of(self, outputs: W2VOutputs, batch: Batch, draws: W2VDraws) -> Loss:
        """Returns the loss of given outputs."""
        config, across = self.config, self.across
        valid = draws.hidden.valid
        count = valid.sum()
        contrast, right = contrastive_loss(outputs.logits, valid)
        entries = config.groups * config.entries
        diversity = (entries - outputs.quantized.soft_perplexity) / entries
        penalty = across.mean(outputs.tokens.penalty, weight=outputs.tokens.mask.sum())
        agreement, agreement_accuracy = cmsc_loss(
            across.rows(outputs.features.pooled),
            across.rows(batch.patient),
            across.rows(batch.segment),
            temperature=config.cmsc_temperature,
            detach_norm=config.detach_norm,
        )
        together = across.total(count) * (
            config.diversity_weight * diversity
            + config.penalty_weight * penalty
            + config.cmsc_weight * agreement
        )
        value = config.contrast_weight * contrast + across.counted_once(together)
        terms = {
            "contrast": contrast / count,
            "contrast_accuracy": right.to(contrast.dtype) / count,
            "diversity": diversity,
            "penalty": penalty,
            "cmsc": agreement,
            "cmsc_accuracy": agreement_accuracy,
            "codes_in_use": outputs.quantized.hard_perplexity,
            "code_probability_perplexity": outputs.quantized.soft_perplexity,
        }
        return Loss(
            value=value,
            count=count,
            terms={name: term.detach() for name, term in terms.items()},
            pooled=outputs.features.pooled.detach(),
        )


def _pick(x: Float[Tensor, "B T D"], places: Int64[Tensor, "B M"]) -> Float[Tensor, "B M D"]:
    return x.gather(1, places.unsqueeze(-1).expand(-1, -1, x.shape[-1]))

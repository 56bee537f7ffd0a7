"""HuBERT: a hidden token's context finds the code of what was there, and the codes get better by rounds."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder, Features, Tokens
from anylead.errors import ConfigError
from anylead.nn.codebook import Codebook
from anylead.nn.gumbel_quantizer import perplexity
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.nn.places import places_of
from anylead.nn.teacher import Teacher
from anylead.objectives.base import Objective
from anylead.objectives.hidden_tokens import draw_hidden_times, longest_share
from anylead.objectives.signal_statistics import STATISTICS, signal_statistics


@dataclass(frozen=True, kw_only=True)
class HuBERTConfig:
    """Configuration of `HuBERT`."""

    kind: Literal["hubert"] = "hubert"
    codes: tuple[int, ...] = (100, 500)
    """Codes of each round."""
    round_starts: tuple[float, ...] = (0.2,)
    """Share of the run after which each round but the first begins."""
    fitting_share: float = 0.05
    """Of the run: how long before a round its codes are fitted; those of the first, as the run begins."""
    code_decay: float = 0.99
    """What is left of a vector's weight in its code after an update, while codes are fitted."""
    window_s: float = 0.2
    """Of the signal around a token whose statistics the first round's codes stand for."""
    layer: int = 8
    """Layer whose outputs the codes of later rounds stand for; the last one where there are fewer."""
    hidden_share: float = 0.33
    """Of the times."""
    span: int = 10
    """Tokens a hidden span."""
    shown_weight: float = 0.0
    """How much the code of a shown token counts, beside 1 for a hidden one."""
    final_dimension: int = 256
    """Width in which contexts and codes are compared."""
    temperature: float = 0.1

    def __post_init__(self) -> None:
        share, starts = self.fitting_share, self.round_starts
        if not self.codes or len(starts) != len(self.codes) - 1:
            raise ConfigError(
                f"hubert: got codes {self.codes} and round_starts {starts}; give the codes of every round, "
                "and where each but the first begins."
            )
        ends = (share, *starts)
        apart = all(end + share <= start + 1e-9 for end, start in zip(ends, starts, strict=False))
        if not (0.0 < share <= 1.0 and apart and ends[-1] <= 1.0):
            raise ConfigError(
                f"hubert: got round_starts {starts} and fitting_share {share:g}; rounds must begin one after "
                "the other, each with a fitting_share of its own before it, and one more as the run begins."
            )
        if self.temperature <= 0.0 or self.shown_weight < 0.0:
            raise ConfigError(
                f"hubert: got temperature {self.temperature:g} and shown_weight {self.shown_weight:g}; give "
                "a temperature above 0 and a weight of at least 0."
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class HuBERTDraws:
    """What is hidden in one micro-batch, and where in the rounds the run is."""

    hidden: Bool[Tensor, "B T"]
    round: int
    """Whose codes are guessed."""
    fitted: int | None
    """Round whose codes follow this micro-batch."""


def code_logits(
    context: Float[Tensor, "B M Q"], codes: Float[Tensor, "K Q"], *, temperature: float
) -> Float[Tensor, "B M K"]:
    """Returns the cosine of every context with the embedding of every code, over a temperature.

    Source: Hsu et al. 2021 (arXiv 2106.07447), equation 3.
    """
    wide = torch.float64 if context.dtype == torch.float64 else torch.float32
    unit_context, unit_codes = (F.normalize(x.to(wide), dim=-1, eps=1e-8) for x in (context, codes))
    with torch.autocast(context.device.type, enabled=False):
        return unit_context @ unit_codes.T / temperature


def code_loss(
    logits: Float[Tensor, "B M K"], target: Int64[Tensor, "B M"], weight: Float[Tensor, "B M"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
    """Returns the summed cross-entropy, the sum of right guesses and that of the weights, all weighted.

    Source: Hsu et al. 2021 (arXiv 2106.07447), §II-B.
    """
    entropy = -F.log_softmax(logits, dim=-1).gather(2, target.unsqueeze(2)).squeeze(2)
    right = (logits.detach().argmax(dim=2) == target).to(weight.dtype)
    counted = weight > 0
    value = torch.where(counted, weight * entropy, 0.0).sum()
    return value, torch.where(counted, weight * right, 0.0).sum(), weight.sum()


class HuBERT(Objective):
    """Guesses the codes of hidden tokens, which are fitted once a round and then stand still.

    The first round's codes stand for statistics of the signal. Some time before each later round a copy of
    the encoder is put aside, and that round's codes are fitted on its latents while the old ones are still
    guessed. Copies and codes get no gradient.

    Source: Hsu et al. 2021 (arXiv 2106.07447); on ECGs: HuBERT-ECG (PEERS §2.15). Deviations: rounds are
    parts of one run, whose encoder goes on learning, where they are runs of their own from new weights; the
    codes follow micro-batches (`Codebook`), where k-means is run on stored features.
    """

    def __init__(self, config: HuBERTConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config
        self.hidden_embedding = nn.Parameter(torch.rand(encoder.dimension))
        self.project = nn.Linear(encoder.dimension, config.final_dimension)
        self.code_embeddings = nn.Parameter(torch.randn(sum(config.codes), config.final_dimension))
        """Of the codes of all rounds, one round after the other: one tensor, so that it has a gradient in
        every round."""
        widths = [STATISTICS] + [encoder.dimension] * len(config.round_starts)
        self.codebooks = nn.ModuleList(
            Codebook(codes, width, decay=config.code_decay, cosine=False)
            for codes, width in zip(config.codes, widths, strict=True)
        )
        self.snapshots = nn.ModuleList(Teacher(encoder) for _ in config.round_starts)
        """For each round but the first, the encoder whose latents its codes stand for."""

    def round_at(self, progress: Progress) -> int:
        """Returns the round whose codes are guessed in the next update, from 0."""
        starts = [round(start * progress.total_steps) for start in self.config.round_starts]
        return sum(progress.step >= start for start in starts)

    def fitted_at(self, progress: Progress) -> int | None:
        """Returns the round whose codes are fitted in the next update; None where all stand still."""
        step, total, share = progress.step, progress.total_steps, self.config.fitting_share
        if step < max(1, round(share * total)):
            return 0
        for number, start in enumerate(self.config.round_starts, start=1):
            end = round(start * total)
            if min(end - 1, round((start - share) * total)) <= step < end:
                return number
        return None

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> HuBERTDraws:
        """Draws the hidden times."""
        share, span = self.config.hidden_share, self.config.span
        return HuBERTDraws(
            hidden=draw_hidden_times(encoder, batch, key.of("hidden"), share=share, span=span),
            # Here and not in the loss, which a step's number would compile anew in every step.
            round=self.round_at(progress),
            fitted=self.fitted_at(progress),
        )

    def loss(self, encoder: Encoder, batch: Batch, *, draws: HuBERTDraws, progress: Progress) -> Loss:
        """Returns the cross-entropy summed over hidden tokens and, by their weight, over shown ones."""
        tokens = encoder.tokenize(batch)
        features = encoder.contextualize(
            tokens, padded=batch.padded, hidden=draws.hidden, hidden_embedding=self.hidden_embedding
        )
        target = self._targets(encoder, batch, tokens, draws)
        most = tokens.mask.shape[1]
        if not self.config.shown_weight:
            frames = tokens.frames or most
            most = longest_share(frames, self.config.hidden_share) * (most // frames)
        places = places_of(tokens.mask & (draws.hidden | (self.config.shown_weight > 0)), most)
        logits = code_logits(
            self.project(places.of(features.tokens)),
            self._embeddings(draws.round),
            temperature=self.config.temperature,
        )
        weight = torch.where(places.of(draws.hidden), 1.0, self.config.shown_weight).to(logits.dtype)
        weight = torch.where(places.valid, weight, 0.0)
        picked = places.of(target)
        value, right, count = code_loss(logits, picked, weight)
        return Loss(
            value=value,
            count=count,
            terms={
                "cross_entropy": value.detach() / count.clamp_min(1),
                "code_accuracy": right / count.clamp_min(1),
                "codes_in_use": self._in_use(picked, weight, logits.shape[2]),
            },
            pooled=features.pooled.detach(),
        )

    def after_step(self, encoder: Encoder, progress: Progress) -> None:
        """Lets the codes that are fitted follow, and puts the encoder aside when others begin to be."""
        fitted = self.fitted_at(Progress(step=progress.step - 1, total_steps=progress.total_steps))
        if fitted is not None:
            self._codebook(fitted).update(self.everyone)
        following = self.fitted_at(progress)
        if following and following != fitted:
            self._snapshot(following).follow(encoder, 0.0)

    @torch.no_grad()
    def _targets(
        self, encoder: Encoder, batch: Batch, tokens: Tokens, draws: HuBERTDraws
    ) -> Int64[Tensor, "B T"]:
        """Returns the code of every token; what is fitted is collected on the way."""
        seen = self._seen(draws.round, encoder, batch, tokens)
        target = self._codebook(draws.round).assign(seen.flatten(0, 1))
        if self.training and draws.fitted is not None:
            if draws.fitted != draws.round:
                seen = self._seen(draws.fitted, encoder, batch, tokens)
            self._codebook(draws.fitted).collect(seen.flatten(0, 1), tokens.mask.flatten())
        return target.view(tokens.mask.shape)

    def _seen(self, number: int, encoder: Encoder, batch: Batch, tokens: Tokens) -> Float[Tensor, "B T E"]:
        """Returns what the codes of a round stand for."""
        if number == 0:
            return signal_statistics(encoder, batch, tokens, window_s=self.config.window_s)
        layer = min(self.config.layer, encoder.layers)
        features: Features = self._snapshot(number).network(batch, layer=layer)
        return features.tokens

    def _embeddings(self, number: int) -> Float[Tensor, "K Q"]:
        """Returns the embeddings of a round's codes."""
        first = sum(self.config.codes[:number])
        return self.code_embeddings[first : first + self.config.codes[number]]

    def _in_use(
        self, target: Int64[Tensor, "B M"], weight: Float[Tensor, "B M"], codes: int
    ) -> Float[Tensor, ""]:
        """Returns the effective number of codes among the targets."""
        mass = weight.new_zeros(codes).index_add_(0, target.flatten(), weight.flatten())
        mass = self.across.total(mass)
        return perplexity((mass / mass.sum().clamp_min(1)).unsqueeze(0))

    def _codebook(self, number: int) -> Codebook:
        codebook = self.codebooks[number]
        assert isinstance(codebook, Codebook)
        return codebook

    def _snapshot(self, number: int) -> Teacher[Encoder]:
        snapshot = self.snapshots[number - 1]
        assert isinstance(snapshot, Teacher)
        return snapshot

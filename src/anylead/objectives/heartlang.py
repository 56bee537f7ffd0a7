"""HeartLang: heart beats are words, and the words of hidden beats are guessed."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.errors import ConfigError
from anylead.nn.beats import (
    BEAT_SAMPLES,
    Beats,
    beat_signal,
    cut_beats,
    find_beats,
    most_beats,
    tokens_under,
)
from anylead.nn.codebook import Codebook
from anylead.nn.gumbel_quantizer import perplexity
from anylead.nn.keyed_random import DrawKey, uniform
from anylead.nn.loss import Loss, Progress
from anylead.nn.places import places_of
from anylead.objectives.base import Objective


@dataclass(frozen=True, kw_only=True)
class HeartLangConfig:
    """Configuration of `HeartLang`; where the paper has the setting, the defaults are the paper's."""

    kind: Literal["heartlang"] = "heartlang"
    codebook_fraction: float = 1 / 3
    """First share of the run, in which the codebook is learnt and the encoder is not; the paper's two stages
    have 100 and 200 epochs."""
    hidden_share: float = 0.5
    """Of a row's beats, or of its beats in single leads where the encoder has tokens of these."""
    codes: int = 8192
    code_dimension: int = 128
    code_decay: float = 0.99
    """What is left of a beat's weight in its code after an update."""
    commitment_weight: float = 1.0
    """Of the distance between a beat's latent and its code."""
    beat_width: int = 256
    """Inner width of what makes a latent of a beat, and a beat of a code."""

    def __post_init__(self) -> None:
        shares = (self.codebook_fraction, self.hidden_share)
        if not all(0.0 < share < 1.0 for share in shares) or self.codes < 2:
            raise ConfigError(
                f"heartlang: got codebook_fraction {self.codebook_fraction:g}, hidden_share "
                f"{self.hidden_share:g} and {self.codes} codes; both shares must be above 0 and below 1, and "
                "there must be at least 2 codes."
            )


class BeatCodebook(nn.Module):
    """Beats of single leads to codes, and back.

    Args:
        leads: Leads that beats may be of.
        width: Inner width.
        codes: V.
        dimension: Of latents and codes.
        decay: Of the codes' moving average.

    Source: HeartLang, VQ-HBR (PEERS §2.6); van den Oord et al. 2017 (arXiv 1711.00937).
    """

    def __init__(self, leads: int, *, width: int, codes: int, dimension: int, decay: float) -> None:
        super().__init__()
        self.lead = nn.Embedding(leads, width)
        self.enter = nn.Linear(BEAT_SAMPLES, width)
        self.contract = nn.Linear(width, dimension)
        self.codebook = Codebook(codes, dimension, decay=decay, cosine=True)
        self.expand = nn.Linear(dimension, width)
        self.leave = nn.Linear(width, BEAT_SAMPLES)

    def latents(self, beats: Float[Tensor, "B Q S"], lead: Int64[Tensor, "B Q"]) -> Float[Tensor, "B Q C"]:
        """Returns the latent of every beat, of length 1; `lead` is the number of its lead."""
        inner = F.gelu(self.enter(beats) + self.lead(lead))
        return F.normalize(self.contract(inner), dim=-1)

    def assign(self, latents: Float[Tensor, "B Q C"]) -> Int64[Tensor, "B Q"]:
        """Returns the code of every latent."""
        return self.codebook.assign(latents.detach().flatten(0, 1)).view(latents.shape[:2])

    @torch.no_grad()
    def codes(self, beats: Float[Tensor, "B Q S"], lead: Int64[Tensor, "B Q"]) -> Int64[Tensor, "B Q"]:
        """Returns the code of every beat."""
        return self.assign(self.latents(beats, lead))

    def draw(self, latents: Float[Tensor, "B Q C"], lead: Int64[Tensor, "B Q"]) -> Float[Tensor, "B Q S"]:
        """Returns what beats of these latents look like in their leads."""
        drawn: Tensor = self.leave(F.gelu(self.expand(latents) + self.lead(lead)))
        return drawn

    def vectors(self, codes: Int64[Tensor, "B Q"]) -> Float[Tensor, "B Q C"]:
        """Returns the vectors of codes, of length 1."""
        return F.normalize(self.codebook.vectors, dim=-1)[codes]


class CodeHead(nn.Module):
    """Tokens under a beat to scores of the codes that the beat may have in a lead.

    Args:
        dimension: D of the tokens.
        leads: Leads that may be asked for.
        codes: V.
    """

    def __init__(self, dimension: int, *, leads: int, codes: int) -> None:
        super().__init__()
        self.enter = nn.Linear(dimension, dimension)
        self.lead = nn.Embedding(leads, dimension)
        self.leave = nn.Linear(dimension, codes)

    def forward(self, means: Float[Tensor, "B Q D"], lead: Int64[Tensor, "B Q"]) -> Float[Tensor, "B Q V"]:
        """Returns logits; `lead` is the number of the lead that is asked for."""
        logits: Tensor = self.leave(F.gelu(self.enter(means) + self.lead(lead)))
        return logits


def codebook_loss(
    drawn: Float[Tensor, "B Q S"],
    beats: Float[Tensor, "B Q S"],
    latents: Float[Tensor, "B Q C"],
    chosen: Float[Tensor, "B Q C"],
    counted: Bool[Tensor, "B Q"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Returns the error of drawn beats, and how far latents are from their codes, summed over beats.

    Both are means over their dimensions, squared. No gradient flows into codes.

    Args:
        drawn: What was made of the codes.
        beats: What the codes were of: zeros beyond a beat's borders count, for they say how long it is.
        latents: Of length 1.
        chosen: Codes of length 1.
        counted: Beats that exist.
    """
    wide = beats.dtype if beats.dtype == torch.float64 else torch.float32
    error = (drawn.to(wide) - beats.to(wide)).square().mean(dim=-1)
    distance = (latents.to(wide) - chosen.detach().to(wide)).square().mean(dim=-1)
    return torch.where(counted, error, 0.0).sum(), torch.where(counted, distance, 0.0).sum()


def code_loss(
    logits: Float[Tensor, "B Q V"], codes: Int64[Tensor, "B Q"], counted: Bool[Tensor, "B Q"]
) -> tuple[Float[Tensor, ""], Int64[Tensor, ""]]:
    """Returns the summed cross-entropy of the codes of counted beats, and how many were guessed right."""
    wide = logits if logits.dtype == torch.float64 else logits.float()
    entropy = wide.logsumexp(dim=-1) - wide.gather(2, codes.unsqueeze(2)).squeeze(2)
    right = (wide.argmax(dim=-1) == codes) & counted
    return torch.where(counted, entropy, 0.0).sum(), right.sum().detach()


def choose_hidden(
    order: Float[Tensor, "B R K"], known: Bool[Tensor, "B R K"], *, share: float
) -> Bool[Tensor, "B R K"]:
    """Hides a share of every row's beats, the first in some order; at least one is hidden and one shown.

    Args:
        order: Random numbers in (0, 1).
        known: Beats that exist, in R leads or in all together.
        share: Of these, rounded. A row with one beat hides none.
    """
    exist = known.flatten(1)
    number = exist.sum(dim=1, keepdim=True)
    rank = torch.where(exist, order.flatten(1), 2.0).argsort(dim=1).argsort(dim=1)
    wanted = (number * share).round().clamp_min(1).minimum(number - 1)
    return (exist & (rank < wanted)).view(known.shape)


def means_under(tokens: Float[Tensor, "B R T D"], under: Bool[Tensor, "B R K T"]) -> Float[Tensor, "B R K D"]:
    """Returns the mean of the tokens under every beat; 0 where there is none."""
    weight = under.to(tokens.dtype)
    sums: Tensor = weight @ tokens
    return sums / weight.sum(dim=3, keepdim=True).clamp_min(1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sentence:
    """The beats of a batch, as words in leads."""

    beats: Beats
    recorded: Bool[Tensor, "B L"]
    """Leads that were recorded, of those that both the batch and the encoder have."""
    shapes: Float[Tensor, "B Q S"]
    """Every beat of every lead, standardised; all K of the first lead, then those of the second, ..."""
    lead: Int64[Tensor, "B Q"]
    """The number that the encoder's lead has."""

    @property
    def exist(self) -> Bool[Tensor, "B L K"]:
        """Which beats there are in recorded leads."""
        return self.recorded.unsqueeze(2) & self.beats.valid.unsqueeze(1)


class HeartLang(Objective):
    """First learns a codebook of beats, then hides half of the beats and guesses their codes.

    The first part of a run learns to draw each beat of each lead, standardised, from one of V codes; the
    encoder rests. Then the codebook stays as it is, all tokens over the hidden beats are replaced by one
    learned vector, and the code of each hidden beat in each lead is guessed from the mean of the encoder's
    tokens under it. Where tokens fuse the leads, a beat is hidden in all leads, and guessed in each that was
    recorded; where leads have tokens of their own, beats of single leads are hidden.

    Source: HeartLang (Jin et al. 2025, arXiv 2502.10707); PEERS §2.6. Corrections of PEERS §1c: codes are
    computed with the same lead and the same beat in both parts; beats that do not exist are neither hidden
    nor counted; beats are found in all leads together; a row without any is cut into fixed windows.
    Deviations: both stages are one run with one optimizer; beats are what the encoder makes of the tokens
    over them, rather than tokens themselves; a code comes from the beat and its lead alone, without the other
    beats and the second it is in; codes begin as one that is split (`Codebook`).
    """

    leaves_weights_idle = True

    def __init__(self, config: HeartLangConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config
        leads = len(encoder.leads)
        self.hidden_embedding = nn.Parameter(torch.rand(encoder.dimension))
        self.words = BeatCodebook(
            leads,
            width=config.beat_width,
            codes=config.codes,
            dimension=config.code_dimension,
            decay=config.code_decay,
        )
        self.guess = CodeHead(encoder.dimension, leads=leads, codes=config.codes)

    def learns_codebook(self, step: int, total_steps: int) -> bool:
        """Returns whether the update after so many is of the first part of the run."""
        return step < self.config.codebook_fraction * total_steps

    def draw(
        self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress
    ) -> Float[Tensor, "B R K"] | None:
        """Draws in which order beats are hidden; nothing while the codebook is learnt."""
        if self.learns_codebook(progress.step, progress.total_steps):
            return None
        rows = len(_known_leads(encoder, batch)) if encoder.has_lead_tokens else 1
        most = most_beats(batch.signal.shape[2], batch.sampling_rate_hz)
        return uniform(key.of("hidden"), batch.row, rows, most)

    def loss(
        self, encoder: Encoder, batch: Batch, *, draws: Float[Tensor, "B R K"] | None, progress: Progress
    ) -> Loss:
        """Returns the codebook's loss summed over beats, or the cross-entropy summed over hidden beats."""
        sentence = self.sentence(encoder, batch)
        if draws is None:
            return self._codebook_loss(encoder, batch, sentence)
        return self._hidden_loss(encoder, batch, sentence, draws)

    def after_step(self, encoder: Encoder, progress: Progress) -> None:
        """Lets the codes follow the beats in the first part of the run."""
        if self.learns_codebook(progress.step - 1, progress.total_steps):
            self.words.codebook.update(self.everyone)

    def sentence(self, encoder: Encoder, batch: Batch) -> Sentence:
        """Returns the beats of a batch, in the leads that the encoder knows, in its order."""
        leads = _known_leads(encoder, batch)
        signal = beat_signal(batch, leads)
        beats = find_beats(signal)
        shapes = cut_beats(signal, beats)
        rows, number, most, _ = shapes.shape
        names = torch.tensor([encoder.leads.index(name) for name in leads], device=shapes.device)
        return Sentence(
            beats=beats,
            recorded=batch.select(leads).lead_mask,
            shapes=shapes.flatten(1, 2),
            lead=names.repeat_interleave(most).expand(rows, number * most),
        )

    def _codebook_loss(self, encoder: Encoder, batch: Batch, sentence: Sentence) -> Loss:
        words, shapes, lead = self.words, sentence.shapes, sentence.lead
        counted = sentence.exist.flatten(1)
        latents = words.latents(shapes, lead)
        codes = words.assign(latents)
        if self.training:
            words.codebook.collect(latents.detach().flatten(0, 1), counted.flatten())
        chosen = words.vectors(codes).to(latents.dtype)
        # Straight through: what is drawn of the code moves the latent.
        drawn = words.draw(latents + (chosen - latents).detach(), lead)
        error, distance = codebook_loss(drawn, shapes, latents, chosen, counted)
        count = counted.sum()
        with torch.no_grad():
            pooled = encoder(batch).pooled
        terms = {"beat_error": error / count.clamp_min(1), "commitment": distance / count.clamp_min(1)}
        return Loss(
            value=error + self.config.commitment_weight * distance,
            count=count,
            terms={
                **{name: term.detach() for name, term in terms.items()},
                "codes_in_use": self._codes_in_use(codes, counted),
            },
            pooled=pooled,
        )

    def _hidden_loss(
        self, encoder: Encoder, batch: Batch, sentence: Sentence, draws: Float[Tensor, "B R K"]
    ) -> Loss:
        (_, leads, most), rows = sentence.exist.shape, draws.shape[1]
        known = sentence.exist if encoder.has_lead_tokens else sentence.exist.any(dim=1, keepdim=True)
        hidden = choose_hidden(draws, known, share=self.config.hidden_share)
        means, have_token, pooled = self._means(encoder, batch, sentence.beats, hidden)
        # In every recorded lead, of the beats that have a token.
        asked = (hidden & have_token & sentence.recorded.unsqueeze(2)).flatten(1)
        at_most = max(1, math.ceil(self.config.hidden_share * rows * most))
        places = places_of(asked, at_most * (leads // rows))
        lead = places.of(sentence.lead)
        codes = self.words.codes(places.of(sentence.shapes), lead)
        logits = self.guess(places.of(means.expand(-1, leads, -1, -1).flatten(1, 2)), lead)
        value, right = code_loss(logits, codes, places.valid)
        count = places.valid.sum()
        return Loss(
            value=value,
            count=count,
            terms={
                "code": value.detach() / count.clamp_min(1),
                "code_accuracy": right.to(value.dtype) / count.clamp_min(1),
                "codes_in_use": self._codes_in_use(codes, places.valid),
            },
            pooled=pooled,
        )

    def _means(
        self, encoder: Encoder, batch: Batch, beats: Beats, hidden: Bool[Tensor, "B R K"]
    ) -> tuple[Float[Tensor, "B R K D"], Bool[Tensor, "B R K"], Float[Tensor, "B D"]]:
        """Encodes with some beats hidden: the means under all, which have a token, and what rows come to."""
        tokens = encoder.tokenize(batch)
        mask = tokens.mask.view(*hidden.shape[:2], -1)
        under = tokens_under(
            beats,
            mask.shape[2],
            samples_per_token=encoder.samples_per_token,
            rate_hz=batch.sampling_rate_hz,
        ).unsqueeze(1)
        features = encoder.contextualize(
            tokens,
            padded=batch.padded,
            hidden=(hidden.unsqueeze(3) & under).any(dim=2).flatten(1),
            hidden_embedding=self.hidden_embedding,
        )
        under = under & mask.unsqueeze(2)
        means = means_under(features.tokens.view(*mask.shape, -1), under)
        return means, under.any(dim=3), features.pooled.detach()

    def _codes_in_use(self, codes: Int64[Tensor, "B Q"], counted: Bool[Tensor, "B Q"]) -> Float[Tensor, ""]:
        """Returns the effective number of codes that the batch has."""
        vectors = self.words.codebook.vectors
        numbers = torch.zeros(len(vectors), dtype=vectors.dtype, device=codes.device)
        numbers = numbers.index_add(0, codes.flatten(), counted.flatten().to(numbers.dtype))
        numbers = self.across.total(numbers)
        return perplexity((numbers / numbers.sum().clamp_min(1)).unsqueeze(0))


def _known_leads(encoder: Encoder, batch: Batch) -> tuple[str, ...]:
    known = tuple(name for name in encoder.leads if name in batch.leads)
    return known or encoder.leads  # of which the batch then has none, as the encoder says

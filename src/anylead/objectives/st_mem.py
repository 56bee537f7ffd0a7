"""ST-MEM: tokens of every lead are hidden apart, and every lead is drawn by itself."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Bool
from torch import Tensor

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.errors import ConfigError
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.nn.token_predictor import TokenPredictor
from anylead.objectives.base import Objective
from anylead.objectives.hidden_tokens import draw_hidden_in_each_lead, fold_leads, places_by_lead
from anylead.objectives.signal_targets import patch_width, patches_of, squared_error, standardized


@dataclass(frozen=True, kw_only=True)
class STMEMConfig:
    """Configuration of `STMEM`."""

    kind: Literal["st_mem"] = "st_mem"
    hidden_share: float = 0.75
    """Of the tokens of each lead, each lead's own."""
    decoder_width: int = 256
    decoder_layers: int = 4
    decoder_heads: int = 4


class STMEM(Objective):
    """Predicts hidden stretches of each lead from what the encoder knows of that lead.

    The decoder sees one lead at a time: what another lead says has to be in the encoder's tokens.

    Source: ST-MEM (Na et al. 2024, arXiv 2402.09450); PEERS §2.2. Deviation: no separator tokens; only shown
    tokens that were recorded are attended to.
    """

    def __init__(self, config: STMEMConfig, encoder: Encoder) -> None:
        super().__init__()
        if not encoder.has_lead_tokens:
            raise ConfigError(
                "st_mem: it hides tokens of single leads, and the encoder fuses all leads in its tokens; use "
                "lead_time_transformer, or masked_time with this encoder."
            )
        self.config = config
        self.decoder = TokenPredictor(
            encoder.dimension,
            patch_width(encoder),
            width=config.decoder_width,
            layers=config.decoder_layers,
            heads=config.decoder_heads,
        )

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> Bool[Tensor, "B T"]:
        """Draws the hidden tokens."""
        return draw_hidden_in_each_lead(encoder, batch, key.of("hidden"), share=self.config.hidden_share)

    def loss(self, encoder: Encoder, batch: Batch, *, draws: Bool[Tensor, "B T"], progress: Progress) -> Loss:
        """Returns the squared error summed over the samples of hidden tokens, each token standardised."""
        tokens = encoder.tokenize(batch)
        rows, number = tokens.mask.shape
        frames = tokens.frames or number
        leads = number // frames
        shown = places_by_lead(
            draws, tokens.mask, leads * (frames - round(self.config.hidden_share * frames))
        )
        features = encoder.contextualize(tokens, padded=batch.padded, shown=shown)
        folded = features.tokens.reshape(rows * leads, -1, encoder.dimension)
        alone = tokens.mask.reshape(rows * leads, frames)
        # A lead that is absent has no token to attend to: it is decoded from nothing, and not counted.
        guess = self.decoder(folded, fold_leads(shown, leads, frames), alone, padded=False)
        target = standardized(patches_of(encoder, batch, tokens), encoder.samples_per_token)
        value, count = squared_error(guess.reshape(rows, number, -1), target, draws & tokens.mask)
        return Loss(
            value=value,
            count=count,
            terms={"error": value.detach() / count.clamp_min(1)},
            pooled=features.pooled.detach(),
        )

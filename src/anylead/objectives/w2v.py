"""W2V: the paper's masked contrast alone, without agreement of two segments (the local loss)."""

from dataclasses import dataclass, fields
from typing import Literal

from anylead.batch import Batch
from anylead.encoders.base import Encoder
from anylead.nn.keyed_random import DrawKey
from anylead.nn.loss import Loss, Progress
from anylead.objectives.base import Objective
from anylead.objectives.w2v_cmsc import W2VCMSC, W2VCMSCConfig, W2VDraws


@dataclass(frozen=True, kw_only=True)
class W2VConfig:
    """Configuration of `W2V`; fields and defaults are those of `W2VCMSCConfig`, the paper's."""

    kind: Literal["w2v"] = "w2v"
    hidden_share: float = 55 / 156
    reference_probability: float = 0.65
    span: int = 10
    negatives: int = 100
    contrast_temperature: float = 0.1
    groups: int = 2
    entries: int = 320
    final_dimension: int = 256
    feature_dropout: float = 0.1
    gumbel_start: float = 2.0
    gumbel_floor: float = 0.5
    gumbel_decay: float = 0.999995
    diversity_weight: float = 0.1
    penalty_weight: float = 10.0
    predictor_layers: int = 0


class W2V(Objective):
    """A hidden frame's context finds the code of what was there, among those of other hidden frames.

    Source: METHOD §3 without §3.8, and §5; Baevski et al. 2020 (wav2vec 2.0, arXiv 2006.11477).
    """

    def __init__(self, config: W2VConfig, encoder: Encoder) -> None:
        super().__init__()
        self.config = config
        values = {f.name: getattr(config, f.name) for f in fields(config) if f.name != "kind"}
        self.contrast = W2VCMSC(W2VCMSCConfig(**values, cmsc_weight=0.0), encoder)

    def draw(self, encoder: Encoder, batch: Batch, key: DrawKey, progress: Progress) -> W2VDraws:
        """Draws hidden frames, negatives and, while training, Gumbel noise."""
        return self.contrast.draw(encoder, batch, key, progress)

    def loss(self, encoder: Encoder, batch: Batch, *, draws: W2VDraws, progress: Progress) -> Loss:
        """Returns the summed loss; its count is the number of hidden frames."""
        self.contrast.across = self.across
        whole = self.contrast.loss(encoder, batch, draws=draws, progress=progress)
        terms = {name: term for name, term in whole.terms.items() if not name.startswith("cmsc")}
        return Loss(value=whole.value, count=whole.count, terms=terms, pooled=whole.pooled)

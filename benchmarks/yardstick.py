"""The step computed as the reference implementation computes it: the yardstick of benchmarks/step.py.

Written from METHOD §3 and §8 (Speed): convolutions as such, spans and negatives drawn in loops on the host,
one-hot codes multiplied out against the codebook, every negative vector laid out, attention with dropout,
Adam tensor by tensor. It is plain on purpose, and equal to the reference's numbers
(tests/benchmarks/test_yardstick.py): parameters and outputs have fairseq-signals' names.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm


@dataclass(frozen=True, kw_only=True)
class YardstickConfig:
    """Sizes, by METHOD's names; the defaults are `base` with the recipe's dropouts."""

    channels: int = 256
    dimension: int = 768
    layers: int = 12
    heads: int = 12
    feedforward: int = 3072
    position_kernel: int = 128
    groups: int = 2
    entries: int = 320
    final_dimension: int = 256
    negatives: int = 100
    dropout: float = 0.1


class Attention(nn.Module):
    def __init__(self, dimension: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (
            nn.Linear(dimension, dimension) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, D), as fairseq lays it out."""
        frames, rows, width = x.shape
        split = (frames, rows * self.heads, width // self.heads)
        q, k, v = (
            project(x).view(split).transpose(0, 1).view(rows, self.heads, frames, -1)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        y = y.permute(2, 0, 1, 3).reshape(frames, rows, width)
        return self.out_proj(y)


class Layer(nn.Module):
    def __init__(self, config: YardstickConfig) -> None:
        super().__init__()
        width, self.rate = config.dimension, config.dropout
        self.self_attn = Attention(width, config.heads, config.dropout)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, config.feedforward)
        self.fc2 = nn.Linear(config.feedforward, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.self_attn_layer_norm(x + F.dropout(self.self_attn(x), self.rate, self.training))
        y = self.fc2(F.gelu(self.fc1(x).float()).type_as(x))
        return self.final_layer_norm(x + F.dropout(y, self.rate, self.training))


class Context(nn.Module):
    def __init__(self, config: YardstickConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.layer_norm = nn.LayerNorm(config.dimension)


class Extractor(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        norm = nn.GroupNorm(channels, channels)
        self.conv_layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(12 if depth == 0 else channels, channels, 2, stride=2, bias=False),
                nn.Dropout(0.0),
                *([norm] if depth == 0 else []),
                nn.GELU(),
            )
            for depth in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.conv_layers:
            x = layer(x)
        return x


class Quantizer(nn.Module):
    def __init__(self, config: YardstickConfig) -> None:
        super().__init__()
        self.groups, self.entries = config.groups, config.entries
        count = config.groups * config.entries
        self.vars = nn.Parameter(torch.rand(1, count, config.final_dimension // config.groups))
        self.weight_proj = nn.Linear(config.channels, count)
        nn.init.normal_(self.weight_proj.weight)
        nn.init.zeros_(self.weight_proj.bias)

    def forward(self, x: Tensor, noise: Tensor | None, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        rows, places, _ = x.shape
        logits = self.weight_proj(x.reshape(rows * places, -1)).view(rows * places * self.groups, -1)
        hard = torch.zeros_like(logits).scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)
        hard = hard.view(rows * places, self.groups, -1)
        mean = torch.softmax(logits.view(rows * places, self.groups, -1).float(), dim=-1).mean(0)
        perplexity = torch.exp(-(mean * torch.log(mean + 1e-7)).sum(-1)).sum()
        if self.training:
            if noise is None:
                noise = -torch.empty_like(logits).exponential_().log()
            soft = torch.softmax((logits + noise) / temperature, dim=-1)
            index = soft.argmax(-1, keepdim=True)
            codes = torch.zeros_like(logits).scatter_(-1, index, 1.0) - soft.detach() + soft
        else:
            codes = hard
        codes = codes.view(rows * places, -1)
        # The reference lays out (B*M, 640, 128) here.
        chosen = (codes.unsqueeze(-1) * self.vars).view(rows * places, self.groups, self.entries, -1).sum(-2)
        return chosen.view(rows, places, -1), perplexity, logits


class Yardstick(nn.Module):
    """W2V + CMSC with fairseq-signals' parameter names."""

    def __init__(self, config: YardstickConfig) -> None:
        super().__init__()
        self.config = config
        width, final = config.dimension, config.final_dimension
        self.mask_emb = nn.Parameter(torch.rand(width))
        self.feature_extractor = Extractor(config.channels)
        self.layer_norm = nn.LayerNorm(config.channels)
        if config.channels != width:
            self.post_extract_proj = nn.Linear(config.channels, width)
        position = nn.Conv1d(
            width, width, config.position_kernel, padding=config.position_kernel // 2, groups=16
        )
        self.conv_pos = nn.Module()
        self.conv_pos.pos_conv = nn.ModuleList([weight_norm(position, dim=2)])
        self.encoder = Context(config)
        self.quantizer = Quantizer(config)
        self.project_q = nn.Linear(final, final)
        self.final_proj = nn.Linear(width, final)

    def forward(
        self,
        source: Tensor,
        mask: np.ndarray,
        negatives: np.ndarray,
        patient: Tensor,
        segment: Tensor,
        *,
        noise: Tensor | None = None,
        temperature: float = 2.0,
    ) -> dict[str, Tensor]:
        """Returns the summed loss and what it is made of (METHOD §3.1-3.9)."""
        rate = self.config.dropout
        features = _ScaledGradient.apply(self.feature_extractor(source), 0.1)
        penalty = features.float().pow(2).mean()
        frames = self.layer_norm(features.transpose(1, 2))
        x = self.post_extract_proj(frames) if hasattr(self, "post_extract_proj") else frames
        x = F.dropout(x, rate, self.training)
        unmasked = F.dropout(frames.clone(), rate, self.training)
        hidden = torch.from_numpy(mask)
        x = x.clone()
        x[hidden] = self.mask_emb
        y = unmasked[hidden].view(len(x), -1, unmasked.shape[-1])
        position = self.conv_pos.pos_conv[0](x.transpose(1, 2))[..., :-1]
        x = x + F.gelu(position).transpose(1, 2)
        x = F.dropout(self.encoder.layer_norm(x), rate, self.training).transpose(0, 1)
        for layer in self.encoder.layers:
            x = layer(x)
        x = x.transpose(0, 1)
        quantized, perplexity, code_logits = self.quantizer(y, noise, temperature)
        targets = self.project_q(quantized)
        context = self.final_proj(x[hidden].view(len(x), -1, x.shape[-1]))
        rows, places, final = targets.shape
        laid_out = targets.view(-1, final)[torch.from_numpy(negatives).view(-1)]
        laid_out = laid_out.view(rows, places, -1, final).permute(2, 0, 1, 3)
        same = (targets == laid_out).all(-1)
        candidates = torch.cat([targets.unsqueeze(0), laid_out])
        logits = torch.cosine_similarity(context.float(), candidates.float(), dim=-1) / 0.1
        if same.any():
            logits[1:][same] = float("-inf")
        # fairseq's rows run over the batch first, then over places.
        rows_first = logits.transpose(0, 2).reshape(-1, logits.shape[0])
        contrast = F.cross_entropy(
            rows_first, rows_first.new_zeros(len(rows_first), dtype=torch.long), reduction="sum"
        )
        count = rows * places
        pooled = x.sum(1) / (x != 0).sum(1)
        agreement = _cmsc(pooled, patient, segment)
        entries = self.config.groups * self.config.entries
        diversity = (entries - perplexity) / entries
        total = contrast + count * (0.1 * diversity + 10.0 * penalty + agreement)
        return {
            "loss/total": total,
            "loss/infonce_sum": contrast,
            "loss/cmsc_mean": agreement,
            "loss/feature_penalty_weighted": 10.0 * count * penalty,
            "loss/diversity_weighted": 0.1 * count * diversity,
            "out/infonce_logits": rows_first,
            "out/encoder_out": x,
            "out/quantizer_logits": code_logits.view(rows * places, -1),
            "count": torch.tensor(count),
        }


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale):  # type: ignore[no-untyped-def]
        ctx.scale = scale
        return x.new(x)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return gradient * ctx.scale, None


def _cmsc(pooled: Tensor, patient: Tensor, segment: Tensor) -> Tensor:
    unit = pooled / pooled.norm(dim=1, keepdim=True).detach().clamp_min(1e-8)
    first, second = unit[segment == 0], unit[segment == 1]
    scores = first @ second.T / 0.1
    positive = patient[segment == 0][:, None] == patient[segment == 1][None, :]
    return -0.5 * (F.log_softmax(scores, 1)[positive].mean() + F.log_softmax(scores, 0)[positive].mean())


def draw_mask(
    rng: np.random.Generator, rows: int, frames: int, *, probability: float = 0.65, span: int = 10
) -> np.ndarray:
    """Spans row by row on the host, each row thinned to the smallest (METHOD §3.5)."""
    number = max(2, int(probability * frames / span + rng.random()))
    covered = []
    for _ in range(rows):
        starts = rng.choice(frames - span, number, replace=False)
        covered.append(np.unique((starts[:, None] + np.arange(span)).reshape(-1)))
    least = min(map(len, covered))
    mask = np.zeros((rows, frames), dtype=bool)
    for row, places in enumerate(covered):
        mask[row, rng.choice(places, least, replace=False)] = True
    return mask


def draw_negatives(rows: int, places: int, number: int) -> np.ndarray:
    """Flat indices (B, M*K) into the targets, row by row (METHOD §3.6)."""
    own = torch.arange(places).unsqueeze(-1).expand(-1, number).flatten()
    drawn = torch.randint(0, places - 1, (rows, number * places))
    drawn[drawn >= own] += 1
    for row in range(1, rows):
        drawn[row] += row * places
    return drawn.numpy()


class PlainAdam:
    """Decoupled weight decay, epsilon before the bias correction, tensor by tensor (METHOD §3.9)."""

    def __init__(self, parameters: list[nn.Parameter], *, learning_rate: float = 5e-5) -> None:
        self.parameters, self.learning_rate, self.count = parameters, learning_rate, 0
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def step(self) -> None:
        self.count += 1
        size = self.learning_rate * (1 - 0.98**self.count) ** 0.5 / (1 - 0.9**self.count)
        for p, first, second in zip(self.parameters, self.first, self.second, strict=True):
            gradient = p.grad.float()
            first.mul_(0.9).add_(gradient, alpha=0.1)
            second.mul_(0.98).addcmul_(gradient, gradient, value=0.02)
            p.add_(p, alpha=-0.01 * self.learning_rate)
            p.addcdiv_(first, second.sqrt().add_(1e-6), value=-size)


def train_step(
    model: Yardstick, adam: PlainAdam, batch: dict[str, Tensor], rng: np.random.Generator
) -> float:
    """One update on one micro-batch: draws on the host, forward, backward, Adam, numbers read back."""
    rows, _, samples = batch["source"].shape
    frames = samples // 16
    mask = draw_mask(rng, rows, frames)
    places = int(mask[0].sum())
    for p in adam.parameters:
        p.grad = None
    out = model(
        batch["source"],
        mask,
        draw_negatives(rows, places, model.config.negatives),
        batch["patient"],
        batch["segment"],
    )
    out["loss/total"].backward()
    for p in adam.parameters:
        p.grad.div_(out["count"])
    adam.step()
    return float(out["loss/total"].detach()) / float(out["count"])

"""Small files as the code of the two ECG-JEPAs writes them, and what its equations make of a signal.

The computations stand here once more, spelled out in double precision: they share nothing with ours.
"""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

CHANNELS = ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"]
EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def _random(seed: int):
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape, scale=0.3, mean=0.0: mean + scale * torch.randn(*shape, generator=generator)


def _layer(name: str, draw, width: int, *, bias: bool) -> dict[str, Tensor]:
    """Returns the weights of a layer; queries, keys and values have no bias in either model."""
    shapes = {"attn.qkv": (3 * width, width), "attn.proj": (width, width)}
    shapes |= {"mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}
    layer = {f"{name}.{part}.weight": draw(*shape, scale=0.15) for part, shape in shapes.items()}
    layer |= {f"{name}.{norm}.weight": draw(width, mean=1.0) for norm in ("norm1", "norm2")}
    if bias:
        sizes = {"attn.proj": width, "mlp.fc1": 4 * width, "mlp.fc2": width, "norm1": width, "norm2": width}
        layer |= {f"{name}.{part}.bias": draw(size) for part, size in sizes.items()}
    return layer


# -- Weimann and Conrad ------------------------------------------------------------------------------------


def weimann(*, width=24, depth=2, heads=3, registers=1, patch=25, **changes) -> dict:
    """Returns a whole file of a pre-training run; `changes` are of its configuration."""
    draw = _random(0)
    state = {
        "patch_embed.proj.weight": draw(width, 12, patch, scale=0.1),
        "norm.weight": draw(width, mean=1.0),
        **({"registers": draw(1, registers, width)} if registers else {}),
    }
    for number in range(depth):
        state |= _layer(f"blocks.{number}", draw, width, bias=False)
    config = {
        "sampling_frequency": 500, "channels": CHANNELS, "channel_size": 5000, "patch_size": patch,
        "min_block_size": 10, "min_keep_ratio": 0.15, "max_keep_ratio": 0.25,
        "datasets": {"mimic-iv-ecg": 0.7, "ptb-xl": 0.05, "code-15": 0.25},
        "dim": width, "depth": depth, "num_heads": heads, "mlp_ratio": 4.0, "qkv_bias": False, "bias": False,
        "dropout": 0.0, "attn_dropout": 0.0, "num_registers": registers, "norm_eps": 1e-6,
        "layer_scale_eps": 0.0, "steps": 100_000, "opt_betas": [0.9, 0.99],
        **changes,
    }  # fmt: skip
    return {
        "model": {
            **{f"encoder.{name}": value + 1.0 for name, value in state.items()},
            "predictor.mask_token": torch.zeros(1, 1, 8),
            **{f"target_encoder.{name}": value for name, value in state.items()},
        },
        "optimizer": {"state": {}, "param_groups": []},
        "config": config,
        "step": 100_000,
    }


def weimann_tokens(content: dict, x: Tensor) -> Tensor:
    """Returns (B, T, D) of scaled signals (B, 12, N)."""
    config, w = content["config"], _double(content["model"], "target_encoder.")
    x = F.conv1d(x.double(), w["patch_embed.proj.weight"], stride=config["patch_size"]).transpose(1, 2)
    width = x.shape[2]
    position = torch.zeros(x.shape[1:], dtype=torch.float64)
    for t in range(x.shape[1]):
        for i in range(0, width, 2):
            angle = t * math.exp(-math.log(10_000.0) * i / width)
            position[t, i], position[t, i + 1] = math.sin(angle), math.cos(angle)
    x = x + position
    if config["num_registers"]:
        x = torch.cat([w["registers"].expand(len(x), -1, -1), x], dim=1)
    for number in range(config["depth"]):
        x = _layer_output(x, w, f"blocks.{number}", heads=config["num_heads"], eps=1e-6)
    return _norm(x, w, "norm", 1e-6)[:, config["num_registers"] :]


# -- Kim ---------------------------------------------------------------------------------------------------


def kim(*, width=32, depth=2, times=50, patch=50) -> dict:
    """Returns a whole file of a pre-training run."""
    draw = _random(1)
    state = {
        "pos_embed": kim_positions(8, times, width).float(),
        "W_P.weight": draw(width, patch, scale=0.1),
        "W_P.bias": draw(width),
        "norm.weight": draw(width, mean=1.0),
        "norm.bias": draw(width),
    }
    for number in range(depth):
        state |= _layer(f"encoder_blocks.blocks.{number}", draw, width, bias=True)
    return {"encoder": state, "epoch": 99}


def kim_positions(leads: int, times: int, width: int) -> Tensor:
    """Returns (leads * times, D): sines and cosines of the time, then those of the lead."""
    quarter = width // 4
    rows = []
    for lead in range(leads):
        for time in range(times):
            row = []
            for place in (time, lead):
                angles = [place / 10_000 ** (i / quarter) for i in range(quarter)]
                row += [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
            rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


def kim_tokens(content: dict, x: Tensor, *, leads=EIGHT, shown_times: list[int] | None = None) -> Tensor:
    """Returns (B, T, D) of millivolts (B, leads, N), of all times or of those that are shown."""
    w = _double(content["encoder"], "")
    patch = w["W_P.weight"].shape[1]
    times = x.shape[2] // patch
    width = len(w["W_P.weight"])
    x = x.double().reshape(len(x), -1, patch) @ w["W_P.weight"].T + w["W_P.bias"]
    position = kim_positions(8, times, width).reshape(8, times, width)
    position = position[[EIGHT.index(name) for name in leads]].reshape(-1, width)
    grid = [(lead, time) for lead in leads for time in range(times)]
    seen = [n for n, (_, time) in enumerate(grid) if shown_times is None or time in shown_times]
    x, position, grid = x[:, seen], position[seen], [grid[n] for n in seen]
    allowed = torch.tensor([[a[0] == b[0] or a[1] == b[1] for b in grid] for a in grid])
    layers = sum(name.endswith("norm1.weight") for name in w)
    for number in range(layers):
        x = _layer_output(x + position, w, f"encoder_blocks.blocks.{number}", heads=16, allowed=allowed)
    return _norm(x, w, "norm", 1e-5)


# -- both --------------------------------------------------------------------------------------------------


def write(path: Path, content: dict) -> Path:
    torch.save(content, path)
    return path


def _double(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): v.double() for name, v in state.items() if name.startswith(prefix)}


def _norm(x: Tensor, w: dict[str, Tensor], name: str, eps: float) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    normed = centred / (centred.square().mean(dim=-1, keepdim=True) + eps).sqrt() * w[f"{name}.weight"]
    return normed + w.get(f"{name}.bias", 0.0)


def _linear(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)


def _layer_output(
    x: Tensor, w: dict[str, Tensor], name: str, *, heads: int, eps=1e-5, allowed=None
) -> Tensor:
    rows, tokens, width = x.shape
    joint = _linear(_norm(x, w, f"{name}.norm1", eps), w, f"{name}.attn.qkv")
    query, key, value = joint.reshape(rows, tokens, 3, heads, width // heads).unbind(2)
    scores = torch.einsum("bqhd,bkhd->bhqk", query, key) * (width // heads) ** -0.5
    if allowed is not None:
        scores = scores.masked_fill(~allowed, float("-inf"))
    mixed = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(dim=-1), value).reshape(rows, tokens, width)
    x = x + _linear(mixed, w, f"{name}.attn.proj")
    inner = _linear(_norm(x, w, f"{name}.norm2", eps), w, f"{name}.mlp.fc1")
    inner = inner * (1 + torch.erf(inner / math.sqrt(2))) / 2
    return x + _linear(inner, w, f"{name}.mlp.fc2")

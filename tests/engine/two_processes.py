"""Five updates in float64 without dropout, by one process or as one of several; see test_distributed.py.

[torchrun --nproc-per-node 2] two_processes.py STORE OUT
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from anylead.encoders import ConvTransformerConfig, LeadTimeTransformerConfig, S4Config, build_encoder
from anylead.engine import AdamWConfig, TrainState, WarmupCosine, build_optimizer, fit, joined_processes
from anylead.feed import PairFeed, PairFeedConfig, RandomLeadMasking
from anylead.objectives import W2VCMSCConfig, build_objective
from anylead.store import Store
from small_objectives import CAUSAL, ON_LEAD_TOKENS, SMALL

ENCODER = ConvTransformerConfig(
    conv_channels=8,
    dimension=16,
    layers=1,
    heads=2,
    feedforward=16,
    position_kernel=4,
    position_groups=2,
    sampling_rate_hz=100.0,
    dropout=0.0,
    attention_dropout=0.0,
    input_dropout=0.0,
)
OBJECTIVE = W2VCMSCConfig(span=2, negatives=4, entries=8, final_dimension=8, feature_dropout=0.0)


GRID_ENCODER = LeadTimeTransformerConfig(
    patch_samples=50, dimension=16, layers=1, heads=2, feedforward=16, sampling_rate_hz=100.0, dropout=0.0
)
CAUSAL_ENCODER = S4Config(
    dimension=16, layers=1, state=4, stride=20, sampling_rate_hz=100.0, dropout=0.0, causal=True
)


def wide(batch):
    batch.signal.data = batch.signal.double()
    return batch


def five_updates(
    store: Path, processes, share: str, micro_batches: int, objective_config=OBJECTIVE, encoder_config=ENCODER
) -> dict:
    config = PairFeedConfig(pairs_per_batch=4, micro_batches=micro_batches, crop="random")
    feed = PairFeed([Store.open(store)], config, seed=0, lead_masking=RandomLeadMasking())
    torch.manual_seed(0)
    encoder = build_encoder(encoder_config).double()
    objective = build_objective(objective_config, encoder).double()
    optimizer = build_optimizer(AdamWConfig(learning_rate=1e-3), encoder, objective)
    state = TrainState(encoder=encoder, objective=objective, optimizer=optimizer, seed=0)

    def batches(step):
        part = {"part": processes.rank, "parts": processes.world_size, "share": share}
        return [wide(batch) for batch in feed.batches_of(step, **part)]

    updates = fit(
        state,
        batches,
        total_steps=5,
        schedule=WarmupCosine(),
        clip_norm=1.0,
        processes=processes,
        share=share,
    )
    steps = [
        {"loss": result.loss, "count": result.count, "segments": result.segments, **result.terms}
        for result in updates
    ]
    parameters = [p.detach() for module in (encoder, objective) for p in module.parameters()]
    return {"steps": steps, "parameters": parameters}


def main() -> None:
    torch.set_num_threads(1)
    store, out = map(Path, sys.argv[1:])
    with joined_processes(accelerator=False) as processes:
        found = {
            "micro_batches": five_updates(store, processes, "micro_batches", 2),
            "pairs": five_updates(store, processes, "pairs", 1),
        }
        for name, config in SMALL.items():
            encoder = GRID_ENCODER if name in ON_LEAD_TOKENS else ENCODER
            encoder = CAUSAL_ENCODER if name in CAUSAL else encoder
            found[name] = five_updates(store, processes, "pairs", 1, config, encoder)
        # What these sum after a step they sum over all processes, whatever they share out.
        for name in ("heartlang", "hubert"):
            found[f"{name}, micro_batches"] = five_updates(store, processes, "micro_batches", 2, SMALL[name])
        torch.save(found, out / f"{processes.world_size}-{processes.rank}.pt")


if __name__ == "__main__":
    main()

"""Training: state, the update loop, optimizers, schedules, checkpoints, the log of a run."""

from anylead.engine.allocator import keep_freed_memory
from anylead.engine.checkpoint import load_latest, save_checkpoint
from anylead.engine.distributed import Processes, joined_processes
from anylead.engine.fit import Precision, Share, StepResult, fit
from anylead.engine.interruption import StopRequest, stop_on_signals
from anylead.engine.optimizers import AdamWConfig, ReferenceAdamW, build_optimizer
from anylead.engine.run_log import RunLog, read_run_log
from anylead.engine.schedules import Constant, Schedule, TriStage, WarmupCosine
from anylead.engine.state import TrainState

__all__ = [
    "AdamWConfig",
    "Constant",
    "Precision",
    "Processes",
    "ReferenceAdamW",
    "RunLog",
    "Schedule",
    "Share",
    "StepResult",
    "StopRequest",
    "TrainState",
    "TriStage",
    "WarmupCosine",
    "build_optimizer",
    "fit",
    "joined_processes",
    "keep_freed_memory",
    "load_latest",
    "read_run_log",
    "save_checkpoint",
    "stop_on_signals",
]

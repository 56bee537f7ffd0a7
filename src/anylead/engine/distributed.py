"""Several processes that train one model: who is who, and the few words they exchange."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from anylead.errors import AnyleadError, ConfigError, TrainingError

T = TypeVar("T")

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others before it gives up."""


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among those of the run. Alone, which is the default, every method is a local matter."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    """Place among the processes of this machine; the number of its accelerator."""
    launcher: int | None = None
    """Process that started this one and watches over all of them; None where there is no such process."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes for all: configuration, log, checkpoints, bundle."""
        return self.rank == 0

    @property
    def abandoned(self) -> bool:
        """Whether the launcher is gone: nobody watches any longer, and the same run may be started again."""
        return self.launcher is not None and os.getppid() != self.launcher

    def sum(self, values: Tensor) -> Tensor:
        """Returns the sum over processes, the same on each."""
        if self.world_size == 1:
            return values
        whole = values.clone()
        dist.all_reduce(whole)
        return whole

    def any(self, flag: bool) -> bool:
        """Returns whether some process says yes."""
        if self.world_size == 1:
            return flag
        told = torch.tensor([float(flag)])
        dist.all_reduce(told)
        return bool(told.item() > 0)

    def from_main(self, work: Callable[[], T]) -> T:
        """Does the work in the main process only and returns what it gave, in every process.

        Raises:
            AnyleadError: What the work raises, in the main process; in the others a TrainingError that
                repeats its sentence. No process waits for one that has failed.
        """
        if self.world_size == 1:
            return work()
        box: list[Any] = [None, None]
        failure: AnyleadError | None = None
        if self.is_main:
            try:
                box[0] = work()
            except AnyleadError as error:
                failure = error
                box[1] = str(error.args[0] if error.args else error)
        dist.broadcast_object_list(box)
        if failure is not None:
            raise failure
        if box[1] is not None:
            raise TrainingError(f"process {self.rank}: stops because the main process failed: {box[1]}")
        result: T = box[0]
        return result


@contextmanager
def joined_processes(*, accelerator: bool) -> Iterator[Processes]:
    """Joins the processes that torchrun (or another launcher that sets its variables) has started.

    Without a launcher there is one process and nothing to join. A process group that exists already (Ray
    Train makes one) is used and left.

    Args:
        accelerator: Exchange gradients between GPUs (NCCL) instead of between CPUs (gloo).

    Raises:
        ConfigError: If the launcher's variables make no sense, or the processes do not find one another.
    """
    if dist.is_available() and dist.is_initialized():
        with _told_when_one_is_gone(dist.get_rank()):
            yield Processes(
                rank=dist.get_rank(),
                world_size=dist.get_world_size(),
                local_rank=int(os.environ.get("LOCAL_RANK", 0)),
            )
        return
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    launcher = os.getppid() if dist.is_available() and dist.is_torchelastic_launched() else None
    if "RANK" not in os.environ or os.environ.get("WORLD_SIZE") == "1":
        yield Processes(launcher=launcher)
        return
    try:
        rank, world_size, local_rank = (int(os.environ[name]) for name in names)
        if accelerator:
            torch.cuda.set_device(local_rank)
        # Small decisions go by the CPU even where gradients do not: they must not wait for the device.
        dist.init_process_group("cpu:gloo,cuda:nccl" if accelerator else "gloo", timeout=TIMEOUT)
    except (KeyError, ValueError, RuntimeError) as error:
        told = ", ".join(f"{name}={os.environ.get(name)}" for name in (*names, "MASTER_ADDR", "MASTER_PORT"))
        raise ConfigError(
            f"processes: could not join the others ({told}: {str(error).splitlines()[0]}); start with "
            "torchrun --nproc-per-node N -m anylead pretrain ..., or unset these variables for one process."
        ) from error
    with _told_when_one_is_gone(rank):
        yield Processes(rank=rank, world_size=world_size, local_rank=local_rank, launcher=launcher)
    # Not on the way out of an error: taking leave of a process that is gone could wait for it for ever.
    dist.destroy_process_group()


@contextmanager
def _told_when_one_is_gone(rank: int) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, AnyleadError) or not _says_that_a_process_is_gone(error):
            raise
        raise TrainingError(
            f"process {rank}: another process of the run is gone ({str(error).splitlines()[0][:120]}); "
            "see what it said, and start again with the same command to go on from the last checkpoint."
        ) from error


def _says_that_a_process_is_gone(error: RuntimeError) -> bool:
    text = str(error).lower()
    signs = ("connection closed", "connection reset", "broken pipe", "timed out", "timeout", "nccl")
    return any(sign in text for sign in signs)

"""fairseq-signals: its configurations, its parameter names, its computations replayed on given draws."""

from anylead.interop.fairseq.checkpoint import FairseqCheckpoint, read_checkpoint
from anylead.interop.fairseq.models import build
from anylead.interop.fairseq.replay import replay

__all__ = ["FairseqCheckpoint", "build", "read_checkpoint", "replay"]

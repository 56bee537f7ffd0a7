"""The evaluation suite: every protocol, every baseline, one report."""

from anylead.workflows.suite.config import EmbeddingsConfig, SuiteConfig
from anylead.workflows.suite.run import suite

__all__ = ["EmbeddingsConfig", "SuiteConfig", "suite"]

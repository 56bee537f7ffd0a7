"""`anylead compare`: ways to pre-train side by side, at one budget, by one protocol."""

from anylead.workflows.compare.grid import Budget, CompareConfig, Table, read_grid
from anylead.workflows.compare.run import CompareResult, compare

__all__ = ["Budget", "CompareConfig", "CompareResult", "Table", "compare", "read_grid"]

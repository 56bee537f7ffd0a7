"""Codebook: k-means that goes on with every micro-batch, the same for any number of processes."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from anylead.errors import ConfigError
from anylead.nn.across import ALONE, Across
from anylead.nn.keyed_random import DrawKey, uniform

_SPLIT = DrawKey(seed=0, step=0, purpose="split")
_OFFSET = 0.1
"""How far apart the halves of a split code begin, in deviations of its vectors: near enough to take nothing
from other codes."""


class Codebook(nn.Module):
    """Codes that follow vectors by k-means, and never by a gradient.

    `collect` adds up what the vectors of a micro-batch say, and `update` lets the codes follow what all
    micro-batches and processes have said. A code's vector is the mean of those it was nearest to, each
    weighing `decay` per update since.

    All begins with one code, the mean of everything. A code that is dead, behind which stands less than one
    vector, takes half of the code whose vectors are farthest from it, so that the number of codes in use
    doubles with every update until all are. Splitting needs sums only, which add up over processes; picking
    vectors at random as first codes would need the vectors themselves, in an order.

    Args:
        codes: K.
        dimension: D.
        decay: What is left of a vector's weight after an update; 1 forgets nothing.
        cosine: Whether a vector's direction alone counts: vectors are scaled to length 1.

    Raises:
        ConfigError: If there is no code, or the decay is not from 0 to 1.

    Source: MacQueen 1967 (k-means, one vector after the other); Sculley 2010 (mini-batch k-means); van den
    Oord et al. 2017 (arXiv 1711.00937), appendix A.1 (the moving average); Linde, Buzo & Gray 1980 (splits).
    """

    vectors: Float[Tensor, "K D"]
    sizes: Float[Tensor, "K"]
    """How many vectors stand behind a code, each counting by its age; 0 for one not in use yet."""
    updates: Int64[Tensor, ""]
    pending_sums: Float[Tensor, "K D"]
    """Of differences between vectors and their code, since the last update; zeros after it."""
    pending_squares: Float[Tensor, "K D"]
    pending_counts: Float[Tensor, "K"]

    def __init__(self, codes: int, dimension: int, *, decay: float, cosine: bool) -> None:
        super().__init__()
        if codes < 1 or not 0.0 <= decay <= 1.0:
            raise ConfigError(
                f"codebook: got {codes} codes and decay {decay}; it needs a code, and a decay from 0 to 1."
            )
        self.decay = decay
        self.cosine = cosine
        self.register_buffer("vectors", torch.zeros(codes, dimension))
        self.register_buffer("sizes", torch.zeros(codes))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("pending_sums", torch.zeros(codes, dimension))
        self.register_buffer("pending_squares", torch.zeros(codes, dimension))
        self.register_buffer("pending_counts", torch.zeros(codes))

    @torch.no_grad()
    def assign(self, x: Float[Tensor, "N D"]) -> Int64[Tensor, "N"]:
        """Returns the nearest code in use of every vector; 0 where none is in use yet."""
        codes = F.normalize(self.vectors, dim=1) if self.cosine else self.vectors
        unused = torch.where(self.sizes > 0, 0.0, float("inf"))
        with torch.autocast(x.device.type, enabled=False):
            product = self._measured(x) @ codes.T
        return (codes.square().sum(dim=1) + unused - 2.0 * product).argmin(dim=1)

    @torch.no_grad()
    def collect(self, x: Float[Tensor, "N D"], valid: Bool[Tensor, "N"]) -> None:
        """Adds vectors to what the next update follows; those that are not valid may hold anything."""
        nearest = self.assign(x)
        difference = torch.where(valid.unsqueeze(1), self._measured(x) - self.vectors[nearest], 0.0)
        self.pending_sums.index_add_(0, nearest, difference)
        self.pending_squares.index_add_(0, nearest, difference.square())
        self.pending_counts.index_add_(0, nearest, valid.to(self.pending_counts.dtype))

    @torch.no_grad()
    def update(self, everyone: Across = ALONE) -> None:
        """Lets the codes follow what was collected since the last update, by all processes.

        Every process has to call it, after every optimizer update in which it collected: what is pending
        belongs to one process, and is not kept apart when the processes' buffers are made equal.

        Args:
            everyone: All processes that collect.
        """
        sums, squares, counts = (
            everyone.total(x) for x in (self.pending_sums, self.pending_squares, self.pending_counts)
        )
        sizes = self.decay * self.sizes + counts
        self.vectors += sums / sizes.clamp_min(torch.finfo(sizes.dtype).tiny).unsqueeze(1)
        self.sizes.copy_(sizes)
        number = counts.clamp_min(1).unsqueeze(1)
        self._split((squares - sums.square() / number).clamp_min(0) / number, counts)
        self.updates += 1
        for pending in (self.pending_sums, self.pending_squares, self.pending_counts):
            pending.zero_()

    def _split(self, variance: Float[Tensor, "K D"], counts: Float[Tensor, "K"]) -> None:
        """Gives dead codes half of what the farthest-reaching ones have; nothing waits for the device."""
        number, dimension = variance.shape
        places = torch.arange(number, device=counts.device)
        dead = self.sizes < 1
        reach = torch.where(dead, 0.0, variance.sum(dim=1) * counts)
        child = torch.argsort(dead.int(), descending=True, stable=True)
        parent = torch.argsort(reach, descending=True, stable=True)
        # The first dead code meets the code that reaches farthest, and so on, while there are both.
        meets = (places < dead.sum()) & (reach[parent] > 0)
        rows = self.updates * number + places
        sign = 1.0 - 2.0 * (uniform(_SPLIT, rows, dimension) < 0.5).to(variance.dtype)
        offset = _OFFSET * variance[parent].sqrt() * sign
        middle = self.vectors[parent]
        for codes, moved in ((parent, middle - offset), (child, middle + offset)):
            kept = self.vectors[codes]
            self.vectors[codes] = torch.where(meets.unsqueeze(1), moved, kept)
            # As if one vector stood behind each, so that what comes next moves them to where it is.
            self.sizes[codes] = torch.where(meets, 1.0, self.sizes[codes])

    def _measured(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        wide = x.to(self.vectors.dtype)
        return F.normalize(wide, dim=1) if self.cosine else wide

"""Weights that FSDP2 shards over the ranks: what a rank holds, and how to get from the whole to it and back.

Everything here is the identity for plain tensors, so that a regularizer is written once.
"""

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def is_sharded(tensor: Tensor) -> bool:
    return isinstance(tensor, DTensor)


def local(tensor: Tensor) -> Tensor:
    """This rank's part, sharing its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def part_of(whole: Tensor, like: Tensor) -> Tensor:
    """This rank's part of a whole tensor, cut and placed as `like` is."""
    moved = whole.to(like.device)
    return local(distribute_tensor(moved, like.device_mesh, like.placements)) if isinstance(like, DTensor) else moved


def whole_of(part: Tensor, like: Tensor) -> Tensor:
    """The whole tensor whose parts the ranks hold; all ranks must ask for it."""
    if not isinstance(like, DTensor):
        return part
    sharded = DTensor.from_local(part, like.device_mesh, like.placements, shape=like.shape, stride=like.stride())
    return sharded.full_tensor()

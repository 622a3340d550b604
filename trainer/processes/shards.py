"""Tensors that FSDP2 shards over the ranks: what a rank holds, and how to get from the whole to it and back.

Everything here is the identity for plain tensors, so that a regularizer or a checkpoint is written once.
"""

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def is_sharded(tensor: Tensor) -> bool:
    return isinstance(tensor, DTensor)


def local(tensor: Tensor) -> Tensor:
    """This rank's part, sharing its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of it; every rank must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def placed_like(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor in the shards, or on the device, of `like`."""
    moved = value.to(like.device)
    return distribute_tensor(moved, like.device_mesh, like.placements) if isinstance(like, DTensor) else moved


def part_of(value: Tensor, like: Tensor) -> Tensor:
    """This rank's part of a whole tensor, cut and placed as `like` is."""
    return local(placed_like(value, like))


def whole_of(part: Tensor, like: Tensor) -> Tensor:
    """The whole tensor whose parts the ranks hold; every rank must ask."""
    if not isinstance(like, DTensor):
        return part
    return whole(DTensor.from_local(part, like.device_mesh, like.placements, shape=like.shape, stride=like.stride()))

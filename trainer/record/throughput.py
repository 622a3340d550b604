"""What a step takes of the machine: the share of its arithmetic (model FLOPs utilisation), and memory.

Utilisation is the arithmetic the model needs over what the processors could do in the time.

A token costs 6 operations per weight it is multiplied with (2 forward, 4 backward) and 6·L·D·T for causal attention in
L layers of width D over rows of T tokens (Chowdhery et al. 2022, App. B, with the causal half). What is computed twice
(activation checkpointing) or for the reference model (KL) is not counted, so both lower the figure, as they should.
"""

import os
import time
from functools import cache
from pathlib import Path
from typing import Any

import torch

# Dense bf16 operations per second, from the vendors' data sheets.
BF16_PEAKS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
    "MI300X": 1307e12,
}


def flops_per_token(model: Any, length: int) -> float:
    """Operations of a training step per input token, for a transformers model on rows of `length` tokens."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    weights = sum(parameter.numel() for parameter in model.parameters())
    if head is None or embedding.weight is not head.weight:
        weights -= embedding.weight.numel()  # looked up, not multiplied
    config = model.config.get_text_config()
    return 6.0 * weights + 6.0 * config.num_hidden_layers * config.hidden_size * length


def peak_flops(device: torch.device, precision: str) -> float:
    """Operations per second of one device: from its data sheet where it is known, else measured (0.1 to 0.5 s)."""
    if device.type == "cuda" and precision == "bf16":
        name = torch.cuda.get_device_name(device)
        for known, peak in BF16_PEAKS.items():
            if known in name:
                return peak
    return measured_flops(device, torch.bfloat16 if precision == "bf16" else torch.float32)


@cache
def measured_flops(device: torch.device, dtype: torch.dtype) -> float:
    """The best of five products of square matrices."""
    size = 8192 if device.type == "cuda" else 768
    left = torch.ones(size, size, device=device, dtype=dtype)
    best = 0.0
    for _ in range(5):
        _settle(device)
        began = time.perf_counter()
        left @ left
        _settle(device)
        best = max(best, 2.0 * size**3 / (time.perf_counter() - began))
    return best


def memory_bytes(device: torch.device) -> int | None:
    """Of this process: on a CUDA device the most that tensors took since the last call, elsewhere what of the process
    is resident now; None where neither can be asked."""
    if device.type == "cuda":
        most = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return most
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

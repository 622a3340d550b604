"""Perplexity under a causal transformer: exact, and some thousand times slower than an n-gram model.

    tokens    BOS t1 t2 t3 t4 t5 t6 t7 t8      context 5, stride 2
    window 1  ███ ██ ██ ██ ██                  scores t1 … t4
    window 2         ░░ ░░ ░░ ██ ██            scores t5, t6
    window 3               ░░ ░░ ░░ ██ ██      scores t7, t8

    perplexity = exp(− Σ ln p / tokens scored)

Every token is scored exactly once, by the first window that reaches it, with at least `context − stride` tokens before
it (as many as there are, at the start). The last window is moved back to be full. `stride: 1` gives every token the
longest possible context and costs a forward pass per token.

The corpus floor does without torch but for this module, which imports it when a document is measured.
"""

import contextlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from corpus.artifact import content_hash
from corpus.document import Batch
from corpus.errors import ConfigError
from corpus.settings import Settings
from corpus.step import Step

_MOST = 69.0  # ln of 1e30, where n-gram perplexities end too
_ROWS = 256  # positions whose log-softmax is formed at a time


class CausalLmSettings(Settings):
    """Measure the perplexity of each document under a causal transformer from a local folder."""

    kind: Literal["causal_lm"]
    model: str = Field(description="a folder with a Hugging Face model and its tokenizer")
    context: int | None = Field(None, ge=2, description="tokens the model sees at once; default: all it can")
    stride: int | None = Field(None, ge=1, description="tokens a window moves on; default: half of the context")

    @model_validator(mode="after")
    def _stride_in_context(self) -> "CausalLmSettings":
        if self.context is not None and self.stride is not None and self.stride >= self.context:
            raise ValueError("stride must be below context: a token needs one before it")
        return self

    def identity(self) -> dict[str, Any]:
        path = Path(self.model)
        if not (path / "config.json").is_file():
            raise ConfigError(
                "no such causal language model",
                where=path,
                found="no config.json in it" if path.is_dir() else "no such folder",
                todo="give a local folder as save_pretrained writes it",
            )
        return super().identity() | {"model": content_hash(path)}

    def build(self) -> "CausalLm":
        return CausalLm(self)


def windows(length: int, context: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """(start, end, first) for a sequence of `length` tokens, the first of which is only context: the model sees
    [start, end) and scores [first, end). Together the scored ranges are [1, length), each position once."""
    first, end = 1, min(context, length)
    while first < length:
        yield max(0, end - context), end, first
        first, end = end, min(end + stride, length)


class CausalLm(Step):
    """Adds perplexity.value and perplexity.tokens (the tokens scored); null for a text without tokens.

    One thread and float32, so that values do not depend on the number of workers. Memory: the model, and
    context × vocabulary × 4 bytes."""

    name: ClassVar[str] = "perplexity"
    columns: ClassVar[dict[str, pa.DataType]] = {"perplexity.value": pa.float32(), "perplexity.tokens": pa.int32()}
    pace: ClassVar[float] = 50.0

    def __init__(self, settings: CausalLmSettings) -> None:
        super().__init__()
        self.settings = settings

    def process(self, batch: Batch) -> Batch:
        values = np.full(len(batch), np.nan, np.float32)
        tokens = np.zeros(len(batch), np.int32)
        with one_thread():
            model, tokenizer = _load(self.settings.model)
            for row, text in enumerate(batch.text.to_pylist()):
                if text and not text.isspace():
                    nats, count = self._score(model, tokenizer, text)
                    if count:
                        tokens[row] = count
                        values[row] = np.exp(min(nats / count, _MOST))
        return batch.with_columns(
            {
                "perplexity.value": pa.array(values, from_pandas=True),
                "perplexity.tokens": pa.array(tokens, mask=tokens == 0),
            }
        )

    def _score(self, model: Any, tokenizer: Any, text: str) -> tuple[float, int]:
        """Σ −ln p of the tokens of a text, and how many were scored."""
        import torch

        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        # The first token is predicted from the token that stands between documents; a model without one cannot.
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        sequence = torch.tensor(ids if start is None else [start, *ids])
        context, stride = self._reach(model)
        nats = 0.0
        with torch.inference_mode():
            for begin, end, first in windows(len(sequence), context, stride):
                seen = sequence[begin:end]
                scored = end - first
                # No attention mask and no cache: the default ones cost memory and change nothing in a single window.
                logits = model(input_ids=seen[None], use_cache=False, logits_to_keep=scored + 1).logits[0, :-1]
                for at in range(0, scored, _ROWS):
                    part = logits[at : at + _ROWS].double()
                    target = sequence[first + at : first + at + len(part)]
                    nats += torch.nn.functional.cross_entropy(part, target, reduction="sum").item()
        return nats, max(len(sequence) - 1, 0)

    def _reach(self, model: Any) -> tuple[int, int]:
        """Tokens of a window and tokens between two windows. Raises ConfigError when the model cannot see so many."""
        most = getattr(model.config, "max_position_embeddings", None) or getattr(model.config, "n_positions", None)
        context = self.settings.context or most
        if context is None or (most is not None and context > most):
            raise ConfigError(
                "the context is more than the model can see" if most else "the model does not say how much it can see",
                where=self.settings.model,
                found=f"context {context}, at most {most}" if most else "no max_position_embeddings in config.json",
                todo="set `context` of the causal_lm",
            )
        stride = self.settings.stride or max(context // 2, 1)
        if stride >= context:
            raise ConfigError(
                "the windows of a causal language model leave tokens without context",
                where=self.settings.model,
                found=f"stride {stride}, context {context}",
                todo="set `stride` below the context",
            )
        return context, stride


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread, and the number it had before given back: sums in one order, whatever else runs."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@cache
def _load(path: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM

    return load_local(path, AutoModelForCausalLM, "a causal language model")


def load_local(path: str | Path, kind: Any, what: str) -> tuple[Any, Any]:
    """(model of an Auto class `kind`, in float32 and for inference; its tokenizer) of a local folder. Raises
    ConfigError where there is not `what` with a tokenizer."""
    import torch
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = kind.from_pretrained(path, local_files_only=True, dtype=torch.float32)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ConfigError(
            f"this is not {what} with a tokenizer",
            where=path,
            found=str(error).split("\n")[0][:200],
            todo="give a local folder as save_pretrained writes it",
        ) from None
    return model.eval(), tokenizer

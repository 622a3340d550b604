"""Vectors of texts by a local transformer: the mean of its last hidden states.

That is what most sentence-transformers models are trained for (mean pooling), and a usable default for a causal base
model. The mixing floor does without torch but for this module, which imports it when a text is encoded. Texts are read
in batches of like length on one thread, so that values do not depend on the machine's load.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mixing.select.embedding import unit

if TYPE_CHECKING:
    from mixing.select.embedding import EncoderSettings

ROWS = 32  # texts of one forward pass


class Encoder:
    """See the module. Memory: the model, and ROWS × length hidden states."""

    def __init__(self, settings: "EncoderSettings") -> None:
        self.settings = settings

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.settings,)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import AutoModel, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self.settings.model, local_files_only=True)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.padding_side = "right"
        return tokenizer, AutoModel.from_pretrained(self.settings.model, local_files_only=True).eval().float()

    def vectors(self, text: pa.StringArray) -> np.ndarray:
        """float32[rows, hidden size], of unit length."""
        import torch

        tokenizer, model = self._loaded
        texts = text.to_pylist()
        order = sorted(range(len(texts)), key=lambda row: (len(texts[row]), row))
        out = np.zeros((len(texts), model.config.hidden_size), np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), ROWS):
                rows = order[start : start + ROWS]
                held = tokenizer(
                    [texts[row] for row in rows], padding=True, truncation=True, max_length=self.settings.length,
                    return_tensors="pt",
                )  # fmt: skip
                mask = held["attention_mask"]
                hidden_BLD = model(input_ids=held["input_ids"], attention_mask=mask).last_hidden_state
                weights_BL1 = mask.unsqueeze(-1).float()
                mean_BD = (hidden_BLD * weights_BL1).sum(1) / weights_BL1.sum(1).clamp(min=1)
                out[rows] = mean_BD.numpy()
        return unit(out)

"""Vectors of texts by a local transformer: a sentence-transformers folder, or a base model and its last hidden states.

    modules.json of the folder      hidden states of a text become one vector by
    ───────────────────────────     ───────────────────────────────────────────────────────────────
    Transformer, Pooling            the mean over its tokens, the first token or the last, as 1_Pooling says
    none: a plain transformer       the mean over its tokens

Everything else that such a folder may ask for (a dense layer, several poolings at once) is refused: vectors without it
would be others than the encoder's. The mixing floor does without torch but for this module, which imports it when a
text is encoded. One thread and float32, so that values do not depend on the machine's load.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpus.artifact import content_hash
from corpus.errors import ConfigError
from corpus.perplexity.causal_lm import load_local, one_thread
from corpus.settings import Settings
from mixing.select.embedding import unit
from mixing.select.texts import Texts

ROWS = 32  # texts of one forward pass
READ = 256  # tokens of a text where the folder does not say
MODULES = "modules.json"
Pooling = Literal["mean", "cls", "lasttoken"]
FLAGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_lasttoken": "lasttoken"}


class EncoderSettings(Settings):
    """Vectors by a local transformer: a sentence-transformers folder as it pools, another by the mean."""

    kind: Literal["encoder"]
    model: str = Field(description="a folder in Hugging Face or sentence-transformers layout, with its tokenizer")
    length: int | None = Field(
        None, ge=2, description="tokens of a text that are read, the rest is not seen; default: the encoder's, or 256"
    )

    def identity(self) -> dict[str, Any]:
        EncoderFolder.read(Path(self.model))
        return super().identity() | {"model": content_hash(Path(self.model))}

    def fit(self, task: Texts, pool: Texts, seed: int) -> "Encoder":
        return Encoder(self)


@dataclass(frozen=True)
class EncoderFolder:
    """What a folder says of itself: where the transformer lies, how it pools, how much it reads."""

    transformer: Path
    pooling: Pooling = "mean"
    length: int = READ
    lower_case: bool = False

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises ConfigError when there is no model, or one that needs more than pooling."""
        found = cls(folder)
        if (folder / MODULES).is_file():
            found = cls._of_modules(folder)
        if not (found.transformer / "config.json").is_file():
            raise ConfigError("no such model", where=folder, todo="give a local folder with a config.json")
        return found

    @classmethod
    def _of_modules(cls, folder: Path) -> Self:
        stated: dict[str, Path] = {}
        for module in _json(folder / MODULES):
            stated[str(module.get("type")).rpartition(".")[2]] = folder / str(module.get("path", ""))
        if unknown := sorted(set(stated) - {"Transformer", "Pooling", "Normalize"}):
            raise ConfigError(
                "this encoder does more than pool the hidden states of a transformer",
                where=folder / MODULES,
                found=", ".join(unknown),
                todo="take an encoder of Transformer, Pooling and Normalize",
            )
        transformer = stated.get("Transformer", folder)
        own = transformer / "sentence_bert_config.json"
        reads = _json(own) if own.is_file() else {}
        pooling = _pooling(stated["Pooling"] / "config.json") if "Pooling" in stated else "mean"
        return cls(transformer, pooling, reads.get("max_seq_length") or READ, bool(reads.get("do_lower_case")))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            "a file of the encoder cannot be read", where=path, found=type(error).__name__, todo="copy the folder again"
        ) from None


def _pooling(path: Path) -> Pooling:
    config = _json(path)
    modes = {config["pooling_mode"]} if isinstance(config.get("pooling_mode"), str) else set()
    modes |= {FLAGS.get(key, key) for key, on in config.items() if key.startswith("pooling_mode_") and on is True}
    for known in ("mean", "cls", "lasttoken"):
        if modes == {known}:
            return known  # type: ignore[return-value]
    raise ConfigError(
        "this way of pooling is not known",
        where=path,
        found=", ".join(sorted(map(str, modes))) or "none",
        todo="take an encoder that pools by mean, by the first token (cls) or by the last (lasttoken)",
    )


class Encoder:
    """See the module. Memory: the model, and ROWS × length hidden states."""

    def __init__(self, settings: EncoderSettings) -> None:
        self.settings = settings
        self.folder = EncoderFolder.read(Path(settings.model))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.settings,)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import AutoModel

        model, tokenizer = load_local(self.folder.transformer, AutoModel, "a transformer")
        return tokenizer, model.get_encoder() if model.config.is_encoder_decoder else model

    @cached_property
    def _length(self) -> int:
        """Tokens that are read. Raises ConfigError when the model cannot see so many."""
        length = self.settings.length or self.folder.length
        most = getattr(self._loaded[1].config, "max_position_embeddings", None)
        if most is not None and length > most:
            if self.settings.length is None:
                return int(most)
            raise ConfigError(
                "the length is more than the encoder can see",
                where=self.settings.model,
                found=f"length {length}, at most {most}",
                todo="lower `length` of the encoder",
            )
        return length

    def vectors(self, text: pa.StringArray) -> np.ndarray:
        """float32[rows, hidden size], of unit length; zero for a text without a sign."""
        tokenizer, model = self._loaded
        out = np.zeros((len(text), model.config.hidden_size), np.float32)
        texts = text.to_pylist()
        rows = [row for row, each in enumerate(texts) if each and not each.isspace()]
        if not rows:
            return out
        written = [texts[row].lower() if self.folder.lower_case else texts[row] for row in rows]
        held = tokenizer(written, truncation=True, max_length=self._length, verbose=False)["input_ids"]
        with one_thread():
            for places, vectors in self._pooled(model, tokenizer.pad_token_id or 0, held):
                out[[rows[place] for place in places]] = vectors
        return unit(out)

    def _pooled(self, model: Any, padding: int, held: list[list[int]]) -> Iterator[tuple[list[int], np.ndarray]]:
        """(places in `held`, their vectors float32[·, hidden size]), texts of like length together."""
        import torch

        order = sorted((place for place in range(len(held)) if held[place]), key=lambda place: len(held[place]))
        for start in range(0, len(order), ROWS):
            places = order[start : start + ROWS]
            lengths = torch.tensor([len(held[place]) for place in places])
            longest = int(lengths.max())
            tokens_BL = torch.tensor([held[place] + [padding] * (longest - len(held[place])) for place in places])
            mask_BL = (torch.arange(longest) < lengths[:, None]).long()
            with torch.inference_mode():
                hidden_BLD = model(input_ids=tokens_BL, attention_mask=mask_BL).last_hidden_state
                if self.folder.pooling == "mean":
                    pooled_BD = (hidden_BLD * mask_BL.unsqueeze(-1)).sum(1) / lengths[:, None]
                else:
                    at = lengths - 1 if self.folder.pooling == "lasttoken" else torch.zeros_like(lengths)
                    pooled_BD = hidden_BLD[torch.arange(len(places)), at]
            yield places, pooled_BD.numpy()

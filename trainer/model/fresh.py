"""A model of a stated size with random weights, for proxy runs: a Llama of so many layers and so wide."""

import shutil
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from corpus.artifact import content_hash, current, publish
from corpus.errors import ConfigError
from corpus.settings import Settings


class FreshModel(Settings):
    """A new Llama with the recipe's tokenizer; tied embeddings, MLP 8/3 as wide as the hidden states."""

    kind: Literal["fresh"] = "fresh"
    layers: int = Field(2, ge=1, description="of the decoder")
    hidden_size: int = Field(64, ge=8, description="width of the hidden states")
    heads: int = Field(4, ge=1, description="of attention, each hidden_size / heads wide, an even number")
    seed: int = Field(0, description="of the first weights")

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.hidden_size % (2 * self.heads):
            raise ValueError(f"hidden_size must be a multiple of twice heads: found {self.hidden_size}, {self.heads}")
        return self


def make_model(settings: FreshModel, tokenizer: Path, folder: Path, longest: int) -> Path:
    """The model in Hugging Face layout with the tokenizer of a folder, for sequences of up to `longest` tokens; made on
    first use. The same arguments give the same bytes. Raises ConfigError when the folder has no tokenizer.json."""
    # Imports of torch wait until a model is made: settings are read by `--help`.
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    from trainer.model.packed import TOKENIZER_FILES

    path = tokenizer / "tokenizer.json"
    if not path.is_file():
        raise ConfigError("a fresh model needs a tokenizer.json", where=tokenizer, todo="set tokenizer.path")
    function = {
        "model": settings.identity(),
        "longest": longest,
        "tokenizer": content_hash(path),
        "torch": str(torch.__version__),
    }
    if current(folder, function) is not None:
        return folder
    config = LlamaConfig(
        vocab_size=Tokenizer.from_file(str(path)).get_vocab_size(),
        hidden_size=settings.hidden_size,
        intermediate_size=settings.hidden_size * 8 // 3,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        max_position_embeddings=longest,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    with publish(folder, kind="trainer.fresh", function=function) as draft:
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            LlamaForCausalLM(config).save_pretrained(draft.path)
        for name in TOKENIZER_FILES:
            if (tokenizer / name).is_file():
                shutil.copy(tokenizer / name, draft.path / name)
    return folder

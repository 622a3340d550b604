"""Growing a model's embeddings to a tokenizer with more tokens, on request only.

A new token's rows, in the embedding and in a head of its own, start as the mean of the old rows: near what the model
expects of an unknown token, and the same on every machine (a random start would need a seed and learns no faster).
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import nn

from corpus.errors import ConfigError
from trainer.model.packed import PackedModel


def extend_vocabulary(model: PackedModel, folder: Path, extended: Path) -> None:
    """Resize the embeddings of the model of `folder` to the tokenizer in `extended`, if they are too small for it.

    Raises ConfigError when a token of the model's own tokenizer has another id there: what was learned of it would be
    another token's.
    """
    old, new = (_ids(path) for path in (folder, extended))
    moved = [token for token, index in old.items() if new.get(token) != index]
    if moved:
        raise ConfigError(
            "the extended tokenizer is not an extension of the model's",
            where=extended,
            found=f"{len(moved)} tokens with another id or none, such as {moved[0]!r}",
            todo="add tokens to the model's own tokenizer (`tokenizer.add_tokens`), and save that",
        )
    rows, wanted = model.embedding_rows, max(new.values()) + 1
    if wanted <= rows:
        return
    model.causal.resize_token_embeddings(wanted, mean_resizing=False)
    embeddings = model.causal.get_input_embeddings(), model.causal.get_output_embeddings()
    with torch.no_grad():
        for part in embeddings:
            if isinstance(part, (nn.Embedding, nn.Linear)):
                part.weight[rows:] = part.weight[:rows].mean(0)


def _ids(folder: Path) -> dict[str, int]:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ConfigError("no tokenizer.json here", where=folder, todo="save the tokenizer with `save_pretrained`")
    return Tokenizer.from_file(str(path)).get_vocab()

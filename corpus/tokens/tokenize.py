"""Text → token ids: the tokenizer of the model that is trained, token counts, and the token store.

Ids are those of Hugging Face `tokenizers` for plain text: no BOS or EOS is added, and a text that spells out a special
token ("<|endoftext|>") is encoded as ordinary characters, so no document can end another. gigatoken does the same work
many times faster where it accepts the tokenizer; it stands behind a parity check (the first texts of a process, then
the 1% of texts that their hash picks) and is given up for good at the first difference.
"""

import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from datatrove.pipeline.base import PipelineStep
from pydantic import Field

from corpus.artifact import RunLock, content_hash, publish, scan_parquet
from corpus.document import Batch, utf8_buffers
from corpus.engine import Heartbeat, Unit
from corpus.errors import ConfigError, DataError
from corpus.settings import Settings
from corpus.step import Step
from corpus.tokens.store import STORE, TokenizerIdentity, TokenStore, TokenStoreWriter, join_stores

log = logging.getLogger(__name__)

PIECE = 1 << 20  # bytes handed to an engine at a time: `tokenizers` takes some 50 for each while it works
CHECKED_FIRST = 1 << 17  # bytes that both engines encode before one of them is trusted
CHECKED = 100  # from then on, one text in so many is encoded by both
CUT = re.compile(r"(?<=[A-Za-z]) (?=[A-Za-z])")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
TODO = "give the folder of the model you train (it holds tokenizer.json), or its id on the Hugging Face hub"


class TokenizerSettings(Settings):
    """Which tokenizer, and which of its tokens ends a document."""

    path: str = Field(description="folder with a tokenizer.json, or the id of a model on the Hugging Face hub")
    eos_token: str | None = Field(
        default=None, description="token that ends a document; by default tokenizer_config.json's"
    )
    engine: Literal["auto", "tokenizers", "gigatoken"] = Field(
        default="auto", description="auto: gigatoken where it agrees"
    )

    def identity(self) -> dict[str, Any]:
        """The engine is no part of it: both give the same ids."""
        return asdict(shared_tokenizer(self).identity())


class Tokenizer:
    """Encodes plain text. Engines hold native state: it is pickled as its settings, and a process loads it once."""

    def __init__(self, settings: TokenizerSettings) -> None:
        self.settings = settings
        self._compared = 0  # bytes that both engines encoded alike
        self._alike: set[int] = set()  # their hashes: a text is counted, and encoded again for its store
        self._fast_refused = settings.engine == "tokenizers"

    def __reduce__(self) -> tuple:
        return shared_tokenizer, (self.settings,)

    @cached_property
    def file(self) -> Path:
        """tokenizer.json. Raises ConfigError when there is none."""
        return _find(self.settings.path, "tokenizer.json")

    @cached_property
    def _reference(self) -> Any:
        import tokenizers

        try:
            reference = tokenizers.Tokenizer.from_file(str(self.file))
        except Exception as error:  # the library raises bare Exception
            raise ConfigError("unreadable tokenizer", where=self.file, found=error, todo=TODO) from None
        reference.encode_special_tokens = True
        reference.no_truncation()
        reference.no_padding()
        return reference

    @cached_property
    def _fast(self) -> Any:
        """gigatoken on the same file without its special tokens, or None where it refuses."""
        import gigatoken

        _ = self._reference  # a file that is no tokenizer is the user's mistake, not a refusal
        description = json.loads(self.file.read_bytes())
        description["added_tokens"] = [token for token in description["added_tokens"] if not token["special"]]
        try:
            vocabulary = description["model"].get("vocab")
            if isinstance(vocabulary, dict):
                vocabulary |= self._bytes_without_token
            return gigatoken.Tokenizer.from_json(json.dumps(description))
        except Exception as error:  # native errors of many kinds, all meaning: not this tokenizer
            if self.settings.engine == "gigatoken":
                log.warning("gigatoken refuses %s (%s); using tokenizers", self.file, str(error).splitlines()[0])
            return None

    @cached_property
    def _bytes_without_token(self) -> dict[str, int]:
        """Bytes that a vocabulary of bytes has no token for, such as most control characters in SmolLM2's, with ids
        beyond all others. gigatoken asks for all 256; a text that has one of these ids is for the reference, which
        passes over such a byte."""
        from tokenizers.pre_tokenizers import ByteLevel

        missing = sorted(sign for sign in ByteLevel.alphabet() if self._reference.token_to_id(sign) is None)
        return {sign: self._known + place for place, sign in enumerate(missing)} if len(missing) < 128 else {}

    @cached_property
    def _known(self) -> int:
        """Ids are below."""
        return max(self._reference.get_vocab(with_added_tokens=True).values()) + 1

    @cached_property
    def _cuts_are_safe(self) -> bool:
        """Whether a text may be cut between a letter and a blank before a letter without a change of its ids.

        True when normaliser and pre-tokenizer split there whatever stands around, as those of the GPT-2 kind do; a
        tokenizer that prepends a mark to its input (Llama 2) or merges across words is never cut.
        """
        if self._reference.pre_tokenizer is None:
            return False

        def words(text: str) -> list[str]:
            normalizer = self._reference.normalizer
            normal = normalizer.normalize_str(text) if normalizer else text
            return [word for word, _ in self._reference.pre_tokenizer.pre_tokenize_str(normal)]

        probe = ["a lo", " Wor", " it's", " x", " Ab", " CD", " eF"]
        return words("".join(probe)) == [word for piece in probe for word in words(piece)]

    def identity(self) -> TokenizerIdentity:
        """What of the tokenizer decides its ids. Raises as `_identity`."""
        return self._identity

    @cached_property
    def _identity(self) -> TokenizerIdentity:
        """Raises ConfigError when no token is named that ends a document, or it is not in the vocabulary."""
        token = self.settings.eos_token
        if token is None:
            config = self.file.with_name("tokenizer_config.json")
            named = json.loads(config.read_bytes()).get("eos_token") if config.is_file() else None
            token = named["content"] if isinstance(named, dict) else named
        end = None if token is None else self._reference.token_to_id(token)
        if end is None:
            raise ConfigError(
                "no token that ends a document" if token is None else "the end token is not in the vocabulary",
                where=self.file.parent,
                found=token,
                todo="set tokenizer.eos_token to the token that separates documents, such as <|endoftext|>",
            )
        return TokenizerIdentity(content_hash(self.file), self._known, end)

    def encode(self, text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
        """(ids uint32[Σ lengths], lengths int64[rows]) of the texts one after another; null counts as empty."""
        flat, lengths = [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
        for ids, sizes in self.stream(text):
            flat.append(ids)
            lengths.append(sizes)
        return np.concatenate(flat), np.concatenate(lengths)

    def count(self, text: pa.StringArray) -> np.ndarray:
        """int64[rows]: tokens of each text, without holding the ids."""
        return np.concatenate([np.empty(0, np.int64), *(sizes for _, sizes in self.stream(text))])

    def stream(self, text: pa.StringArray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(ids, lengths) of runs of consecutive texts of about PIECE bytes."""
        held: list[bytes] = []
        weight = 0
        data, offsets = utf8_buffers(pc.fill_null(text, ""))
        whole, bounds = data.data, offsets.tolist()
        for start, end in pairwise(bounds):
            value = whole[start:end].tobytes()
            if held and weight + len(value) > PIECE:
                yield self._encode(held)
                held, weight = [], 0
            held.append(value)
            weight += len(value)
        if held:
            yield self._encode(held)

    def _encode(self, texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Of texts in UTF-8."""
        if self._fast_refused or self._fast is None:
            return self._encode_reference(texts)
        encoded = self._fast.encode_batch(texts, parallel=False)
        offsets, ids = encoded.layout.offsets.data, encoded.layout.content.data
        flat, lengths = np.asarray(ids[offsets[0] : offsets[-1]], np.uint32), np.diff(offsets).astype(np.int64)
        if (beyond := np.flatnonzero(flat >= self._known)).size:
            flat, lengths = self._with_reference(texts, flat, lengths, beyond)
        checked = []
        for row, value in enumerate(texts):
            digest = xxhash.xxh3_64_intdigest(value)
            chosen = self._compared < CHECKED_FIRST or digest % CHECKED == 0
            if chosen and digest not in self._alike:
                self._compared += len(value)
                self._alike.add(digest)
                checked.append(row)
        expected, sizes = self._encode_reference([texts[row] for row in checked])
        starts = np.cumsum(lengths) - lengths
        found = [flat[starts[row] : starts[row] + lengths[row]] for row in checked]
        if not np.array_equal(lengths[checked], sizes) or not np.array_equal(
            np.concatenate([flat[:0], *found]), expected
        ):
            log.warning("gigatoken and tokenizers differ on %s; using tokenizers from here on", self.file)
            self._fast_refused = True
            return self._encode_reference(texts)
        return flat, lengths

    def _with_reference(
        self, texts: list[bytes], flat: np.ndarray, lengths: np.ndarray, beyond: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(ids, lengths) with the reference's for the texts that the places `beyond` of the ids belong to."""
        ends = np.cumsum(lengths)
        parts = np.split(flat, ends[:-1])
        for row in np.unique(np.searchsorted(ends, beyond, side="right")).tolist():
            parts[row], _ = self._encode_reference([texts[row]])
        return np.concatenate(parts), np.array([len(part) for part in parts], np.int64)

    def _encode_reference(self, texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
        pieces: list[str] = []
        owner: list[int] = []
        for row, value in enumerate(map(bytes.decode, texts)):
            parts = _cut(value) if len(value) > PIECE and self._cuts_are_safe else [value]
            pieces += parts
            owner += [row] * len(parts)
        ids: list[np.ndarray] = [np.empty(0, np.uint32)]
        lengths = np.zeros(len(texts), np.int64)
        # One call for many short texts, one per long piece: what the library holds per character is freed in between.
        long = len(pieces) != len(texts)
        groups = ([piece] for piece in pieces) if long else iter([pieces])
        for group in groups:
            for encoding in self._reference.encode_batch_fast(group, add_special_tokens=False):
                ids.append(np.array(encoding.ids, np.uint32))
        np.add.at(lengths, owner, [len(part) for part in ids[1:]])
        return np.concatenate(ids), lengths


_SHARED: dict[tuple[str, str, int, int], Tokenizer] = {}


def shared_tokenizer(settings: TokenizerSettings) -> Tokenizer:
    """The tokenizer of these settings in this process, loaded once for as long as its file stays the same."""
    tokenizer = Tokenizer(settings)
    status = tokenizer.file.stat()
    key = (settings.model_dump_json(), str(tokenizer.file), status.st_mtime_ns, status.st_size)
    return _SHARED.setdefault(key, tokenizer)


def _cut(text: str) -> list[str]:
    """The text in pieces of about PIECE characters, cut where CUT allows it."""
    pieces, start = [], 0
    while cut := CUT.search(text, start + PIECE):
        pieces.append(text[start : cut.start()])
        start = cut.start()
    return [*pieces, text[start:]]


def _find(path: str, name: str) -> Path:
    """`name` in a local folder or in the hub's cache. Raises ConfigError when it is in neither."""
    folder = Path(path).expanduser()
    if (folder / name).is_file():
        return folder / name
    if folder.exists() or not HUB_ID.fullmatch(path):
        raise ConfigError(f"no {name} here", where=path, todo=TODO)
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        file = Path(hf_hub_download(path, name))
    except Exception as error:  # no network, no such model, no access: the remedy is the same
        raise ConfigError(
            f"no {name} here, nor on the hub", where=path, found=type(error).__name__, todo=TODO
        ) from None
    try:
        hf_hub_download(path, "tokenizer_config.json")
    except EntryNotFoundError:
        log.info("%s has no tokenizer_config.json", path)
    return file


class TokensSettings(Settings):
    kind: Literal["tokens"] = "tokens"


class CountTokens(Step):
    """Adds `token_count`: tokens of the text without EOS, null where the reader passed a verdict."""

    name = "tokens"
    columns = {"token_count": pa.int64()}  # noqa: RUF012

    def __init__(self, settings: TokensSettings, tokenizer: TokenizerSettings) -> None:
        super().__init__()
        self.settings = settings
        self.tokenizer = shared_tokenizer(tokenizer)

    def identity(self) -> dict[str, Any]:
        return super().identity() | {"tokenizer": asdict(self.tokenizer.identity())}

    def process(self, batch: Batch) -> Batch:
        readable = pa.array(batch.readable)
        counts = self.tokenizer.count(pc.if_else(readable, batch.text, ""))
        return batch.with_columns({"token_count": pa.array(counts, pa.int64(), mask=~batch.readable)})


def build_store(
    shards: Sequence[Path],
    folder: Path,
    tokenizer: Tokenizer,
    function: dict[str, Any],
    lock: RunLock | None = None,
) -> TokenStore:
    """Publish the token store of parquet shards (id, text, source, token_count), one .ds shard for each, in order.

    Raises DataError when a document's tokens are not as many as were counted when it was decided on. Memory: a batch of
    documents, and id, source and two numbers per document.
    """
    with (
        publish(folder, kind=STORE, function=function, lock=lock) as draft,
        TokenStoreWriter(draft, tokenizer.identity()) as writer,
    ):
        for shard in shards:
            writer.start_shard()
            for batch in scan_parquet(shard, ["id", "text", "source", "token_count"], rows=256):
                for part in _runs_of_one_source(batch):
                    _add(writer, part, tokenizer.stream(part.column("text")), shard)
    return TokenStore.open(folder)


def _runs_of_one_source(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    source = batch.column("source")
    bounds = [0, *(np.flatnonzero(np.asarray(pc.not_equal(source[1:], source[:-1]))) + 1), len(source)]
    return (batch.slice(start, stop - start) for start, stop in pairwise(bounds) if stop > start)


def _add(
    writer: TokenStoreWriter, documents: pa.RecordBatch, encoded: Iterable[tuple[np.ndarray, np.ndarray]], shard: Path
) -> None:
    row = 0
    for tokens, lengths in encoded:
        part = documents.slice(row, len(lengths))
        counted = part.column("token_count").fill_null(-1).to_numpy(zero_copy_only=False)
        if (off := np.flatnonzero(counted != lengths)).size:
            raise DataError(
                "a document has another number of tokens than was counted",
                where=f"{shard}, document {part.column('id')[off[0]]}",
                found=f"{lengths[off[0]]} tokens, token_count {counted[off[0]]}, {off.size} such in the batch",
                todo="the corpus was counted with another tokenizer: run `provender corpus` again",
            )
        nbytes = np.asarray(pc.binary_length(part.column("text"))).astype(np.int64)
        writer.add(part.column("id"), part.column("source")[0].as_py(), lengths, tokens, nbytes)
        row += len(lengths)


class EncodeUnit(PipelineStep):
    """A datatrove step: tokenizes this rank's shard (`unit.work`, its path) and publishes a store of it alone."""

    name = "encode"
    type = "shard encoder"

    def __init__(self, units: Sequence[Unit], tokenizer: TokenizerSettings, heartbeat: Heartbeat, lock: RunLock):
        super().__init__()
        self.units, self.heartbeat, self.lock = units, heartbeat, lock
        self.tokenizer = shared_tokenizer(tokenizer)

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        unit = self.units[rank]
        build_store([unit.work], unit.folder, self.tokenizer, unit.function, self.lock)
        self.heartbeat.beat(rank, unit.weight)


class JoinUnit(PipelineStep):
    """A datatrove step: publishes this rank's store, joined from those of its shards (`unit.work`, their folders)."""

    name = "join"
    type = "store writer"

    def __init__(self, units: Sequence[Unit], heartbeat: Heartbeat, lock: RunLock):
        super().__init__()
        self.units, self.heartbeat, self.lock = units, heartbeat, lock

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:  # type: ignore[override]
        unit = self.units[rank]
        join_stores(unit.work, unit.folder, unit.function, self.lock)
        self.heartbeat.beat(rank, unit.weight)

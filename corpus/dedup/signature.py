"""Duplicate signatures: one exact hash and one MinHash sketch per document.

    dedup.exact     xxh3-128 of the normalised text: Unicode lower case, every run of white space one blank, trimmed
    dedup.minhash   bands · rows minima (uint32, little-endian) over the shingles of the text; null for a document of
                    fewer than `ngram` words, which can only match exactly

Both are null for a document the reader passed a verdict on. Words and shingles: corpus/kernels/minhash.py. The band
layout only matters when candidates are looked for, so another split of the same number of hashes re-uses them.

Method: Broder 1997; Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", 3.3-3.4.
"""

from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pydantic import Field, model_validator

from corpus.dedup.curve import choose_bands
from corpus.document import Batch, utf8_buffers
from corpus.settings import Settings
from corpus.step import Step


class TargetSettings(Settings):
    """Choose the bands by what they are to find."""

    similarity: float = Field(gt=0, lt=1, description="Jaccard similarity of the least alike pair that is looked for")
    recall: float = Field(default=0.95, gt=0, lt=1, description="share of such pairs that some band proposes, at least")
    hashes: int = Field(default=112, ge=1, description="minima a document may have, 4 bytes each")


class SignatureSettings(Settings):
    """How documents are sketched. The defaults (14 bands of 8) find 96% of the pairs of similarity 0.825."""

    kind: Literal["signature"] = "signature"
    ngram: int = Field(default=5, ge=1, description="words in a shingle")
    bands: int = Field(default=14, ge=1, description="bands of the sketch; more find less similar pairs")
    rows: int = Field(default=8, ge=1, description="minima in a band; more ask for more similar pairs")
    target: TargetSettings | None = Field(default=None, description="choose bands and rows, which are not given then")
    seed: int = Field(default=1, ge=0, description="seed of the hash functions")

    @model_validator(mode="before")
    @classmethod
    def _chosen(cls, given: Any) -> Any:
        """Bands and rows of a target. Stored settings hold all three, which then have to agree."""
        if not isinstance(given, dict) or given.get("target") is None:
            return given
        target = TargetSettings.model_validate(given["target"])
        bands, rows = choose_bands(target.similarity, target.recall, target.hashes)
        if (given.get("bands", bands), given.get("rows", rows)) != (bands, rows):
            raise ValueError(f"target chooses {bands} bands of {rows} rows: leave out bands and rows, or target")
        return {**given, "bands": bands, "rows": rows}

    @property
    def hashes(self) -> int:
        return self.bands * self.rows

    def identity(self) -> dict[str, Any]:
        """What decides a signature: not how its minima are put into bands."""
        return {"kind": self.kind, "ngram": self.ngram, "hashes": self.hashes, "seed": self.seed}


def lowered(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """The buffers of the lower-cased texts: what shingles and exact hashes are computed on."""
    return utf8_buffers(pc.utf8_lower(text))


class Signature(Step):
    """Adds `dedup.exact` and `dedup.minhash`. Cost: one pass over the text, hashes · words multiplications."""

    name = "dedup"

    def __init__(self, settings: SignatureSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or SignatureSettings()
        self.columns = {  # type: ignore[misc]
            "dedup.exact": pa.binary(16),
            "dedup.minhash": pa.binary(4 * self.settings.hashes),
        }
        # Odd multipliers keep the low bits of a key in play; the generator is PCG64, whose stream is fixed by its seed.
        bits = np.random.PCG64(self.settings.seed).random_raw(2 * self.settings.hashes)
        self._multipliers, self._addends = bits[: self.settings.hashes] | np.uint64(1), bits[self.settings.hashes :]

    def process(self, batch: Batch) -> Batch:
        from corpus.kernels import minhash

        data, offsets = lowered(batch.text)
        exact = exact_hashes(*minhash.collapse(data, offsets))
        minima, counts = minhash.minhash(data, offsets, self.settings.ngram, self._multipliers, self._addends)
        readable = batch.readable
        return batch.with_columns(
            {
                "dedup.exact": _fixed_binary(exact, readable),
                "dedup.minhash": _fixed_binary(minima.view(np.uint8), readable & (counts > 0)),
            }
        )


def exact_hashes(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """uint8[rows, 16]: xxh3-128 of each slice."""
    view = memoryview(np.ascontiguousarray(data))  # type: ignore[arg-type]
    bounds = offsets.tolist()
    digests = b"".join(xxhash.xxh3_128_digest(view[start:stop]) for start, stop in pairwise(bounds))
    return np.frombuffer(digests, np.uint8).reshape(-1, 16)


def _fixed_binary(values: np.ndarray, valid: np.ndarray) -> pa.Array:
    """uint8[rows, width] as Arrow fixed-size binary, null where not `valid`."""
    mask = pa.array(valid).buffers()[1]
    buffers = [mask, pa.py_buffer(np.ascontiguousarray(values))]
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(values.shape[1]), len(values), buffers, null_count=int((~valid).sum())
    )

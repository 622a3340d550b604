"""Croissant 1.0 metadata of a corpus folder: what the files are, their hashes, and what a row holds.

    FileObject   the folder or repository, and each parquet shard with the SHA-256 of the manifest
    FileSet      the shards of a split
    RecordSet    the rows of a split, their fields those of the shards' schema

https://docs.mlcommons.org/croissant. A pure function of the corpus and its manifest.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.artifact import FileEntry, Manifest, RunLock, code_version, current, publish
from corpus.errors import DataError
from corpus.select import SPLITS

NAME, REPOSITORY, PARQUET = "croissant.json", "repository", "application/x-parquet"
# What stands for the hash of a folder or repository, by the agreement of Croissant's makers.
NO_HASH = "https://github.com/mlcommons/croissant/issues/80"
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "extract": "cr:extract",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "equivalentProperty": "cr:equivalentProperty",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
FIELDS = {
    "id": "What names the document in ledger, plans and audits: a hash of source, file and position.",
    "text": "The text as it was kept, after every edit.",
    "source": "The recipe's name of the source.",
    "token_count": "Tokens of the text, without an end-of-text token.",
    "metadata": "A JSON object of the fields that the recipe carries along.",
}
TYPES = ((pa.types.is_string, "sc:Text"), (pa.types.is_integer, "sc:Integer"), (pa.types.is_floating, "sc:Float"),
         (pa.types.is_boolean, "sc:Boolean"))  # fmt: skip


def croissant(corpus: Path, *, location: str = ".", url: str | None = None) -> dict[str, Any]:
    """The metadata of a published corpus folder. `location` is the folder as seen from the metadata file, or the
    address of its repository; `url` the page of the data set, where there is one.

    Raises ArtifactError when there is no corpus, DataError when it holds no shard.
    """
    manifest = Manifest.read(corpus)
    shards = [entry for entry in manifest.files if entry.path.startswith("data/")]
    if not shards:
        raise DataError("the corpus has no shard", where=corpus, todo="run `provender corpus` first")
    schema = pq.read_schema(corpus / shards[0].path)
    described = manifest.function.get("description", {})
    licences = sorted({licence for licence in described.get("licenses", {}).values() if licence})
    kept = [source["kept"] for source in manifest.totals.get("sources", {}).values()]
    documents, tokens = (sum(own[name] for own in kept) for name in ("documents", "tokens"))
    splits = [split for split in SPLITS if any(Path(entry.path).name.startswith(f"{split}-") for entry in shards)]
    repository = {
        "@type": "cr:FileObject",
        "@id": REPOSITORY,
        "name": REPOSITORY,
        "contentUrl": location,
        "encodingFormat": "git+https",
        "sha256": NO_HASH,
    }
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": str(described.get("name") or corpus.resolve().parent.name),
        "description": f"{documents:,} documents, {tokens:,} tokens, prepared with Provender. Every input record, kept "
        "or not, is accounted for in the ledger.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "version": "1.0.0",
        "license": licences or ["not stated"],
        "url": url or "https://mlcommons.org/croissant",
        "distribution": [
            repository,
            *[_shard(entry) for entry in shards],
            *[
                {
                    "@type": "cr:FileSet",
                    "@id": split,
                    "containedIn": {"@id": REPOSITORY},
                    "encodingFormat": PARQUET,
                    "includes": f"data/*/{split}-*.parquet",
                }
                for split in splits
            ],
        ],
        "recordSet": [_record_set(split, schema) for split in splits],
    }


def publish_croissant(workspace: Path, lock: RunLock | None = None) -> Path:
    """Write `<workspace>/cards/croissant.json` for the corpus that is there; the file. It belongs beside the corpus's
    `data/`, where `provender push-hub` puts it: its paths start there."""
    folder, corpus = workspace / "cards", workspace / "corpus"
    function = {"kind": "cards", "corpus": Manifest.read(corpus).fingerprint, "code": code_version("pipelines")}
    if current(folder, function) is None:
        with publish(folder, kind="cards", function=function, lock=lock) as draft:
            text = json.dumps(croissant(corpus), ensure_ascii=False, indent=1)
            (draft.path / NAME).write_text(text + "\n", encoding="utf-8")
    return folder / NAME


def _shard(entry: FileEntry) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": entry.path,
        "name": entry.path,
        "containedIn": {"@id": REPOSITORY},
        "contentUrl": entry.path,
        "contentSize": f"{entry.bytes} B",
        "encodingFormat": PARQUET,
        "sha256": entry.sha256,
    }


def _record_set(split: str, schema: pa.Schema) -> dict[str, Any]:
    """The columns of the shards that are plain values; those inside `annotations` are described by the card."""
    name = f"{split}_documents"
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{field.name}",
            "name": field.name,
            "description": FIELDS.get(field.name, field.name),
            "dataType": kind,
            "source": {"fileSet": {"@id": split}, "extract": {"column": field.name}},
        }
        for field in schema
        if (kind := next((kind for is_kind, kind in TYPES if is_kind(field.type)), None)) is not None
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"The documents of the {split} split, a row each.",
        "key": {"@id": f"{name}/id"},
        "field": fields,
    }

"""A small corpus with every stage, prepared by any executor: for tests of where stages run."""

import hashlib
import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import tokenizers
from tokenizers import models, pre_tokenizers

from corpus.artifact import RunLock
from corpus.engine import ExecutorSettings
from corpus.prepare import Preparation
from corpus.recipe import CorpusSettings
from corpus.tokens.tokenize import TokenizerSettings

HEADER = "Printed from the archive of the county hospital, all rights reserved."
NOTICE = " ".join(f"Notice{number}" for number in range(60)) + "."
ITEM = "Which of these drugs lowers the heart rate most in a patient at rest with normal kidneys and a slow pulse"


def write_inputs(root: Path, documents: int = 60, sources: tuple[str, ...] = ("news", "books")) -> Path:
    """Sources with copies, a repeated header, a shared notice and a quoted evaluation item; tokenizer and item set."""
    random = Random(11)

    def sentence() -> str:
        return " ".join(f"{random.choice('abcdefghij')}{random.randint(0, 3000)}" for _ in range(40)) + "."

    words = set()
    for name in sources:
        texts = []
        for number in range(documents):
            parts = [sentence() for _ in range(3)]
            parts[:0] = [HEADER] * (number % 2)
            parts[2:2] = [NOTICE] * (number % 15 == 1)
            parts[1:2] = [parts[1] + " " + ITEM.upper() + "?"] if number == 5 else parts[1:2]
            texts.append("\n\n".join(parts))
        texts[8] = texts[3]
        texts[9] = texts[4].replace("a1", "b1", 1) + " more"
        words |= {word for text in texts for word in text.split()}
        (root / name).mkdir(parents=True)
        for part in range(4):
            lines = [json.dumps({"text": text}) + "\n" for text in texts[part::4]]
            (root / name / f"{part}.jsonl").write_text("".join(lines))
    (root / "bench.jsonl").write_text(json.dumps({"question": ITEM}) + "\n")
    write_tokenizer(root / "tokenizer", words)
    return root


def write_tokenizer(folder: Path, words: set[str]) -> None:
    """Every word is a token; <end> ends a document."""
    vocabulary = {word: number for number, word in enumerate(["<unk>", "<end>", *sorted(words)])}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["<end>"])
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))


def prepare(
    inputs: Path | str,
    workspace: Path,
    executor: ExecutorSettings,
    *,
    local: Path | None = None,
    update: Callable[..., None] = lambda *_: None,
    begin: Callable[[str], None] = lambda _: None,
    **changes: Any,
) -> list[str]:
    """Run every stage; the titles of those that were not skipped. `local`: where tokenizer and items lie when the
    inputs are somewhere else."""
    at = local or Path(inputs)
    sources = [{"name": name, "reader": {"kind": "jsonl", "path": f"{inputs}/{name}"}} for name in ("news", "books")]
    settings = {
        "sources": sources,
        "unit_bytes": 6_000,
        "validation": 0.2,
        "steps": [{"kind": "repair"}, {"kind": "quality"}],
        "repeated": {"lines": {"min_documents": 10}},
        "substring": {"tokens": 30},
        "decontaminate": {"sets": [{"name": "bench", "path": str(at / "bench.jsonl"), "fields": ["question"]}]},
        **changes,
    }
    ran: list[str] = []

    def watch(title: str) -> Any:
        begin(title)

        def close(said: str) -> None:
            ran.extend([title] if "made" in said else [])

        return nullcontext(SimpleNamespace(update=lambda *told: update(title, *told), close=close))

    with RunLock(workspace) as lock:
        Preparation(
            CorpusSettings.model_validate(settings),
            TokenizerSettings(path=str(at / "tokenizer"), eos_token="<end>", engine="tokenizers"),
            workspace,
            executor=executor,
            seed=1,
            phi=False,
            lock=lock,
            watch=watch,
        ).run(lambda totals: "card", {})
    return ran


def digests(workspace: Path) -> dict[str, str]:
    """SHA-256 of every published file, manifests with their fingerprints among them."""
    paths = [path for path in sorted(workspace.rglob("*")) if path.is_file()]
    inner = ((path, path.relative_to(workspace)) for path in paths)
    return {
        str(name): hashlib.sha256(path.read_bytes()).hexdigest()
        for path, name in inner
        if "logs" not in name.parts and not name.name.startswith(".")
    }

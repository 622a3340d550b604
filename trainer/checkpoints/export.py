"""The run's result: `<run>/model/`, a folder that `AutoModelForCausalLM.from_pretrained` loads."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from corpus.artifact import MANIFEST, RunLock, publish

KIND = "trainer.model"
RUN_FILES = ("optimizer.safetensors", "regularizers.safetensors", "adapter.safetensors", "state.json", MANIFEST)


def export_model(
    run: Path, checkpoint: Path, *, identity: Mapping[str, Any], totals: Mapping[str, Any], lock: RunLock | None = None
) -> Path:
    """Publish the model and tokenizer files of a checkpoint as the run's model; `totals` say how the run ended."""
    folder = run / "model"
    with publish(folder, kind=KIND, function=dict(identity), lock=lock) as draft:
        for path in sorted(checkpoint.iterdir()):
            if path.name not in RUN_FILES:
                shutil.copyfile(path, draft.path / path.name)
        _average(checkpoint, draft.path)
        draft.totals |= totals
    return folder


def _average(checkpoint: Path, model: Path) -> None:
    """Put a checkpoint's averaged weights, when it has any, in the place of those it trained on with."""
    if not (checkpoint / "regularizers.safetensors").is_file():
        return
    mean = load_file(checkpoint / "regularizers.safetensors")
    index = model / "model.safetensors.index.json"
    names = (
        ["model.safetensors"]
        if not index.is_file()
        else sorted(set(json.loads(index.read_text())["weight_map"].values()))
    )
    for name in names:
        weights = load_file(model / name)
        replaced = {key: mean.get(key, value).to(value.dtype) for key, value in weights.items()}
        save_file(replaced, model / name, metadata={"format": "pt"})

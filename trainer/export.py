"""The run's result: `<run>/model/`, a folder that `AutoModelForCausalLM.from_pretrained` loads."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
        draft.totals |= totals
    return folder

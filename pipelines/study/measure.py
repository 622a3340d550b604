"""A model on the study's test sets, document by document, which the trainer's own record sums up."""

from collections.abc import Mapping
from pathlib import Path

from accelerate import Accelerator

from corpus.tokens.store import TokenStore
from pipelines.study.results import Scores
from trainer.evaluation.scoring import Evaluator
from trainer.model.packed import build_model, deterministic, quiet, resolve_precision
from trainer.settings import TrainSettings


def measure(
    model: Path, settings: TrainSettings, stores: Mapping[str, TokenStore], tokens: int, length: int
) -> dict[str, Scores]:
    """Nats and bytes of each document of the sets, of which the first `tokens` tokens are read, in rows of `length`."""
    plain = settings.model_copy(
        update={"lora": None, "freeze": None, "tasks": {}, "lm_eval": None, "evaluation_tokens": tokens}
    )
    accelerator = Accelerator()
    precision = resolve_precision(settings.precision, accelerator.device)
    with quiet(), deterministic():
        packed = build_model(model, plain, precision).to(accelerator.device).eval()
        evaluator = Evaluator(plain, stores, model, length, accelerator, lambda progress: None)
        found = evaluator.measure(packed, packed).sets
    return {name: Scores(score.nats, score.document_bytes) for name, score in found.items()}

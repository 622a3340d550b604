"""EleutherAI's lm-evaluation-harness on the model as it is, where the package lm-eval is installed.

Its tasks fetch their data from the hub; who works offline has trainer/evaluation/multiple_choice.py.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from corpus.errors import ConfigError
from trainer.settings import LmEvalSettings


def check_lm_eval() -> None:
    """Raises ConfigError when lm-eval is not installed."""
    if find_spec("lm_eval") is None:
        raise ConfigError(
            "lm-eval is not installed", where="train.lm_eval", todo="pip install lm-eval, or take train.lm_eval out"
        )


def lm_eval_scores(causal: Any, tokenizer: Path, settings: LmEvalSettings, batch: int) -> dict[str, dict[str, float]]:
    """The numbers of each task: {"<task>": {"acc": …, "acc_stderr": …}}; filters but "none" stay in the name."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoTokenizer

    model = HFLM(pretrained=causal, tokenizer=AutoTokenizer.from_pretrained(tokenizer), batch_size=batch)
    found: dict[str, Any] = lm_eval.simple_evaluate(
        model=model,
        tasks=list(settings.tasks),
        limit=settings.limit,
        num_fewshot=settings.shots,
        bootstrap_iters=0,
        log_samples=False,
    )
    return {
        task: {
            name.removesuffix(",none"): float(value)
            for name, value in sorted(figures.items())
            if isinstance(value, (int, float))
        }
        for task, figures in sorted(found["results"].items())
    }

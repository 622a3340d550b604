"""How a source of a recipe names what its documents are measured by.

perplexity: english                       a model under `lm`, or the path of one
perplexity: {en: english, de: models/de}  one per language
perplexity: {kind: causal_lm, model: models/small-llama}
"""

from collections.abc import Mapping
from pathlib import Path

from corpus.perplexity.causal_lm import CausalLm, CausalLmSettings
from corpus.perplexity.ngram import ModelByLanguage, Perplexity, PerplexitySettings

PerplexityOf = str | CausalLmSettings | PerplexitySettings | ModelByLanguage


def models_named(stated: PerplexityOf) -> tuple[str, ...]:
    """The n-gram models that are stated, by name under `lm` or path."""
    if isinstance(stated, CausalLmSettings):
        return ()
    model = stated.model if isinstance(stated, PerplexitySettings) else stated
    return (model,) if isinstance(model, str) else tuple(model.values())


def perplexity_step(stated: PerplexityOf, models: Mapping[str, Path]) -> Perplexity | CausalLm:
    """The measuring step; `models` are those learned under `lm`, by name."""
    if isinstance(stated, CausalLmSettings):
        return stated.build()
    model = stated.model if isinstance(stated, PerplexitySettings) else stated
    if isinstance(model, str):
        return PerplexitySettings(model=str(models.get(model, model))).build()
    return PerplexitySettings(model={key: str(models.get(name, name)) for key, name in model.items()}).build()

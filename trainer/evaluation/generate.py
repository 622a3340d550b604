"""Continuing a prompt: to see what a model learned."""

from pathlib import Path
from typing import Any

from corpus.errors import ConfigError


def continuation(model: Path, prompt: str, tokens: int) -> str:
    """The prompt and at most `tokens` more tokens, the likeliest each time. Raises ConfigError without a model."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not (model / "config.json").is_file():
        raise ConfigError("no model here", where=model, todo="give a folder such as <workspace>/runs/main/model")
    tokenizer = AutoTokenizer.from_pretrained(model)
    loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    inputs = tokenizer(prompt, return_tensors="pt")
    with torch.inference_mode():
        made = loaded.generate(
            inputs.input_ids,
            attention_mask=inputs.attention_mask,
            max_new_tokens=tokens,
            do_sample=False,
            pad_token_id=tokenizer.eos_token_id,
        )
    return str(tokenizer.decode(made[0], skip_special_tokens=True))

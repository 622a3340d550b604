"""A model in which the documents of a row see each other: what the leak checks must catch."""

import torch

from trainer.model.packed import PackedModel


class Leaking(PackedModel):
    def decode(self, input_ids: torch.Tensor, position_ids: torch.Tensor) -> torch.Tensor:
        ones = torch.ones_like(input_ids)
        return self.causal.base_model(
            input_ids=input_ids, position_ids=position_ids, attention_mask=ones, use_cache=False
        ).last_hidden_state

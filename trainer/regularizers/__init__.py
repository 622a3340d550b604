"""Terms against forgetting: on the logits (kl) or on the weights after each step (ewc, l2sp through anchor)."""

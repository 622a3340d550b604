"""The vocabulary head: hidden states → losses and their gradients, in one pass over chunks of tokens."""

"""What a model knows: held-out text, tasks, the matrix of both over the run, and the gate that stands on them."""

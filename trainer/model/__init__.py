"""The model that is trained: on packed rows, made afresh, with adapters, with a larger vocabulary."""

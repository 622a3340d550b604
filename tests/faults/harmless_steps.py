"""The step of poisonous_steps.py without its fault."""


def poisonous(text: str) -> bool:
    return True

"""De-identification: find personal data by type, replace it by policy, account for it in columns."""

from corpus.deidentify.step import Deidentify, DeidentifySettings

__all__ = ["Deidentify", "DeidentifySettings"]

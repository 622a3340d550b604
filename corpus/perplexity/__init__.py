"""Perplexity: how unexpected a document is to a language model.

    normalisation   how a text is written before an n-gram model reads it; stored with the model
    estimate        n-gram models by KenLM's estimator; `train_lm` makes a model folder from documents
    ngram           the measurement under KenLM models, one for all or one per language
    probing         KenLM's files of hash tables, mapped and read by a compiled loop (corpus/kernels/ngrams.py)
    causal_lm       the slow, exact alternative: a causal transformer
    buckets         head, middle and tail, stored with each decision
    rules           bounds, percentiles, buckets

A model that is learned from the corpus it measures would find its own documents likely, nonsense included. So two
models are learned, each from half of the documents, and a document is measured by the one that has not seen it.
"""

from corpus.perplexity.buckets import BUCKET, MEASURED, BucketSettings, pooled, with_buckets
from corpus.perplexity.causal_lm import CausalLmSettings
from corpus.perplexity.estimate import LmSettings, find_kenlm_tools, train_kenlm, train_lm
from corpus.perplexity.ngram import FOLDS, PerplexitySettings, fold_file, fold_of
from corpus.perplexity.normalisation import Normalisation, normalised, write_normalisation
from corpus.perplexity.rules import PerplexityRule
from corpus.perplexity.source import PerplexityOf, models_named, perplexity_step

__all__ = [
    "BUCKET",
    "FOLDS",
    "MEASURED",
    "BucketSettings",
    "CausalLmSettings",
    "LmSettings",
    "Normalisation",
    "PerplexityOf",
    "PerplexityRule",
    "PerplexitySettings",
    "find_kenlm_tools",
    "fold_file",
    "fold_of",
    "models_named",
    "normalised",
    "perplexity_step",
    "pooled",
    "train_kenlm",
    "train_lm",
    "with_buckets",
    "write_normalisation",
]

"""Which documents to train on: measures of a pool of documents against the texts of a task, and a choice by them.

    task texts ─┐
    pool ───────┴─ fit ─► scorer ─ pool, batch by batch ─► scores/<measure>/<source>.parquet   (measures)
                                        scores ─ choose ─► chosen/<source>.parquet             (choice)

A measure is stored by what it is a function of, so that another budget chooses again in seconds and measures nothing.
`chosen` is a weight of 0 or 1 by document id: a budget takes it as `packing.weights`.

    dsir            grams, dsir              importance weights by hashed words or n-grams (Xie et al. 2023)
    moore_lewis     cross_entropy            H_general − H_in under two KenLM models (Moore and Lewis 2010)
    similarity      embedding, similarity    cosine to the mean of the task (ETS-DACP, Xie et al. 2024)
    novelty         novelty                  perplexity under a proxy model (ETA-DACP)
    diversity       novelty                  entropy of the word types of a document (ETA-DACP)
    nearest         similarity               nearest documents of each task text (kNN-TAPT, Gururangan et al. 2020)
"""

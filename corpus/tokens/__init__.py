"""Text → token ids: the tokenizer and its counts, the store on the disk, statistics of a corpus."""

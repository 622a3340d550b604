"""Raw files → documents → annotated columns → kept shards → token shards.

The lowest floor of the house: it imports nothing from mixing, trainer or pipelines.
"""

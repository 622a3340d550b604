"""The audit: what a workspace claims, asked and checked again.

    views, *_questions      one question, one polars frame, over the files of every stage
    document, steps         one document's whole life; the documents of one step
    differences             two workspaces: what changed and why
    verify                  does it add up?
    everything.ask          every question and every check, for the report

Nothing but the on-disk forms of docs/design.md is read, so an audit needs neither the models nor the recipe.
"""

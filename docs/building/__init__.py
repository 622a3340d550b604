"""What `make docs` adds to the pages of docs/: the order they stand in, pages made from the code, links to sources.

    hooks          MkDocs' events, in the order it calls them
    navigation     pages in the order in which data flows
    root_pages     README.md and its neighbours as pages of the site
    command_line   every command and option, from the typer application
    recipe_keys    every key of a recipe, from the pydantic models
    error_codes    the errors and their exit codes
    interface      the public Python interface, for mkdocstrings
    source_pages   a page for every source file that a page links to
    examples       commands of a guide, run and compared with what the page shows

Nothing but `hooks` imports MkDocs, so that the tests read the same pages without it.
"""

"""What a person runs: recipes, stages, the command line, the audit."""

"""Cuts: what is taken out of kept documents because of other documents, span by span and by kind."""

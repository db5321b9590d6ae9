"""Asking a collection: queries become vectors, vectors find items, lists become hits."""

"""Kept voices: speaker vectors with names, compared and mixed."""

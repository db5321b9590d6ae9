"""Vectors to neighbours: indexes, the catalog that knows whose vectors they are, and collections of both."""

"""Encoders: one conformance suite over all families, and each family against its reference."""

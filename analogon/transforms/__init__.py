"""Maps that are learnt from pairs: relations within a space, bridges between two."""

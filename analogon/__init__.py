"""What people do with embeddings: search, compare and combine media by meaning."""

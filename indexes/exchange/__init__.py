"""Collections to files that other tools read, and back without encoding."""

from __future__ import annotations

from indexes.exchange.clip_retrieval import export_clip_retrieval, import_clip_retrieval
from indexes.exchange.intake import Imported
from indexes.exchange.parquet import export_parquet, import_parquet

__all__ = ["Imported", "export_clip_retrieval", "export_parquet", "import_clip_retrieval", "import_parquet"]

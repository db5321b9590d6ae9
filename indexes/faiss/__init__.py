"""The local engine: FAISS indexes chosen by size and memory, tuned until measured recall is reached, kept in caches.

The vectors on disk are the truth. An index here only proposes rows; each proposed row is scored again with its true
float32 vector, so that scores are exact cosines whatever the index compresses, and a stale file cannot lie about them.
"""

from __future__ import annotations

from indexes.faiss.build import extend, fit
from indexes.faiss.cache import Cached
from indexes.faiss.file import IndexDamaged, fingerprint
from indexes.faiss.measure import recall
from indexes.faiss.plan import choose, parse_memory

__all__ = ["Cached", "IndexDamaged", "choose", "extend", "fingerprint", "fit", "parse_memory", "recall"]

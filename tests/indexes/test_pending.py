"""What is asked of a catalog in blocks: pending work, the paths below a root, what is removed."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import pytest

from embed.media import Modality
from indexes.catalog import Catalog

FOLDERS = ["/lib", "/lib/a", "/lib/a b", "/lib/ab", "/lib2", "/other/lib"]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """3,000 sources of 1,800 contents, some of several modalities, some with a duration, some done."""
    chance = random.Random(1)
    catalog = Catalog(tmp_path / "catalog.sqlite", create=True)
    kinds: list[tuple[Modality, ...]] = [("audio",), ("video", "audio"), ("image",), ("text",)]
    with catalog.transaction():
        with catalog.counted_together():
            new = catalog.additions()
            for number in range(1800):
                new.add_content(f"{number:032x}", {"duration": number / 7} if number % 2 else {}, None)
            for number in range(3000):
                content = number + 1 if number < 1800 else chance.randrange(1, 1801)
                path = f"{chance.choice(FOLDERS)}/{number:04}.wav"
                held = chance.choice(kinds), number, 7, {}
                new.add_source(path, number if number % 11 == 0 else None, content, *held)
            catalog.put_additions(new)
        for content in chance.sample(range(1, 1801), 500):
            catalog.put_done(content, "here", "audio", 1, None)
            catalog.put_done(content, "elsewhere", "video", 1, None)
    return catalog


@pytest.mark.parametrize(
    "roots",
    [["/lib"], ["/lib/a"], ["/lib/a", "/lib/ab"], ["/"], ["/other", "/lib2/0004.wav"], ["/lib", "/lib/a"], ["/none"]],
)
def test_pending_is_what_has_a_source_below_the_roots_and_is_not_done(roots: list[str], catalog: Catalog) -> None:
    some = [path for (path,) in catalog.query("SELECT path FROM source WHERE id % 100 = 7")]
    for asked in (roots, [*roots, *some]):
        for modality in ("audio", "video", "image"):
            done = {
                c
                for (c,) in catalog.query("SELECT content FROM done WHERE space = 'here' AND modality = ?", [modality])
            }
            expected = {}
            rows = catalog.query("SELECT content, path, row, size, modalities FROM source ORDER BY content, path, row")
            for content, path, row, size, kinds in rows:
                below = any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in asked)
                if below and content not in done and modality in kinds.split():
                    expected.setdefault(content, (path, None if row < 0 else row, size))
            pending = catalog.pending("here", modality, asked)  # type: ignore[arg-type]
            assert pending.tolist() == sorted(expected)
            found = list(catalog.pending_media(modality, pending, asked))  # type: ignore[arg-type]
            assert [one.content for one in found] == pending.tolist()
            assert {one.content: (one.media.path, one.media.row, one.size) for one in found} == expected
            known = sum((content - 1) / 7 for content in expected if content % 2 == 0)
            assert catalog.seconds(pending) == pytest.approx(known)
            assert sum(one.seconds for one in found) == pytest.approx(known)


def test_pending_work_is_read_as_it_is_asked_for(catalog: Catalog) -> None:
    pending = catalog.pending("nowhere", "audio", ["/"])
    statements: list[str] = []
    catalog._db.set_trace_callback(statements.append)
    media = catalog.pending_media("audio", pending, ["/"])
    assert len(list(islice(media, 900))) == 900 and len(statements) == 1
    assert len(list(media)) == len(pending) - 900 and len(statements) == -(-len(pending) // 1000)


@pytest.mark.parametrize("root", ["/lib", "/lib/a", "/", "/lib2/0004.wav", "/none"])
def test_places_one_by_one_are_all_places(root: str, catalog: Catalog) -> None:
    assert list(catalog.each_place_under(root)) == catalog.places_under(root)


def test_contents_go_with_their_last_source_and_only_then(catalog: Catalog) -> None:
    sources = catalog.query("SELECT id, content FROM source")
    gone = [i for i, _ in sources if i % 3]
    left = {content for i, content in sources if i % 3 == 0}
    with catalog.transaction():
        catalog.remove_sources(gone)
    assert {content for (content,) in catalog.query("SELECT id FROM content")} == left
    assert {content for (content,) in catalog.query("SELECT content FROM done")} <= left
    assert catalog.counts()["source"] == len(sources) - len(gone) and catalog.query("SELECT * FROM loose") == []
    # One that a source left for another content goes too, at the end of a run, unless somebody else has it.
    (one, content), *_ = [(i, c) for i, c in sources if i % 3 == 0]
    alone = [c for i, c in sources if i % 3 == 0].count(content) == 1
    source = next(s for s in catalog.sources_of_content(content) if s.id == one)
    with catalog.transaction():
        other = catalog.put_content("f" * 32, {}, None)
        catalog.put_source(source.path, source.row, other, ("audio",), 1, 1, {})
    with catalog.transaction():
        catalog.sweep()
    assert (content in {c for (c,) in catalog.query("SELECT id FROM content")}) == (not alone)
    assert catalog.content_of_hash("f" * 32) == other

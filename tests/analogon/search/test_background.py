"""The background of a collection: its figures beside numpy written out, and its caches as the collection changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import analogon
from analogon import phrases as banks
from analogon.search import background as backgrounds
from analogon.search import bank_statistics, hubness
from analogon.search.background import Background
from analogon.search.bank_statistics import BIAS, DENOMINATOR, DENSITY, BankStatistics
from analogon.search.library import Library
from analogon.settings import config
from analogon.vectors.geometry import centre, unit
from embed import Media, encode, load
from embed.encoder import Encoder, resolve
from embed.errors import Cancelled, UsageError
from indexes.build import Listener, Plan, build
from indexes.collection import Collection
from indexes.writer import writing
from tests import sounds

PHRASES = ("dog barking", "wind", "slow piano", "rain on a roof", "crowd", "clock", "a bell far away")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds phrases that another one has encoded."""
    monkeypatch.setenv("ANALOGON_HOME", str(tmp_path / "home"))


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with analogon.open(tmp_path / "c", create=True) as opened:
        _index(opened, sounds.folder(tmp_path / "sounds", 20))
        yield opened


def _index(library: Library, folder: Path) -> None:
    """Index without what the Python door does afterwards: making the background."""
    plan = Plan(paths=(str(folder),), only=frozenset({"audio"}))
    build(library.collection, [(load("toy:16"), resolve("toy:16"))], plan)


def _open(library: Library, **settings: object) -> Background:
    """As another process would, which has kept nothing."""
    library.collection.kept.clear()
    settings.setdefault("phrases", PHRASES)
    found = library.background(library.collection.spaces[0], "audio", **settings)  # type: ignore[arg-type]
    assert found is not None
    return found


def _live(library: Library) -> list[int]:
    return library.collection.catalog.live_rows(library.collection.spaces[0].space.id, "audio").tolist()


def _files(library: Library) -> dict[str, int]:
    """What is kept: beside the collection's indexes, and for all collections."""
    folders = library.collection.path / "indexes", config.home() / "banks"
    return {str(file): file.stat().st_mtime_ns for folder in folders for file in folder.glob("*.npz")}


class Counted:
    """Counts how often the bank is asked of rows, and of how many, and how many texts are encoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        self.texts: list[int] = []
        values, encoded = bank_statistics.row_values, backgrounds.phrase_vectors

        def count_rows(s: np.ndarray) -> object:
            self.rows.append(s.shape[1])
            return values(s)

        def count_texts(encoder: Encoder, texts: list[str], *told: Any) -> object:
            self.texts.append(len(texts))
            return encoded(encoder, texts, *told)

        monkeypatch.setattr(bank_statistics, "row_values", count_rows)
        monkeypatch.setattr(backgrounds, "phrase_vectors", count_texts)


def test_every_figure_is_that_of_the_whole_matrix(library: Library) -> None:
    found = _open(library)
    encoder = library.collection.encoder(library.collection.spaces[0])
    bank = encode(encoder, [Media.from_text(text) for text in PHRASES], query=True).array
    rows = np.array(library.collection.vectors(encoder.space, "audio"))
    s = bank.astype(np.float64) @ rows.T.astype(np.float64)
    assert np.allclose(found.bank, bank, atol=1e-6)
    assert np.allclose(found.mean, rows.mean(axis=0), atol=1e-6)
    assert np.allclose(found.bank_mean, bank.mean(axis=0), atol=1e-6)
    assert np.allclose(found.best, s.max(axis=1), atol=1e-6)
    some = np.array([5, 0, 11])
    hubness = found.hubness(some)
    assert np.allclose(hubness.bias, s[:, some].mean(axis=0), atol=1e-6)  # fewer phrases than k
    assert np.allclose(hubness.density, s[:, some].mean(axis=0), atol=1e-6)
    assert np.allclose(hubness.denominator, np.log(np.exp(20 * s[:, some]).sum(axis=0)), atol=1e-4)
    hubs = found.hubness(np.arange(len(rows))).hubs
    assert np.flatnonzero(hubs).tolist() == sorted(set(s.argmax(axis=1).tolist()))


def test_blocks_make_no_difference_and_neither_do_rows_that_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    bank, rows = unit(random.normal(size=(40, 8))), unit(random.normal(size=(101, 8)))
    live = random.random(101) < 0.7
    whole = BankStatistics.make(bank, rows, live)
    monkeypatch.setattr(bank_statistics, "BLOCK_BYTES", 4 * 40 * 7)
    stepped = BankStatistics.make(bank, rows, live)
    grown = BankStatistics.make(bank, rows, live, BankStatistics.make(bank, rows[:50], live[:50]))
    for other in (stepped, grown):
        for name in ("near_rows", "near", "total", "alive"):
            assert np.allclose(getattr(other, name), getattr(whole, name), atol=1e-6), name
        for value in (BIAS, DENSITY, DENOMINATOR):
            assert np.allclose(other.values.all(value), whole.values.all(value), atol=1e-6), value
    s = np.where(live, bank @ rows.T, -np.inf)
    assert whole.best_rows.tolist() == s.argmax(axis=1).tolist()
    assert np.allclose(whole.mean, rows[live].mean(axis=0), atol=1e-6)


def test_percentiles_count_the_phrases_that_score_less_on_that_item(library: Library) -> None:
    found = _open(library)
    for score in (0.2, 0.5, 0.7):
        for row in (0, 7):
            less = sum(float(phrase @ found.vectors[row]) < score for phrase in found.bank)
            assert found.percentile([score], [row]) == pytest.approx([100 * less / len(PHRASES)])
    assert found.percentile([1.1, -1.1], [3, 3]).tolist() == [100.0, 0.0]


def test_what_is_asked_takes_no_part(library: Library) -> None:
    found = _open(library)
    assert found.without("rain") is found
    fewer = found.without("Rain, on a roof!", "CROWD")
    assert fewer.phrases == ("dog barking", "wind", "slow piano", "clock", "a bell far away")
    expected = _open(library, phrases=fewer.phrases)
    every = np.arange(len(found.vectors))
    for name in ("bias", "density", "denominator", "hubs"):
        assert np.allclose(getattr(fewer.hubness(every), name), getattr(expected.hubness(every), name), atol=1e-5), name
    assert np.allclose(fewer.best, expected.best) and np.allclose(fewer.bank_mean, expected.bank_mean)
    assert np.array_equal(fewer.mean, expected.mean)
    assert np.array_equal(fewer.percentile([0.6], [2]), expected.percentile([0.6], [2]))
    with pytest.raises(UsageError, match="nothing but what is asked"):
        fewer.without(*PHRASES)


def test_caches_are_used_grow_and_forget_what_was_removed(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    first = _open(library).table
    rows = len(first.values)
    assert (counted.texts, counted.rows) == ([len(PHRASES)], [rows])
    files = _files(library)
    assert np.array_equal(_open(library).table.best, first.best)
    assert (counted.texts, counted.rows) == ([len(PHRASES)], [rows]) and _files(library) == files

    folder = library.collection.path.parent / "sounds"
    sounds.write(folder / "new.wav", 99)
    _index(library, folder)
    grown = _open(library).table
    assert counted.rows == [rows, 1] and len(grown.values) == rows + 1

    best_sound = library.collection.catalog.items_of_rows(
        library.collection.spaces[0].space.id, "audio", [int(grown.best_rows[0])]
    )
    [item] = library.collection.catalog.items(list(best_sound.values())).values()
    library.remove(item.sources[0].path)
    live = _live(library)
    found = _open(library)
    s = found.bank @ np.array(found.vectors)[live].T
    assert np.allclose(found.best, s.max(axis=1), atol=1e-6) and set(found.table.best_rows) <= set(live)
    assert np.allclose(found.mean, np.array(found.vectors)[live].mean(axis=0), atol=1e-6)
    assert counted.texts == [len(PHRASES)]

    assert len(_open(library, phrases=PHRASES[:5]).best) == 5  # another bank is not taken for this one
    assert counted.texts == [len(PHRASES)]


def test_the_table_of_an_earlier_version_is_used(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """It kept the best row of each phrase alone, and the mean of the rows."""
    made = _open(library).table
    [path] = (library.collection.path / "indexes").glob("*-background.npz")
    with np.load(path) as saved:
        arrays = {name: saved[name] for name in saved.files if name not in ("near", "near_rows", "total", "values")}
    columns = ("bias", BIAS), ("density", DENSITY), ("denominator", DENOMINATOR)
    arrays |= {name: made.values.all(value) for name, value in columns}
    np.savez(path, best=made.best, best_rows=made.best_rows, mean=made.mean, **arrays)
    for values in path.parent.glob("*-background-*.f32"):
        values.unlink()
    counted = Counted(monkeypatch)
    found = _open(library)
    for name in ("best", "best_rows", "alive"):
        assert np.array_equal(getattr(found.table, name), getattr(made, name)), name
    assert np.array_equal(found.table.values.all(BIAS), made.values.all(BIAS))
    kept = path.read_bytes()
    _open(library).table  # noqa: B018  a search leaves it as it is, the next run does not
    assert path.read_bytes() == kept
    Background.make(library.collection, library.collection.spaces[0], "audio", PHRASES)
    assert path.read_bytes() != kept and isinstance(_open(library).table.values.saved, np.memmap)
    assert counted.rows == [] and np.array_equal(_open(library).table.values.all(BIAS), made.values.all(BIAS))
    assert np.allclose(found.mean, made.mean, atol=1e-6)
    items = library.collection.catalog.items_of_rows(found.space.id, "audio", [int(found.table.best_rows[0])])
    [item] = library.collection.catalog.items(list(items.values())).values()
    library.remove(item.sources[0].path)
    live = _live(library)
    assert _open(library).table.best_rows.tolist() != made.best_rows.tolist()
    s = found.bank @ np.array(found.vectors)[live].T
    assert _open(library).table.best_rows.tolist() == np.array(live)[s.argmax(axis=1)].tolist()
    assert np.allclose(_open(library).best, s.max(axis=1), atol=1e-6)
    assert counted.texts == []


def test_what_is_kept_open_follows_what_comes_and_goes(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    counted, folder = Counted(monkeypatch), library.collection.path.parent / "sounds"
    known = library.collection.spaces[0]
    random, number = np.random.default_rng(2), 100
    first = _open(library)
    rows = len(first.table.alive)
    assert library.background(known, "audio", PHRASES) is first
    for step in range(12):
        if step % 3:
            found = library.background(known, "audio", PHRASES)
            assert found is not None
            gone = found.table.best_rows[step % len(PHRASES)] if step % 2 else random.choice(_live(library))
            items = library.collection.catalog.items_of_rows(known.space.id, "audio", [int(gone)])
            [item] = library.collection.catalog.items(list(items.values())).values()
            Path(item.sources[0].path).unlink()
            with writing(library.collection) as writer, writer.catalog.transaction():
                writer.catalog.remove_sources([source.id for source in item.sources])  # and nothing is compacted
        else:
            sounds.write(folder / f"new {step}.wav", number + step)
            _index(library, folder)
        found, live = library.background(known, "audio", PHRASES), _live(library)
        assert found is not None
        s = found.bank @ np.array(found.vectors)[live].T
        assert found.table.best_rows.tolist() == np.array(live)[s.argmax(axis=1)].tolist()
        assert np.allclose(found.best, s.max(axis=1), atol=1e-6)
        assert np.allclose(found.mean, np.array(found.vectors)[live].mean(axis=0), atol=1e-6)
        assert np.allclose(found.hubness(np.array(live)).bias, s.mean(axis=0), atol=1e-6)
    assert counted.rows == [rows, 1, 1, 1, 1] and counted.texts == [len(PHRASES)]


def _counting_rows(work: Any, asked: list[int]) -> Any:
    def counting(bank: Any, vectors: Any, live: Any) -> Any:
        asked.append(len(bank))
        return work(bank, vectors, live)

    return counting


def test_best_rows_are_known_until_the_last_of_them_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(bank_statistics, "_nearest", _counting_rows(bank_statistics._nearest, asked))
    random = np.random.default_rng(4)
    bank, rows = unit(random.normal(size=(5, 8))), unit(random.normal(size=(90, 8)))
    rows[40:50] = rows[3]  # copies
    live = np.ones(60, np.bool_)
    table = BankStatistics.make(bank, rows[:60], live)
    while live.any():
        live = live.copy()
        live[table.best_rows[random.integers(5)]] = False
        if 60 <= len(live) < 90 and live.sum() % 2:
            live = np.append(live, True)
        table = BankStatistics.make(bank, rows[: len(live)], live, table)
        if live.any():
            s = np.where(live, bank @ rows[: len(live)].T, -np.inf)
            assert np.allclose(table.best, s.max(axis=1), atol=1e-6)
            assert np.allclose(s[np.arange(5), table.best_rows], table.best, atol=1e-6)
            assert np.allclose(table.mean, rows[: len(live)][live].mean(axis=0), atol=1e-6)
    assert table.best_rows.tolist() == [-1] * 5 and (table.best == -np.inf).all()
    assert 5 < len(asked) < 40  # of 90 rows that died


def test_the_bank_is_encoded_once_for_all_modalities(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    _open(library, phrases=PHRASES)
    _open(library, phrases=(*PHRASES, "a red balloon"))
    _open(library, phrases=("a red balloon", "wind"))
    assert counted.texts == [len(PHRASES), 1]


def test_the_bank_is_encoded_once_for_all_collections(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch)
    folder = tmp_path / "sounds"
    library.index(folder, encoders="toy:16", only="audio")
    assert counted.texts == [len(banks.bank("audio"))]
    with analogon.open(tmp_path / "other", create=True) as other:
        other.index(folder, encoders="toy:16", only="audio")
        assert other.search("a bell", by="content")[0].percentile is not None
    assert counted.texts == [len(banks.bank("audio"))]
    [bank] = (tmp_path / "home" / "banks").iterdir()
    assert bank.name == f"{library.collection.spaces[0].space.id}.npz"
    # That of an earlier version lies beside the collection's indexes.
    bank.rename(library.collection.path / "indexes" / f"{bank.stem}-bank.npz")
    library.collection.kept.clear()
    assert library.search("a bell", by="content")[0].percentile is not None
    assert counted.texts == [len(banks.bank("audio"))]


def test_phrases_are_told_as_they_are_encoded_after_the_files(library: Library, tmp_path: Path) -> None:
    class Told(Listener):
        def __init__(self) -> None:
            super().__init__()
            self.phases: list[tuple[str, int | None, int]] = []

        def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
            self.phases.append((name, total, 0))

        def advance(self, count: int = 1, seconds: float = 0.0) -> None:
            name, total, done = self.phases[-1]
            self.phases[-1] = (name, total, done + count)

    told = Told()
    library.index(tmp_path / "sounds", encoders="toy:16", only="audio", listener=told)
    count = len(banks.bank("audio")) + 1
    assert told.phases[-1] == ("background queries", count, count)


def test_a_search_does_not_wait_for_a_pass_over_many_rows(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it there are percentiles, and no doubt."""
    library.index(library.collection.path.parent / "sounds", encoders="toy:16", only="audio")
    doubted = library.search("a bell", by="content").notes
    [table] = (library.collection.path / "indexes").glob("*-background.npz")
    monkeypatch.setattr(backgrounds, "SOON", 5)
    library.collection.kept.clear()
    assert library.search("a bell", by="content").notes == doubted
    library.collection.kept.clear()
    kept = {name: library.search("a bell", by="content", rerank=name) for name in ("csls", "nnn")}
    library.collection.kept.clear()
    table.unlink()
    hits = library.search("a bell", by="content")
    assert hits.notes == () and hits[0].percentile is not None and not table.exists()
    for rerank in ("csls", "nnn"):  # these ask the phrases of the rows that are found, and of no other
        found = library.search("a bell", by="content", rerank=rerank)
        assert [(one.id, one.score) for one in found] == [(one.id, one.score) for one in kept[rerank]]
        assert found[0].percentile is not None and not table.exists()
    assert library.search("a bell", by="content", rerank="qbnorm")[0].percentile is not None and table.exists()
    assert library.search("a bell", by="content").notes == doubted != ()


def test_our_own_phrases_are_the_modalitys(library: Library) -> None:
    assert _open(library, phrases=None).phrases == banks.bank("audio")


def test_who_cannot_save_uses_it_unsaved(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("numpy.savez", full)
        unsaved = _open(library).best
    assert len(unsaved) == len(PHRASES)
    assert not [name for name in _files(library) if Path(name).parent.name == "banks" or "background" in name]
    assert np.array_equal(_open(library).best, unsaved)
    assert len([name for name in _files(library) if Path(name).parent.name == "banks" or "background" in name]) == 2


def test_what_a_search_keeps_turns_no_writer_away(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    other, saved = Collection.open(library.collection.path), np.savez
    wrote = []

    def meanwhile(*arguments: Any, **arrays: Any) -> None:
        with writing(other) as writer:
            wrote.append(writer.remove([]))
        saved(*arguments, **arrays)

    monkeypatch.setattr("numpy.savez", meanwhile)
    assert len(_open(library).best) == len(PHRASES) and len(wrote) == 2
    other.close()


def test_a_table_of_a_moment_ago_does_not_take_the_place_of_a_newer_one(library: Library) -> None:
    collection = library.collection
    with collection.snapshot():
        before = _open(library)  # of now, with its table unmade
    sounds.write(collection.path.parent / "sounds" / "new.wav", 99)
    _index(library, collection.path.parent / "sounds")
    rows = len(_open(library).table.values)
    files = _files(library)
    assert len(before.table.values) == len(before.vectors) == rows - 1
    assert _files(library) == files and len(_open(library).table.values) == rows


@pytest.mark.parametrize("damage", [b"", b"PK no zip", None])
def test_damaged_caches_are_made_again(library: Library, damage: bytes | None) -> None:
    expected = _open(library).table
    for name in _files(library):
        path = Path(name)
        path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    found = _open(library)
    assert np.allclose(found.table.values.all(DENOMINATOR), expected.values.all(DENOMINATOR))
    assert np.array_equal(_open(library).table.best_rows, expected.best_rows)


def test_there_is_none_where_the_encoder_takes_no_text_or_nothing_is_there(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = library.collection.spaces[0]
    assert library.background(known, "image", PHRASES) is None
    encoder = library.collection.encoder(known)
    monkeypatch.setattr(encoder, "modalities", frozenset({"audio"}), raising=False)
    assert library.background(known, "audio", ("never encoded",)) is None


def test_phrases_that_the_encoder_does_not_know_are_left_out(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = library.collection.encoder(library.collection.spaces[0])
    whole = type(encoder).encode_batch

    def zeros_for_wind(self: Encoder, batch: list[Media]) -> np.ndarray:
        return np.array([np.zeros(16) if m.text == "wind" else row for m, row in zip(batch, whole(self, batch))])  # noqa: B905

    monkeypatch.setattr(type(encoder), "encode_batch", zeros_for_wind)
    assert _open(library).phrases == tuple(text for text in PHRASES if text != "wind")
    counted = Counted(monkeypatch)
    assert len(_open(library).phrases) == len(PHRASES) - 1 and counted.texts == []


@pytest.mark.parametrize("method", sorted(hubness.METHODS))
def test_candidates_are_scored_anew_as_the_formulas_say(library: Library, method: str) -> None:
    found = _open(library)
    query = unit(np.random.default_rng(1).normal(size=16))
    rows = np.array([4, 17, 0, 9, 2])
    items = np.array(found.vectors)[rows]
    cosines = items @ query
    s = found.bank @ items.T
    hubs = np.isin(rows, (found.bank @ np.array(found.vectors).T).argmax(axis=1))
    expected = {
        "none": cosines,
        "centre": centre(items, found.mean) @ unit(query - found.bank.mean(axis=0)),
        "nnn": cosines - 0.75 * s.mean(axis=0),
        "csls": 2 * cosines - s.mean(axis=0),
        "qbnorm": cosines - np.log(np.exp(20 * s).sum(axis=0)) / 20 if hubs[cosines.argmax()] else cosines,
    }[method]
    assert np.allclose(backgrounds.rescore(method, found, query, rows, cosines), expected, atol=1e-5)
    assert len(backgrounds.rescore(method, found, query, rows[:0], cosines[:0])) == 0
    with pytest.raises(ValueError, match="there are: none"):
        backgrounds.rescore("dual softmax", found, query, rows, cosines)


def test_the_best_hit_is_doubted_where_too_many_other_queries_have_a_nearer_one() -> None:
    # One item; the cosines of the background queries with it are 0.00, 0.01, ... 0.99.
    cosines = np.arange(100) / 100
    bank = np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1).astype(np.float32)
    rows = np.array([[1.0, 0.0]], np.float32)
    table = BankStatistics.make(bank, rows, np.array([True]))
    texts = [f"phrase {i}" for i in range(100)]
    found = Background(load("toy:2").space, "audio", texts, bank, rows, lambda: table)
    assert found.doubt(0.805) is None  # 81 are worse: 0.00 to 0.80
    assert found.doubt(0.795) == "perhaps nothing here fits: 20 % of 100 other queries have a nearer best hit"
    assert found.doubt(-1.0) == "perhaps nothing here fits: 100 % of 100 other queries have a nearer best hit"
    # What is asked does not count: without one of the worse ones 80 of 99 are left.
    assert (found.without("Phrase 3!").doubt(0.805) or "").endswith("19 % of 99 other queries have a nearer best hit")


def _removed(library: Library, share: float) -> None:
    """Remove some sounds, so many that the vector file is written anew."""
    paths = [path for (path,) in library.collection.catalog.query("SELECT path FROM source ORDER BY path")]
    library.remove(*paths[: int(share * len(paths))])


def test_what_is_known_of_rows_is_carried_over_a_compaction(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    known = library.collection.spaces[0]
    _open(library).table  # noqa: B018
    sounds.write(library.collection.path.parent / "sounds" / "new.wav", 99)
    _index(library, library.collection.path.parent / "sounds")  # a row that the table has not
    file = library.collection.file(known.space, "audio")[0]
    for _ in range(2):  # nobody looks at the table between the two
        _removed(library, 0.4)
    assert library.collection.file(known.space, "audio")[0] != file
    counted, asked = Counted(monkeypatch), list[int]()
    monkeypatch.setattr(bank_statistics, "_nearest", _counting_rows(bank_statistics._nearest, asked))
    made = Background.make(library.collection, known, "audio", PHRASES)
    assert made is not None
    assert [count for count in counted.rows if count > 1] == [len(made.vectors) - 1]  # some are asked again, to be sure
    assert counted.rows[1:] in ([], [1])
    s = made.bank @ np.array(made.vectors).T
    assert np.allclose(made.table.values.all(BIAS), s.mean(axis=0), atol=1e-6)
    assert np.allclose(made.table.values.all(DENOMINATOR), np.log(np.exp(20 * s).sum(axis=0)), atol=1e-4)
    assert np.allclose(made.best, s.max(axis=1), atol=1e-6)
    assert made.table.best_rows.tolist() == s.argmax(axis=1).tolist()
    assert np.allclose(made.mean, np.array(made.vectors).mean(axis=0), atol=1e-6)
    left = [path.name for path in (library.collection.path / "indexes").iterdir()]
    assert not [name for name in left if name.endswith(".stayed")]
    assert len([name for name in left if "background" in name]) == 2


def test_rows_of_another_file_are_not_taken_for_those_of_this_one(library: Library) -> None:
    known = library.collection.spaces[0]
    _open(library).table  # noqa: B018
    _removed(library, 0.4)
    [note] = (library.collection.path / "indexes").glob("*.stayed")
    whole = note.read_bytes()
    for damage in (whole[:4], whole[:8] + bytes(len(whole) - 8), whole[:8] + bytes(reversed(whole[8:])), None):
        if damage is None:
            note.unlink()
        else:
            note.write_bytes(damage)
        found = _open(library)
        [cache] = (library.collection.path / "indexes").glob("*-background.npz")
        before = cache.read_bytes()
        s = found.bank @ np.array(found.vectors).T
        assert np.allclose(found.table.values.all(BIAS), s.mean(axis=0), atol=1e-6)
        assert np.allclose(found.best, s.max(axis=1), atol=1e-6)
        cache.write_bytes(before)
    assert Background.make(library.collection, known, "audio", PHRASES) is not None


def test_a_pass_over_the_rows_that_was_stopped_goes_on_where_it_was(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _open(library).table
    for path in (library.collection.path / "indexes").glob("*background*"):
        path.unlink()
    library.collection.kept.clear()
    monkeypatch.setattr(bank_statistics, "SAVED", 4)
    monkeypatch.setattr(backgrounds, "SOON", 0)
    counted = Counted(monkeypatch)

    class Stopping(Listener):
        told = 0

        def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
            assert (name, total) == ("background of audio", len(expected.alive))

        def advance(self, count: int = 1, seconds: float = 0.0) -> None:
            self.told += count
            if self.told > 8:
                self.cancel()

    known = library.collection.spaces[0]
    with pytest.raises(Cancelled):
        Background.make(library.collection, known, "audio", PHRASES, listener=Stopping())
    made = Background.make(library.collection, known, "audio", PHRASES)
    assert made is not None and sum(counted.rows) == len(expected.alive) + 4  # the block that was not kept
    for value in (BIAS, DENSITY, DENOMINATOR):
        assert np.allclose(made.table.values.all(value), expected.values.all(value), atol=1e-6)
    assert np.array_equal(made.table.near_rows, expected.near_rows)
    assert np.allclose(made.table.total, expected.total)


def test_values_that_were_written_before_a_kill_count_when_they_are_kept(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    _open(library).table  # noqa: B018
    sounds.write(library.collection.path.parent / "sounds" / "new.wav", 99)
    _index(library, library.collection.path.parent / "sounds")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bank_statistics, "UNSAVED", 0)
        patch.setattr(bank_statistics, "keep_arrays", killed)
        with pytest.raises(KeyboardInterrupt):
            _open(library).table  # noqa: B018
    [values] = (library.collection.path / "indexes").glob("*-background-*.f32")
    with values.open("r+b") as file:  # and what came after was not whole
        file.seek(-7, 2)
        file.write(b"\xff" * 7)
    found = _open(library)
    s = found.bank @ np.array(found.vectors).T
    assert np.allclose(found.table.values.all(BIAS), s.mean(axis=0), atol=1e-6)
    assert np.allclose(_open(library).table.values.all(DENOMINATOR), np.log(np.exp(20 * s).sum(axis=0)), atol=1e-4)


def test_a_search_reads_the_values_of_the_rows_that_it_finds(library: Library) -> None:
    _open(library).table  # noqa: B018
    found = _open(library)
    assert isinstance(found.table.values.saved, np.memmap) and not len(found.table.values.newer)
    rows = np.array([3, 1, 11])
    s = found.bank @ np.array(found.vectors[rows]).T
    assert np.allclose(found.values(rows)[:, BIAS], s.mean(axis=0), atol=1e-6)

"""Distilled static tables against numpy's SVD and a BERT of transformers, by hand."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import embed
from embed import Media
from embed.encoder import Encoder
from embed.errors import EncoderError, MediaError, UnsupportedModality, UsageError
from embed.space import Space
from embed.training import output, static
from tests.command_line import exit_code
from tests.embed.encoders.tiny_sentence import DIM, build
from tests.embed.encoders.tiny_static import TOKENS

SPECIAL = 4
WORDS = TOKENS[SPECIAL:]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    build(folder)
    return folder


def alone(folder: Path, before: tuple[int, ...] = ()) -> npt.NDArray[np.float64]:
    """Each word between [CLS] and [SEP] through transformers' BERT: unit means of its token states."""
    import torch
    from transformers import BertModel

    model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    rows = [[2, *before, token, 3] for token in range(SPECIAL, len(TOKENS))]
    with torch.inference_mode():
        means = model(torch.tensor(rows)).last_hidden_state.mean(1).numpy().astype(np.float64)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def by_svd(rows: npt.NDArray[np.float64], dim: int, flatten: float) -> npt.NDArray[np.float64]:
    centred = rows - rows.mean(axis=0)
    _, singular, components = np.linalg.svd(centred, full_matrices=False)
    components = components[:dim]
    for component in components:
        if component[np.abs(component).argmax()] < 0:
            component *= -1
    return centred @ components.T / (singular[:dim] / singular[0]) ** flatten


def dequantised(table: static.StaticTable) -> npt.NDArray[np.float64]:
    return table.rows.astype(np.float64) * table.weights[:, None]


def write(table: static.StaticTable, folder: Path) -> str:
    folder.mkdir()
    static.save(table, folder)
    return f"static:{folder}"


@pytest.mark.parametrize(("flatten", "dim"), [(0.0, 24), (0.3, 24), (1.0, 8)])
def test_principal_components_are_those_of_the_svd(teacher: Path, flatten: float, dim: int) -> None:
    rows = alone(teacher)
    found, kept = static.principal(rows, dim, flatten)
    assert np.abs(found - by_svd(rows, dim, flatten)).max() < 1e-9
    variances = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2
    assert kept == pytest.approx(variances[:dim].sum() / variances.sum(), abs=1e-12)


def test_more_components_than_the_rows_span() -> None:
    rows = np.eye(3, 6)
    found, kept = static.principal(rows, 6, 0.5)
    assert np.isfinite(found).all()
    assert np.abs(found[:, 2:]).max() < 1e-12
    assert kept == pytest.approx(1.0)


def test_sif_weights_by_hand() -> None:
    # Zipf: the probabilities of three tokens are to each other as 1, 1/2 and 1/3.
    expected = [0.01 / (0.01 + 6 / 11), 0.01 / (0.01 + 3 / 11), 0.01 / (0.01 + 2 / 11)]
    assert static.sif_weights(["the", "of", "dog"], 0.01).tolist() == pytest.approx(expected, rel=1e-12)
    # Characters alone stand first in vocabularies, whatever their frequency.
    found = static.sif_weights(["!", "字", "the", "of", "dog"], 0.01).tolist()
    assert found == pytest.approx([expected[0], expected[0], *expected], rel=1e-12)


def test_quantised_rows_are_at_most_half_a_step_off() -> None:
    rows = np.random.default_rng(0).standard_normal((50, 16)) * np.logspace(-6, 3, 50)[:, None]
    rows[7] = 0.0
    table, scale = static.quantise(rows)
    assert (np.abs(table).max(axis=1) == 127).sum() == 49
    assert (np.abs(table * scale[:, None].astype(np.float64) - rows) <= scale[:, None] * 0.5001).all()


def test_the_table_is_the_tokens_alone_centred_projected_and_weighted(teacher: Path) -> None:
    table = static.distil(embed.load(f"sentence:{teacher}"), dim=24, sif=1e-2, flatten=0.3)
    expected = by_svd(alone(teacher), 24, 0.3) * static.sif_weights(WORDS, 1e-2)[:, None]
    assert not table.rows[0].any()  # the unknown token
    found = dequantised(table)[1:]
    assert (np.abs(found - expected) <= table.weights[1:, None] * 0.51).all()
    vocabulary = json.loads(table.tokenizer)["model"]["vocab"]
    assert list(vocabulary) == ["[UNK]", *WORDS]
    assert list(vocabulary.values()) == list(range(len(WORDS) + 1))


def test_templates_are_averaged(teacher: Path) -> None:
    found = static.distil(
        embed.load(f"sentence:{teacher}"), dim=24, sif=None, flatten=0.0, templates=["{}", "sound of {}"]
    )
    both = alone(teacher) + alone(teacher, (TOKENS.index("sound"), TOKENS.index("of")))
    expected = by_svd(both / np.linalg.norm(both, axis=1, keepdims=True), 24, 0.0)
    assert (np.abs(dequantised(found)[1:] - expected) <= found.weights[1:, None] * 0.51).all()


def test_a_text_is_the_mean_of_its_tokens(teacher: Path, tmp_path: Path) -> None:
    table = static.distil(embed.load(f"sentence:{teacher}"), dim=24)
    encoder = embed.load(write(table, tmp_path / "table"))
    vectors = embed.encode(encoder, [Media.from_text(text) for text in ("Dogs barking zzz", "[CLS] rain")]).array
    rows = dequantised(table)
    vocabulary = json.loads(table.tokenizer)["model"]["vocab"]
    for vector, words in zip(vectors, (["dog", "##s", "barking"], ["rain"]), strict=True):
        mean = rows[[vocabulary[word] for word in words]].mean(axis=0)
        assert np.abs(vector - mean / np.linalg.norm(mean)).max() < 1e-6


def test_the_same_bytes_twice(teacher: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(static.distil(embed.load(f"sentence:{teacher}"), dim=16), tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["config.json", "model.safetensors", "tokenizer.json"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_words_may_be_left_out(teacher: Path, tmp_path: Path) -> None:
    table = static.distil(embed.load(f"sentence:{teacher}"), dim=8, keep=lambda token: token != "dog")
    assert len(table.rows) == len(WORDS)
    encoder = embed.load(write(table, tmp_path / "table"))
    embed.encode(encoder, [Media.from_text("cat")])
    with pytest.raises(MediaError, match="no word of it is in the vocabulary"):
        embed.encode(encoder, [Media.from_text("dog")])


def with_unigram(folder: Path) -> str:
    """The tiny teacher with a vocabulary of another kind, whose numbers have to stay."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    build(folder)
    made = Tokenizer(models.Unigram([(token, -float(rank)) for rank, token in enumerate(TOKENS)], unk_id=1))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens(["[PAD]", "[CLS]", "[SEP]"])
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.save(str(folder / "tokenizer.json"))
    return f"sentence:{folder}"


def test_another_kind_of_vocabulary_stays_whole(tmp_path: Path) -> None:
    large = embed.load(with_unigram(tmp_path / "teacher"))
    table = static.distil(large, dim=24, sif=None, flatten=0.0)
    assert len(table.rows) == len(TOKENS)
    assert not table.rows[:SPECIAL].any()
    expected = by_svd(alone(tmp_path / "teacher"), 24, 0.0)
    assert (np.abs(dequantised(table)[SPECIAL:] - expected) <= table.weights[SPECIAL:, None] * 0.51).all()
    encoder = embed.load(write(table, tmp_path / "table"))
    (vector,) = embed.encode(encoder, [Media.from_text("dog")]).array
    row = dequantised(table)[TOKENS.index("dog")]
    assert np.abs(vector - row / np.linalg.norm(row)).max() < 1e-6
    with pytest.raises(EncoderError, match="Unigram vocabulary, of which no token can be left out"):
        static.distil(large, dim=24, keep=str.isascii)


def test_agreement_is_spearmans_rank_correlation(teacher: Path, tmp_path: Path) -> None:
    from scipy.stats import spearmanr

    large = embed.load(f"sentence:{teacher}")
    small = embed.load(write(static.distil(large, dim=24), tmp_path / "table"))
    texts = ["a dog barking", "cat", "rain on the roof", "piano music", "zzz", "a young woman crying"]
    found = static.agreement(large, small, texts)
    assert found.texts == 5  # the table has no word of zzz
    known = [Media.from_text(text) for text in texts if text != "zzz"]
    upper = np.triu_indices(5, 1)
    a, b = ((v @ v.T)[upper] for v in (embed.encode(one, known).array for one in (large, small)))
    assert found.spearman == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)


class Ears(Encoder):
    """Hears only."""

    modalities = frozenset({"audio"})
    space = Space("ears", "0" * 32, "none", 8)

    def encode_batch(self, batch: Any) -> npt.NDArray[np.float32]:
        raise AssertionError("nothing should be encoded")


def test_what_no_table_can_be_made_of(teacher: Path) -> None:
    large = embed.load(f"sentence:{teacher}")
    with pytest.raises(UnsupportedModality, match="ears encodes audio"):
        static.distil(Ears(), dim=8)
    with pytest.raises(EncoderError, match="shows no vocabulary to distil"):
        static.distil(embed.load("toy"), dim=8)
    with pytest.raises(UsageError, match=f"has {DIM} dimensions; a table of it cannot have 33"):
        static.distil(large, dim=33)
    with pytest.raises(UsageError, match="is positive, not 0"):
        static.distil(large, dim=8, sif=0.0)
    with pytest.raises(UsageError, match="one {} for the word, unlike 'sound'"):
        static.distil(large, dim=8, templates=["sound"])


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "table"
    with output.new_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["table"]
    with pytest.raises(UsageError, match="is there already"), output.new_folder(target):
        raise AssertionError("not to be reached")
    with pytest.raises(KeyboardInterrupt), output.new_folder(tmp_path / "other") as folder:
        (folder / "a").write_text("1")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    return exit_code(monkeypatch, "train", "static", *arguments)


def test_the_command(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, "--teacher", f"sentence:{teacher}", "-o", "table", "--dim", "16") == 0
    shown = capsys.readouterr()
    size, agreed, index, search = shown.out.splitlines()
    large, small = embed.load(f"sentence:{teacher}"), embed.load("static:table")
    found = static.agreement(large, small)
    assert size.startswith(f"table: {len(WORDS) + 1} tokens in 16 dimensions")
    assert agreed.endswith(f"Spearman {found.spearman:.2f}") and f" {found.texts} phrases" in agreed
    assert index.endswith("-e static:table") and search.endswith("--space static:table")
    assert small.space.dim == 16
    assert not [path for path in tmp_path.iterdir() if path.name != "table"]


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("--teacher", "toy", "-o", "new"), 3, "shows no vocabulary"),
        (("--teacher", "sentence:./nowhere", "-o", "new"), 3, "no such folder"),
        (("--teacher", "TEACHER", "-o", "full"), 2, "full is there already; name a new or an empty folder"),
        (("--teacher", "TEACHER", "-o", "full/file"), 2, "is there already"),
        (("--teacher", "TEACHER", "-o", "full/file/new"), 3, "cannot be written: File exists ("),
        (("--teacher", "TEACHER", "-o", "new", "--dim", "40"), 2, "cannot have 40"),
        (("--teacher", "TEACHER", "-o", "new", "--dim", "8", "--template", "none"), 2, "one {} for the word"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    teacher: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("kept")
    given = [f"sentence:{teacher}" if one == "TEACHER" else one for one in arguments]
    assert command(monkeypatch, *given) == code
    shown = [one for one in capsys.readouterr().err.splitlines() if one.startswith("analogon: ")]
    assert len(shown) == 1 and line in shown[0]
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["full", "full/file"]


def test_a_full_disk(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(static, "save", full)
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, "--teacher", f"sentence:{teacher}", "-o", "table", "--dim", "16") == 3
    assert "table: cannot be written: No space left on device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())

"""Texts, files, samples and pictures as people have them: each gives what the same thing as a file gives."""

from __future__ import annotations

import io
import itertools
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import soundfile
import torch
from PIL import Image, ImageCms, ImageOps

import analogon
import embed
from embed import Encoder, Media, Space, Span, Vectors, decode
from embed.encoder import AudioInput
from embed.errors import Cancelled, EncoderError, MediaError, UnsupportedModality, UsageError
from embed.inputs import as_media, encode
from embed.listener import Listener
from embed.pipeline import Encoded, encode_stream

RATE = 16000


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def noise(seconds: float = 0.5, channels: int | None = None) -> npt.NDArray[np.float32]:
    shape = round(seconds * RATE) if channels is None else (round(seconds * RATE), channels)
    return (0.2 * np.random.default_rng(1).standard_normal(shape)).clip(-1, 1).astype(np.float32)


def coloured(height: int = 24, width: int = 33, depth: int = 3) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (height, width, depth), dtype=np.uint8)


def rows(vectors: Vectors) -> npt.NDArray[np.float32]:
    assert isinstance(vectors, Vectors)
    return vectors.array


def expected(*media: Media) -> npt.NDArray[np.float32]:
    return embed.encode(embed.load("toy"), list(media)).array


def of_file(path: Path) -> npt.NDArray[np.uint8]:
    (part,) = decode.parts(Media("image", path=str(path)))
    assert part.array is not None
    return part.array


def pixels_of(item: Any) -> npt.NDArray[np.uint8]:
    media = as_media(item)
    assert media.modality == "image" and media.array is not None and media.array.dtype == np.uint8
    return media.array


def test_one_or_many_in_their_order(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(), RATE, subtype="FLOAT")
    Image.fromarray(coloured()).save(tmp_path / "b.png")
    (tmp_path / "c.txt").write_text("rain on a tin roof")
    paths = [tmp_path / name for name in ("a.wav", "b.png", "c.txt")]
    mixed = [paths[0], "dog", paths[1], coloured(), Media.from_text("sea"), paths[2], noise(), paths[1].read_bytes()]
    by_hand = expected(
        Media("audio", path=str(paths[0])),
        Media.from_text("dog"),
        *[Media("image", path=str(paths[1]))] * 2,
        Media.from_text("sea"),
        Media("text", path=str(paths[2])),
        *[Media("audio", path=str(paths[0])), Media("image", path=str(paths[1]))],
    )
    for given in (mixed, tuple(mixed), iter(mixed), (item for item in mixed)):
        found = encode("toy", given, rate=RATE)
        assert np.array_equal(rows(found), by_hand) and found.space == embed.load("toy").space
        assert found.names is found.spans is found.owners is None
    for one, row in zip(mixed, by_hand, strict=True):
        alone = encode("toy", one, rate=RATE)
        assert alone.shape == (1, 8) and np.array_equal(alone[0], row)
    for size in (1, 3):
        assert np.array_equal(rows(encode("toy", mixed, rate=RATE, batch_size=size)), by_hand)
    for nothing in ([], (), iter([]), np.array([], dtype=str)):
        assert encode("toy", nothing).shape == (0, 8)


def test_the_top_has_it_and_an_encoder_serves_as_well(tmp_path: Path) -> None:
    assert analogon.encode is encode
    encoder = analogon.load("toy:16")
    same = expected_by = embed.encode(encoder, [Media.from_text("dog")]).array
    assert np.array_equal(rows(analogon.encode(encoder, "dog")), expected_by)
    for named in ("toy:16", {"family": "toy", "model": "16"}):
        assert np.array_equal(rows(encode(named, ["dog"])), same)


@pytest.mark.parametrize(
    "column",
    [
        np.array(["dog", "犬"]),
        np.array(["dog", "犬"], dtype=object),
        np.array(["dog", "犬"], dtype=np.dtypes.StringDType()),
        pa.array(["dog", "犬"]),
        pa.chunked_array([["dog"], ["犬"]]),
        {"dog": 1, "犬": 2}.keys(),
    ],
    ids=["str", "object", "StringDType", "Arrow", "chunks", "keys"],
)
def test_columns_of_texts(column: Any) -> None:
    assert np.array_equal(rows(encode("toy", column)), expected(Media.from_text("dog"), Media.from_text("犬")))


def test_a_generator_is_followed_with_bounded_look_ahead() -> None:
    made, seen = 0, 0

    class Slow(Encoder):
        space = Space("slow", "w", "p", 2)
        modalities = frozenset({"image"})
        batch_size = 4

        def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.float64]:
            nonlocal seen
            seen += len(batch)
            assert made - seen <= 40, "the generator was turned into a list"
            return np.ones((len(batch), 2))

    def pictures() -> Iterator[Image.Image]:
        nonlocal made
        for _ in range(300):
            made += 1
            yield Image.new("L", (4, 4), 7)

    assert encode(Slow(), pictures()).shape == (300, 2)
    assert made == seen == 300


def test_samples_are_what_their_file_gives(tmp_path: Path) -> None:
    mono, stereo = noise(2.3), noise(2.3, channels=2)
    forms: dict[str, tuple[Any, str]] = {
        "mono": (mono, "FLOAT"),
        "stereo": (stereo, "FLOAT"),
        "doubles": (stereo.astype(np.float64), "DOUBLE"),
        "int16": ((stereo * 32767).astype(np.int16), "PCM_16"),
        "int32": ((stereo * 2147483000).astype(np.int32), "PCM_32"),
        "view": (noise(4.6, channels=2)[::2], "FLOAT"),
    }
    for rate, (name, (samples, subtype)) in itertools.product((RATE, 44100), forms.items()):
        soundfile.write(tmp_path / "a.wav", samples, rate, subtype=subtype)
        by_file = rows(encode("toy", tmp_path / "a.wav"))
        tensor = torch.from_numpy(np.ascontiguousarray(samples.T))
        for given in (samples, tensor):
            assert np.abs(rows(encode("toy", given, rate=rate)) - by_file).max() < 1e-6, (name, rate, type(given))
    graded = torch.from_numpy(mono).requires_grad_()
    plain = rows(encode("toy", mono, rate=RATE))
    whole: Any = float(RATE)  # as libraries give it
    for found in (encode("toy", graded, rate=RATE), encode("toy", mono, rate=whole)):
        assert np.array_equal(rows(found), plain)


def test_features_of_datasets(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(), RATE, subtype="FLOAT")
    whole = (tmp_path / "a.wav").read_bytes()
    decoded = {"array": noise(), "sampling_rate": RATE, "path": None}
    for item in (decoded, {"bytes": whole, "path": None}, {"bytes": None, "path": str(tmp_path / "a.wav")}):
        assert np.array_equal(rows(encode("toy", [item])), rows(encode("toy", tmp_path / "a.wav")))


def lab(picture: Image.Image) -> Image.Image:
    converted = ImageCms.profileToProfile(
        picture, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert converted is not None
    return converted


def swapped() -> bytes:
    """sRGB's profile with its red and its blue exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = (profile.index(tag, 128) for tag in (b"rXYZ", b"bXYZ"))
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile).replace(b"s\0R\0G\0B", b"o\0t\0h\0r").replace(b"sRGB", b"othr")


COLOURS = Image.fromarray(coloured())
CLEAR = Image.fromarray(coloured(depth=4), "RGBA")
DEEP = np.random.default_rng(3).integers(0, 65536, (24, 33)).astype(np.uint16)
PALETTE = COLOURS.quantize(16)
PICTURES: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
    "1": (COLOURS.convert("1"), "PNG", {}),
    "L": (COLOURS.convert("L"), "PNG", {}),
    "LA": (CLEAR.convert("LA"), "PNG", {}),
    "P": (PALETTE, "PNG", {}),
    "P with a clear colour": (PALETTE, "PNG", {"transparency": 3}),
    "P with clear colours": (PALETTE, "PNG", {"transparency": bytes(range(0, 160, 10))}),
    "L with a clear grey": (COLOURS.convert("L"), "PNG", {"transparency": 7}),
    "RGB": (COLOURS, "PNG", {}),
    "RGB as JPEG": (COLOURS, "JPEG", {}),
    "RGBA": (CLEAR, "PNG", {}),
    "CMYK": (COLOURS.convert("CMYK"), "TIFF", {}),
    "CMYK as JPEG": (COLOURS.convert("CMYK"), "JPEG", {}),
    "YCbCr": (COLOURS.convert("YCbCr"), "TIFF", {}),
    "LAB": (lab(COLOURS), "TIFF", {}),
    "RGBX": (COLOURS.convert("RGBX"), "TIFF", {}),
    "PA": (CLEAR.convert("PA"), "TIFF", {}),
    "I;16": (Image.fromarray(DEEP), "PNG", {}),
    "I;16B": (Image.fromarray(DEEP.astype(">u2")), "TIFF", {}),
    "I": (Image.fromarray(DEEP.astype(np.int32)), "TIFF", {}),
    "I below zero": (Image.fromarray(DEEP.astype(np.int32) - 30000), "TIFF", {}),
    "F": (Image.fromarray((DEEP / 65535).astype(np.float32)), "TIFF", {}),
    "with a profile": (COLOURS, "PNG", {"icc_profile": swapped()}),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_of_pillow_are_what_their_files_give(kind: str, tmp_path: Path) -> None:
    picture, form, options = PICTURES[kind]
    path = tmp_path / f"picture.{form.lower()}"
    picture.save(path, form, **options)
    by_file = of_file(path)
    if "icc_profile" in options:
        assert not np.array_equal(by_file, coloured()), "the profile has no part in it"
    assert np.array_equal(pixels_of(Image.open(path)), by_file)
    if form != "JPEG":  # which loses something
        picture = picture.copy()
        picture.info.update(options)
        before = picture.tobytes()
        assert np.array_equal(pixels_of(picture), by_file)
        assert (picture.mode, picture.tobytes()) == (PICTURES[kind][0].mode, before), "the picture was changed"


def test_modes_that_no_file_has() -> None:
    hsv, premultiplied = COLOURS.convert("HSV"), CLEAR.convert("RGBa")
    assert np.array_equal(pixels_of(hsv), np.asarray(hsv.convert("RGB")))
    for given in (premultiplied, CLEAR.convert("LA").convert("La")):
        plain = given.convert({"RGBa": "RGBA", "La": "LA"}[given.mode]).convert("RGBA")
        white = Image.new("RGBA", plain.size, "white")
        white.alpha_composite(plain)
        assert np.abs(pixels_of(given).astype(int) - np.asarray(white.convert("RGB"))).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["jpeg", "png", "tiff", "webp"])
def test_pictures_are_turned_as_their_exif_block_says(orientation: int, form: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    COLOURS.save(tmp_path / f"a.{form}", exif=exif)
    opened = Image.open(tmp_path / f"a.{form}")
    found = pixels_of(opened)
    assert np.array_equal(found, of_file(tmp_path / f"a.{form}"))
    assert found.shape == ((24, 33, 3) if orientation < 5 else (33, 24, 3))
    if form == "png":
        assert np.array_equal(found, np.asarray(ImageOps.exif_transpose(opened)))
        assert opened.getexif()[0x112] == orientation and opened.size == (33, 24), "the picture itself was turned"


def test_arrays_and_tensors_of_pictures(tmp_path: Path) -> None:
    colours, clear = coloured(), coloured(depth=4)
    COLOURS.save(tmp_path / "a.png")
    CLEAR.save(tmp_path / "b.png")
    COLOURS.convert("L").save(tmp_path / "c.png")
    Image.fromarray(DEEP).save(tmp_path / "d.png")
    flat, over_white, grey, deep = (of_file(tmp_path / f"{name}.png") for name in "abcd")
    for array, by_file in (
        (colours, flat),
        (colours / 255, flat),
        ((colours / 255).astype(np.float32), flat),
        (colours[:, ::-1][:, ::-1], flat),
        (clear, over_white),
        (clear / 255, over_white),
        (grey[:, :, 0], grey),
        (grey[:, :, :1], grey),
        (DEEP, deep),
    ):
        assert np.array_equal(pixels_of(array), by_file)
        tensor = torch.from_numpy(np.ascontiguousarray(array if array.ndim == 2 else array.transpose(2, 0, 1)))
        assert np.array_equal(pixels_of(tensor), by_file)
    black = np.array([[True, False], [False, True]])
    assert pixels_of(black)[:, :, 0].tolist() == [[255, 0], [0, 255]]
    told: list[str] = []
    encode("toy", [colours.astype(np.float64), colours * 1.0], noted=told.append)
    assert told == ["item 0, item 1: its floats go beyond 1: they were taken as 0 to 255"]
    kept = as_media(Media("image", array=grey[:, :, 0]))
    assert kept.array is not None and np.array_equal(kept.array, grey)


def test_open_files_and_bytes(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", noise(1.7), RATE)
    Image.fromarray(coloured()).save(tmp_path / "b.jpg")
    (tmp_path / "c.txt").write_text("naïve rain\n" * 300, "utf-8")
    for name in ("a.flac", "b.jpg", "c.txt"):
        path = tmp_path / name
        by_path = rows(encode("toy", path))
        with path.open("rb") as file:
            assert np.array_equal(rows(encode("toy", file)), by_path)
        content = path.read_bytes()
        for given in (io.BytesIO(content), content, bytearray(content), memoryview(content)):
            assert np.array_equal(rows(encode("toy", [given])), by_path)
    with (tmp_path / "c.txt").open(encoding="utf-8") as file:
        assert np.array_equal(rows(encode("toy", file)), by_path)
    assert np.array_equal(rows(encode("toy", io.StringIO("naïve rain\n" * 300))), by_path)


def test_of_a_file_that_holds_several_the_side_that_the_model_has(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom")

    class Seeing(Encoder):
        space = Space("seeing", "w", "p", 2)
        modalities = frozenset({"video"})

        def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.float64]:
            raise NotImplementedError

    assert as_media(path).modality == "audio"
    assert as_media(path, sides=Seeing.modalities).modality == "video"
    assert as_media(path, modality="video").modality == "video"
    assert as_media(path.read_bytes(), sides=Seeing.modalities).modality == "video"
    with pytest.raises(UnsupportedModality, match=r"seeing encodes video, and 'dog' is text"):
        encode(Seeing(), ["dog"])


def test_windows_are_kept_on_request(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", noise(2.5), RATE, subtype="FLOAT")
    items = ["dog", tmp_path / "long.wav", coloured(), noise(1.5)]
    found = encode("toy", items, rate=RATE, windows=True)
    media = [Media.from_text("dog"), Media("audio", path=str(tmp_path / "long.wav")), Media("image", array=coloured()),
             Media("audio", array=noise(1.5), rate=RATE)]  # fmt: skip
    parts = [one for one in encode_stream(embed.load("toy"), media) if isinstance(one, Encoded)]
    parts.sort(key=lambda one: one.index)
    assert np.array_equal(rows(found), np.stack([one.vector for one in parts]))
    assert found.owners is not None and found.owners.tolist() == [0, 1, 1, 1, 2, 3, 3]
    assert found.spans == (None, Span(0, 1), Span(1, 2), Span(1.5, 2.5), None, Span(0, 1), Span(0.5, 1.5))
    assert found.names == ("'dog'", *[str(tmp_path / "long.wav")] * 3, "item 2", "item 3", "item 3")
    whole = rows(encode("toy", items, rate=RATE))
    means = np.stack([found.array[found.owners == owner].mean(axis=0) for owner in range(4)])
    assert np.abs(whole - embed.space.unit(means)).max() < 1e-6
    assert encode("toy", [], windows=True).spans == ()


class Asked(Encoder):
    space = Space("asked", "w", "p", 2)
    modalities = frozenset({"text"})

    def embed_query(self, media: Media) -> Media:
        return media.but(array=np.ones(1))

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.float64]:
        return np.array([[1.0, 0.0] if media.array is None else [0.0, 1.0] for media in batch])


def test_questions_are_told_from_documents() -> None:
    assert rows(encode(Asked(), ["dog"])).tolist() == [[1, 0]]
    assert rows(encode(Asked(), ["dog"], query=True)).tolist() == [[0, 1]]


def test_what_was_dropped_or_guessed_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opposed = np.stack([noise(0.9), -noise(0.9)], axis=1)
    (tmp_path / "a.txt").write_text("dog")
    told: list[str] = []
    items = [opposed] * 5 + ["a.txt"]
    encode("toy", items, rate=RATE, noted=told.append)
    assert told == [
        "item 5: 'a.txt' was taken as a text; pathlib.Path('a.txt') is the file of that name",
        "item 0, item 1, item 2 and 2 more: its channels cancel each other out: channel 1 alone was taken",
    ]
    with pytest.warns(UserWarning) as caught:
        encode("toy", items, rate=RATE)
    assert [str(one.message) for one in caught] == told
    assert {one.filename for one in caught} == {__file__}
    (tmp_path / "words.txt").write_text("dog 1 2\ncat 2 1\n")
    heard: list[str] = []
    encode(f"words:{tmp_path / 'words.txt'}", ["dog zzqx", "cat", "dog qqz"], noted=heard.append)
    assert heard == [f"zzqx and qqz are in no vocabulary of words:{tmp_path / 'words.txt'} and add no meaning"]


def test_progress_and_how_it_is_stopped() -> None:
    heard: list[tuple[int, int | None]] = []
    encode("toy", ["a", "b", "c"], progress=lambda done, total: heard.append((done, total)))
    assert heard == [(1, 3), (2, 3), (3, 3)]
    heard.clear()
    encode("toy", iter("ab"), progress=lambda done, total: heard.append((done, total)))
    assert heard == [(1, None), (2, None)]

    class Stops(Listener):
        done = 0

        def phase(self, name: str, total: int | None, seconds: float = 0.0) -> None:
            assert (name, total) == ("encoding", 5)

        def advance(self, count: int = 1, seconds: float = 0.0) -> None:
            self.done += count
            if self.done == 2:
                self.cancel()

    with pytest.raises(Cancelled):
        encode("toy", list("abcde"), progress=Stops(), batch_size=1)


REFUSED: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (3, {}, UsageError, "an int cannot be encoded: what can is a text"),
    (None, {}, UsageError, "None cannot be encoded"),
    (2.5, {}, UsageError, "a float cannot"),
    (object(), {}, UsageError, "an object cannot"),
    (Path, {}, UsageError, "the class Path cannot be encoded"),
    ([["a"], ["b"]], {}, UsageError, "item 0 is a list: give one flat list"),
    (["a", None], {}, UsageError, "item 1 is None"),
    (["a", ("b",)], {}, UsageError, "item 1 is a tuple"),
    ([0.1, 0.2], {}, UsageError, r"item 0 is a number: samples are one array, as np.array\(numbers\), with `rate`"),
    ({"text": "a"}, {}, UsageError, "a dict is no list of items"),
    ([{"text": "a"}], {}, UsageError, "a dict is no list of items"),
    (pa.table({"text": ["a"]}), {}, UsageError, r"of a table one column is encoded, as table\['text'\]"),
    (noise(), {}, UsageError, r"the item, an array of shape \(8000,\), needs the `rate` of its samples in Hz"),
    (np.zeros((48000, 2)), {}, UsageError, "seems to be samples: give their `rate`"),
    (np.zeros((2, 48000)), {"rate": 48000}, MediaError, r"seem to be \(channels, n\): give \(n, channels\)"),
    (np.full(99, np.nan), {"rate": RATE}, MediaError, "the item: holds samples that are not finite"),
    ([noise(), np.full(99, np.inf)], {"rate": RATE}, MediaError, "item 1: holds samples that are not finite"),
    (np.zeros(99, np.int64), {"rate": RATE}, MediaError, "samples of type int64 have no scale"),
    (np.zeros((2, 3, 4)), {"rate": RATE, "modality": "audio"}, MediaError, r"not \(2, 3, 4\)"),
    (np.zeros(0), {"rate": RATE}, MediaError, "holds no samples"),
    (np.array(3.0), {"rate": RATE}, MediaError, r"not \(\)"),
    (np.array([1 + 2j]), {"rate": RATE}, UsageError, "an array of complex128; samples and pictures are of numbers"),
    (np.zeros((3, 20, 30)), {}, MediaError, r"not \(3, 20, 30\): array.transpose\(1, 2, 0\) is"),
    (np.zeros((20, 30, 2)), {}, MediaError, r"\(height, width, 1, 3 or 4\), not \(20, 30, 2\)"),
    (np.zeros((2, 20, 30, 3)), {}, UsageError, r"give several pictures as a list, list\(array\)"),
    (np.zeros((0, 5, 3)), {}, MediaError, "has no pixels"),
    (np.zeros((5, 5), np.int64), {}, MediaError, "uint8, uint16 or floats, not int64"),
    (np.full((5, 5, 3), np.nan), {}, MediaError, "numbers that are not finite"),
    (np.full((5, 5, 3), -1.0), {}, MediaError, "from 0 to 1 or to 255; these go from -1 to -1"),
    (torch.zeros(20, 30, 3), {}, MediaError, r"\(3, height, width\), not \(20, 30, 3\): tensor.permute\(2, 0, 1\) is"),
    (Image.new("RGB", (0, 5)), {}, MediaError, "0 x 5 pixels"),
    ("a", {"rate": 2.5}, UsageError, "`rate` is a whole number of Hz from 50 to 4000000, not 2.5"),
    ("a", {"rate": True}, UsageError, "`rate` is a whole number"),
    ("a", {"modality": "sound"}, UsageError, "`modality` is one of text, audio, image, video, not 'sound'"),
    ("a.wav", {"modality": "audio"}, UsageError, r"a str, which is a text; a file is named by pathlib.Path\('a.wav'\)"),
    (noise(), {"modality": "text", "rate": 9}, UsageError, "`rate` is"),
    (noise(), {"modality": "text"}, UsageError, "an array, which cannot be text: text is given as a list of str"),
    ("a", {"batch_size": 0}, UsageError, "`batch_size` is a whole number above 0, not 0"),
    ("a", {"progress": 3}, UsageError, "`progress` is called with two numbers"),
    (Path("nowhere.wav"), {}, MediaError, "nowhere.wav: no such file"),
    (b"", {}, MediaError, "the item: is empty"),
    (b"\0\1\2", {}, MediaError, "of no kind of file that is known here"),
    (io.BytesIO(b"%PDF-1.7"), {}, MediaError, "of no kind of file"),
    (io.StringIO("a"), {"modality": "image"}, UsageError, 'open it with mode "rb"'),
]  # fmt: skip


@pytest.mark.parametrize(("items", "options", "error", "says"), REFUSED, ids=[one[3][:30] for one in REFUSED])
def test_refused_in_one_line(items: Any, options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        encode("toy", items, **options)
    assert "\n" not in str(caught.value)


def test_vectors_and_closed_files_and_what_is_no_model_are_refused(tmp_path: Path) -> None:
    vectors = encode("toy", ["a", "b"])
    for items in (vectors, ["a", vectors]):
        with pytest.raises(UsageError, match="these are Vectors, encoded already"):
            encode("toy", items)
    (tmp_path / "a.txt").write_text("a")
    with (tmp_path / "a.txt").open() as file:
        pass
    with pytest.raises(UsageError, match="an open file, cannot be read: I/O operation on closed file"):
        encode("toy", file)
    for model, says in (
        (3, "an int does not encode; what does is a name such as"),
        (None, "None does not encode"),
        (("toy", "clip"), "a tuple does not encode"),
        (len, r"len is wrapped first: analogon.wrap\(len, name=..., revision=..., modality=...\)"),
        (torch.nn.Linear(2, 2), "Linear is wrapped first"),
        ({}, "a dict does not encode"),
    ):
        with pytest.raises(UsageError, match=says) as caught:
            encode(model, "a")
        assert "\n" not in str(caught.value)
    with pytest.raises(EncoderError):
        encode("no such family", "a")
    with pytest.raises(UnsupportedModality, match="encodes text, and item 1 is image"):
        encode(Asked(), ["a", coloured()])


def test_a_broken_picture_and_a_failing_generator_are_told_by_name(tmp_path: Path) -> None:
    Image.fromarray(coloured(300, 300)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:9000])
    with pytest.raises(MediaError, match="item 1: a picture in mode RGB that cannot be read"):
        encode("toy", [coloured(), Image.open(tmp_path / "b.png")])

    def failing() -> Iterator[str]:
        yield "a"
        raise RuntimeError("the user's own")

    with pytest.raises(RuntimeError, match="the user's own"):
        encode("toy", failing())
    assert re.match(r"<Vectors \(1, 8\) of toy:8>", repr(encode("toy", "a")))


def test_audio_alone_takes_two_dimensions_for_samples() -> None:
    class Hearing(Encoder):
        space = Space("hearing", "w", "p", 2)
        modalities = frozenset({"audio"})
        audio = AudioInput(RATE)

        def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.float64]:
            return np.ones((len(batch), 2))

    with pytest.raises(UsageError, match="needs the `rate`"):
        encode(Hearing(), noise(channels=2))
    assert encode(Hearing(), noise(channels=2), rate=RATE).shape == (1, 2)

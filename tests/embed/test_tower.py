"""Where networks run: settings, moves, precision, and batches that do not fit."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from embed import Encoder, Media, Space, encode, tower
from embed.errors import EncoderError, UsageError
from embed.models import MODELS, placed
from embed.space import unit
from embed.tower import AUTO, Running, Tower

HERE = Path(__file__).parent


class Double(torch.nn.Module):
    """Rows times a weight; it counts its batches, and fails where one is too large."""

    def __init__(self, most: int = 99, error: type[Exception] = torch.OutOfMemoryError) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3, bias=False)
        torch.nn.init.uniform_(self.linear.weight)
        self.sizes: list[int] = []
        self.most = most
        self.error = error

    def forward(self, rows: torch.Tensor, **_: Any) -> Any:
        self.sizes.append(len(rows))
        if len(rows) > self.most:
            raise self.error("CUDA out of memory. Tried to allocate 2 GiB")
        return type("Given", (), {"rows": self.linear(rows)})


def made(module: Double, running: Running = AUTO) -> Tower:
    return Tower("sound", lambda: module.eval(), where=HERE, running=running, output="rows")


def inputs(count: int = 10) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).random((count, 4), dtype=np.float32)


def forget_devices() -> None:
    tower._fault.cache_clear()


@pytest.fixture(autouse=True)
def fresh() -> Any:
    forget_devices()
    yield
    forget_devices()


@pytest.mark.parametrize("device", ["gpu", "", "cuda:", "cuda:x", "cpu:0", "CUDA", 0])
def test_a_device_that_there_is_not_is_refused(device: Any) -> None:
    with pytest.raises(UsageError, match="`device` can be auto, cpu, cuda, cuda:1, mps, xpu, not "):
        Running(device)


@pytest.mark.parametrize("precision", ["half", "bf16", "", 16])
def test_a_precision_that_there_is_not_is_refused(precision: Any) -> None:
    with pytest.raises(UsageError, match="`precision` can be auto, float32, bfloat16, float16, not "):
        Running(precision=precision)


def test_nothing_of_torch_is_imported_for_the_settings() -> None:
    code = "import sys; from embed.tower import *; Running('cuda', 'float16'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_batch_that_does_not_fit_is_halved_until_it_does_once_for_all() -> None:
    module = Double(most=3)
    sound = made(module)
    with torch.inference_mode():
        wanted = module.linear(torch.from_numpy(inputs())).numpy()
    assert np.array_equal(sound(rows=inputs()), wanted)
    assert module.sizes == [10, 5, 2, 2, 2, 2, 2]
    assert sound.most == 2
    module.sizes.clear()
    assert np.array_equal(sound(rows=inputs(5)), wanted[:5])
    assert module.sizes == [2, 2, 1], "later batches are no larger"
    assert list(sound.notices) == [
        "10 at once do not fit into the memory of cpu; the sound network takes smaller batches from now on"
    ]


def test_what_fails_for_other_reasons_or_alone_is_raised() -> None:
    module = Double(most=0)
    with pytest.raises(torch.OutOfMemoryError):
        made(module)(rows=inputs(4))
    assert module.sizes == [4, 2, 1]
    module = Double(most=3, error=ValueError)
    with pytest.raises(ValueError, match="Tried to allocate"):
        made(module)(rows=inputs(4))
    assert module.sizes == [4]


def test_inputs_of_which_one_is_not_of_the_batch_are_not_divided() -> None:
    module = Double(most=3)
    with pytest.raises(torch.OutOfMemoryError):
        made(module)(rows=inputs(4), frames=inputs(7))
    assert module.sizes == [4]


@pytest.mark.parametrize(("precision", "step"), [("bfloat16", 2.0**-8), ("float16", 2.0**-11)])
def test_rows_are_float32_in_any_precision_and_rounded_in_lower_ones(precision: str, step: float) -> None:
    module = Double()
    exact = made(module, Running("cpu"))(rows=inputs())
    low = made(module, Running("cpu", precision))(rows=inputs())
    assert low.dtype == np.float32
    assert module.linear.weight.dtype == getattr(torch, precision)
    # Positive numbers: weights, inputs and the result are each rounded by half a step at most.
    assert 0 < np.abs(low / exact - 1).max() < 1.6 * step


def test_weights_that_were_rounded_once_give_what_autocast_gives() -> None:
    module = torch.nn.Sequential(
        torch.nn.Conv1d(4, 8, 3), torch.nn.GELU(), torch.nn.Flatten(), torch.nn.LayerNorm(64), torch.nn.Linear(64, 5)
    )
    sounds = torch.randn(6, 4, 10, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        wanted = module(sounds).float().numpy()
    running = Running("cpu", "bfloat16")
    low = Tower("sound", lambda: module, where=HERE, running=running, output=lambda net, given: net(given["sounds"]))
    assert np.array_equal(low(sounds=sounds.numpy()), wanted)
    assert module[4].weight.dtype == torch.bfloat16
    assert module[3].weight.dtype == torch.float32


def test_numbers_beyond_float16_are_told_once_with_the_way_out() -> None:
    module = Double()
    with torch.no_grad():
        module.linear.weight.mul_(60000)
    sound = made(module, Running("cpu", "float16"))
    assert np.isinf(sound(rows=inputs())).any()
    sound(rows=inputs())
    assert list(sound.notices) == [
        "the sound network goes beyond what float16 can hold; take `precision=bfloat16`, or float32"
    ]
    assert np.isfinite(made(Double(), Running("cpu", "bfloat16"))(rows=60000 * inputs())).all()


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "MPS backend out of memory (MPS allocated: 8.00 GB)",
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to",
    ],
)
def test_every_device_s_own_words_for_too_little_memory_halve_a_batch(text: str) -> None:
    class Short(Double):
        def forward(self, rows: torch.Tensor, **_: Any) -> Any:
            if len(rows) > 5:
                raise RuntimeError(text)
            return super().forward(rows)

    sound = made(Short())
    assert len(sound(rows=inputs())) == 10
    assert sound.most == 5


class Lengths(Encoder):
    """A text's length, and three ones, through a network that takes three texts at once."""

    modalities = frozenset({"text"})
    batch_size = 8
    space = Space("lengths", "none", "none", 3)

    def __init__(self) -> None:
        self.towers = {"text": made(Double(most=3))}

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.float32]:
        rows = np.ones((len(batch), 4), dtype=np.float32)
        rows[:, 0] = [len(media.text or "") for media in batch]
        return self.towers["text"](rows=rows)


def test_that_batches_had_to_shrink_is_told_once_beside_the_vectors() -> None:
    told: list[str] = []
    encoder = Lengths()
    media = [Media.from_text("a" * length) for length in range(1, 20)]
    vectors = encode(encoder, media, noted=told.append).array
    weight = encoder.towers["text"].module.linear.weight.detach().numpy()
    wanted = np.stack([weight @ [length, 1, 1, 1] for length in range(1, 20)])
    assert np.abs(vectors - unit(wanted)).max() < 1e-6
    encode(encoder, media, noted=told.append)
    assert told == ["8 at once do not fit into the memory of cpu; the sound network takes smaller batches from now on"]


def test_the_module_is_built_once_when_it_is_needed_and_moved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device that is none: what would be sent to it is counted, and stays here."""
    moved: list[str] = []
    built: list[int] = []
    here = torch.Tensor.to
    monkeypatch.setattr(tower, "_fault", lambda name: None)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(
        torch.Tensor, "to", lambda t, *to, **how: moved.append(str(to[0])) or t if how else here(t, *to)
    )
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, device: moved.append(f"module {device}") or module)

    def build() -> Double:
        built.append(1)
        return Double().eval()

    sound = Tower("sound", build, where=HERE, running=Running("cuda:1"), output="rows")
    assert not sound.loaded
    assert not built
    sound(rows=inputs())
    sound(rows=inputs(), more=torch.ones(10))
    assert sound.loaded
    assert built == [1]
    assert moved == ["module cuda:1", "cuda:1", "cuda:1", "cuda:1"]


def test_auto_takes_a_gpu_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tower, "_fault", lambda name: None if name == "mps" else tower.NONE)
    assert AUTO.place() == (torch.device("mps"), None)


def test_auto_takes_the_cpu_where_there_is_no_gpu() -> None:
    if torch.cuda.is_available() or torch.backends.mps.is_available() or torch.xpu.is_available():
        pytest.skip("here is one")
    assert AUTO.place() == (torch.device("cpu"), None)
    with pytest.raises(EncoderError, match="the device cuda cannot be used: there is none here; take `device=cpu`"):
        Running("cuda").place()


def test_a_gpu_that_is_broken_is_told_and_the_cpu_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> bool:
        raise RuntimeError("CUDA error: no kernel image is available\nfor execution on the device")

    monkeypatch.setattr(torch.cuda, "is_available", broken)
    sound = made(Double())
    sound(rows=inputs())
    sound(rows=inputs())
    assert sound.device.type == "cpu"
    assert list(sound.notices) == [
        "the GPU cannot be used (cuda: CUDA error: no kernel image is available for execution on the device); "
        "the CPU is used instead"
    ]
    with pytest.raises(EncoderError, match="the device cuda cannot be used: CUDA error: no kernel image"):
        Running("cuda").place()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("CUDA initialization: The NVIDIA driver on your system is too old (found version 9000)", True),
        ("CUDA initialization: Found no NVIDIA driver on your system", False),
    ],
)
def test_a_driver_that_is_too_old_is_told_and_none_is_not(
    monkeypatch: pytest.MonkeyPatch, said: str, told: bool
) -> None:
    def absent() -> bool:
        warnings.warn(said, stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", absent)
    device, broken = AUTO.place()
    assert device.type == "cpu"
    assert (broken is not None) == told
    assert not told or "too old" in str(broken)


def test_a_card_that_there_is_not_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(EncoderError, match="the device cuda:7 cannot be used: the last of 2 is cuda:1"):
        Running("cuda:7").place()


def test_what_is_asked_for_now_goes_before_the_table_and_the_table_before_what_is_usual(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MODELS, "usual", lambda: {"device": "cuda", "precision": "float16"})
    table = {"family": "clap", "model": "m", "device": "cpu"}
    assert placed(table) == table | {"precision": "float16"}
    assert placed(table, "bfloat16") == table | {"precision": "bfloat16"}
    assert placed(table | {"precision": "auto"}) == table | {"precision": "float16"}
    assert placed({"family": "toy"}) == {"family": "toy"}
    monkeypatch.setattr(MODELS, "asked", {"device": "mps"})
    assert placed(table, "bfloat16") == table | {"device": "mps", "precision": "bfloat16"}
    assert MODELS.heeded == {"device"}
    MODELS.heeded.clear()

"""One network of a checkpoint, numpy in and numpy out: the one place that knows devices and precisions.

An encoder has a tower for each network that it runs by itself: texts, sounds, pictures. It hands over arrays and gets
float32 rows, wherever and however the network runs. torch is imported when the first tower is needed, not before.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.errors import EncoderError, UsageError, one_line
from embed.exported import CACHE, FEW, OPSET, Exported, key_of, versions
from embed.faults import out_of_memory

if TYPE_CHECKING:
    import torch

__all__ = ["AUTO", "DEVICES", "PRECISIONS", "Running", "Tower"]

DEVICES: Final = ("auto", "cpu", "cuda", "cuda:1", "mps", "xpu")
PRECISIONS: Final = ("auto", "float32", "bfloat16", "float16")
GPUS: Final = ("cuda", "mps", "xpu")  # what auto tries, in this order
GPU_FILES: Final = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd", "/dev/dri")

Output = Callable[[Any, dict[str, Any]], "torch.Tensor"]


@dataclass(frozen=True)
class Running:
    """Where networks run and how precisely.

    ``device`` is "cpu", "cuda", "cuda:1" (the second card), "mps", "xpu", or "auto": a GPU where one works, else the
    CPU. One process uses one device. ``precision`` is "float32", "bfloat16" or "float16", or "auto", which is float32
    on every device: vectors of lower precision are near those of float32, but not the same, so it is never chosen
    unasked. Lower precision is autocast: matrix products and convolutions are rounded, sums and norms are not.
    It pays on GPUs, and on CPUs with bf16 instructions (about three times the items a second); on other CPUs it costs.

    Nothing is imported and no device is looked at before ``place`` is asked for. Raises ``UsageError`` for any other
    word.
    """

    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.device, str) or not re.fullmatch(r"auto|cpu|mps|(cuda|xpu)(:\d+)?", self.device):
            raise UsageError(f"`device` can be {', '.join(DEVICES)}, not {self.device!r}")
        if self.precision not in PRECISIONS:
            raise UsageError(f"`precision` can be {', '.join(PRECISIONS)}, not {self.precision!r}")

    @property
    def exactly(self) -> str:
        """The precision that is meant: "auto" is "float32"."""
        return "float32" if self.precision == "auto" else self.precision

    def place(self) -> tuple[torch.device, str | None]:
        """The device, and why it is not the one that is there, in one line, where "auto" met a GPU that is broken.

        Imports torch; each device is tried once a process. Raises ``EncoderError`` where a device that was asked for by
        name does not work.
        """
        import torch

        if self.device == "cpu":
            return torch.device("cpu"), None
        if self.device != "auto":
            if (fault := _fault(self.device)) is not None:
                why = "there is none here" if fault == NONE else fault
                raise EncoderError(f"the device {self.device} cannot be used: {why}; take `device=cpu`, or auto")
            return torch.device(self.device), None
        broken = None
        for name in GPUS:
            fault = _fault(name)
            if fault is None:
                return torch.device(name), broken
            if fault != NONE and broken is None:
                broken = f"the GPU cannot be used ({name}: {fault}); the CPU is used instead"
        return torch.device("cpu"), broken


AUTO: Final = Running()


@cache
def _may_have_gpu() -> bool:
    """Whether there may be a GPU that torch could use, as far as can be told without importing it."""
    if versions("torch")["torch"].endswith("+cpu"):
        return False
    return not sys.platform.startswith("linux") or any(Path(path).exists() for path in GPU_FILES)


NONE: Final = "none"


@cache
def _fault(name: str) -> str | None:
    """None where a device computes; ``NONE`` where there is no such device; else what is wrong with it, in a line."""
    import torch

    kind, _, number = name.partition(":")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            backend = torch.backends.mps if kind == "mps" else getattr(torch, kind)
            there = backend.is_available()
            if there and number and int(number) >= backend.device_count():
                count = backend.device_count()
                return f"the last of {count} is {kind}:{count - 1}" if count > 1 else f"there is only {kind}:0"
            if there:
                ones = torch.ones(8, 8, device=name)
                return None if bool((ones @ ones == 8).all()) else "it computes wrongly"
        except Exception as error:
            return one_line(error)
    # A card whose driver is too old is told in a warning alone; that there is no driver is no fault.
    said = [one_line(one.message) for one in told if isinstance(one.message, UserWarning)]
    return next((text for text in said if not re.search("no nvidia driver", text, re.I)), NONE)


class Tower:
    """One network: called with named arrays whose first axis is the batch, it gives float32 ``(n, dim)``.

    ``build`` makes the torch module, in eval mode and float32, when it is first needed; it is moved to the device once.
    ``output`` makes the rows of the module and its inputs (tensors on the device, by name), or names the field of what
    the module gives. ``where`` is the folder or file of the weights. Not for two threads at once.

    A batch that does not fit into memory is halved until it does, and later ones are no larger.

    ``exports`` says that all it does is in the files under ``where``, the code of ``build``, and its inputs: then
    ``embed.export`` may keep it as an ONNX file, which is run in float32 on a CPU in place of the module.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[], Any],
        *,
        where: Path,
        running: Running,
        output: str | Output,
        exports: bool = False,
    ) -> None:
        self.name = name
        self.exports = exports
        self.build = build
        self.where = where
        self.running = running
        self._note: Callable[[Mapping[str, Any], npt.NDArray[np.float32]], None] | None = None
        self.most: int | None = None
        """The largest batch that fits into memory, once a larger one did not."""
        self.notices: deque[str] = deque()
        """What a person should be told about how it runs and was not told yet, one line each."""
        self._output = output
        self._overflowed = False

    def __call__(self, **inputs: npt.NDArray[Any] | torch.Tensor) -> npt.NDArray[np.float32]:
        """Rows of a batch of arrays or tensors: float32 ``(n, dim)``, on the CPU.

        Raises what the network raises, and what the device raises where even one row does not fit into its memory.
        """
        count = len(next(iter(inputs.values())))
        divisible = all(len(one) == count for one in inputs.values())
        rows: list[npt.NDArray[np.float32]] = []
        start = 0
        while start < count:
            size = min(count - start, (self.most if divisible else None) or count)
            part = inputs if size == count else {name: one[start : start + size] for name, one in inputs.items()}
            try:
                rows.append(self._run(part))
                start += size
                continue
            except Exception as error:
                if size == 1 or not divisible or not out_of_memory(error):
                    raise
            # Outside of the handler, since the exception holds all that the failed batch had made.
            self._halve(size)
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

    def output(self, module: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """What the module makes of tensors that lie beside it: floats ``(n, dim)`` of whatever precision."""
        if callable(self._output):
            return self._output(module, inputs)
        found: torch.Tensor = getattr(module(**inputs), self._output)
        return found

    @property
    def loaded(self) -> bool:
        """Whether the module's weights are in memory."""
        return "module" in vars(self)

    @cached_property
    def module(self) -> Any:
        """The torch module, on its device."""
        return self.placed(self.build())

    @cached_property
    def device(self) -> torch.device:
        """Where it runs; finds out on first use, which imports torch."""
        device, broken = self.running.place()
        if broken is not None:
            self.notices.append(broken)
        return device

    def placed(self, module: Any) -> Any:
        """A module, or a part that is to be added to it, moved to the device, its large weights in the precision."""
        import torch

        if self.device.type != "cpu":
            module = module.to(self.device)
        if self.running.exactly != "float32":
            low = getattr(torch, self.running.exactly)
            for one in module.modules():
                # Autocast would round these at every call, for the same result.
                if type(one) in (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d):
                    one.to(low)
        return module

    @cached_property
    def key(self) -> str | None:
        """What stands for it in ``embed.exported.CACHE``; None where it is not for that. Hashes its files."""
        if not self.exports:
            return None
        code = f"{getattr(self.build, '__module__', '')}.{getattr(self.build, '__qualname__', '')}"
        return key_of("network", hub.weights_hash(self.where), code, self.name, OPSET)

    @property
    def may_run_exported(self) -> bool:
        """Whether an ONNX file could stand in for the module with the device and precision that are asked for."""
        return self.exports and self.running.exactly == "float32" and self.running.device in ("auto", "cpu")

    @cached_property
    def exported(self) -> Exported | None:
        """Its ONNX file, where there is one and it is to be used; looked for once."""
        try:
            eager = CACHE.runtime() == "eager"
        except UsageError as error:
            raise EncoderError(str(error)) from None  # no part's fault: none can be encoded
        if eager or not self.may_run_exported or self.key is None:
            return None
        entry = CACHE.find(self.key)
        return None if entry is None or entry.failed is not None else Exported(entry)

    def look_again(self) -> None:
        """Look for its ONNX file at the next call: there may be one now. The module goes where it stands in for it."""
        vars(self).pop("exported", None)
        if self.exported is not None and not self.on_gpu:
            vars(self).pop("module", None)

    def on_cpu(self) -> Any:
        """The module on the CPU in float32, whatever it runs on; another one where that is another place."""
        if self.device.type == "cpu" and self.running.exactly == "float32":
            return self.module
        return self.build()

    @contextmanager
    def watched(self, note: Callable[[Mapping[str, Any], npt.NDArray[np.float32]], None]) -> Iterator[None]:
        """Meanwhile batches go through torch, and ``note`` is told of the inputs and rows of each."""
        self._note = note
        try:
            yield
        finally:
            self._note = None

    def _run(self, inputs: Mapping[str, npt.NDArray[Any] | torch.Tensor]) -> npt.NDArray[np.float32]:
        """One batch that is hoped to fit."""
        if self._note is not None:
            rows = self._eager(inputs)
            self._note(inputs, rows)
            return rows
        exported = self.exported
        # A few rows are not worth the way to a GPU, or even the import of torch.
        few = len(next(iter(inputs.values()))) <= FEW and not self.loaded
        if exported is None or (not few and self.on_gpu):
            return self._eager(inputs)
        try:
            return exported(**inputs)
        except Exception as error:
            if out_of_memory(error):
                raise
            self.notices.append(
                f"the {self.name} network runs with torch, since its ONNX file cannot be used: {one_line(error)}"
            )
            vars(self)["exported"] = None
            if isinstance(error, EncoderError):
                CACHE.drop(exported.entry)
        return self._eager(inputs)

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU runs the module; imports torch only where there may be one."""
        return self.running.device != "cpu" and _may_have_gpu() and self.device.type != "cpu"

    def _eager(self, inputs: Mapping[str, npt.NDArray[Any] | torch.Tensor]) -> npt.NDArray[np.float32]:
        import torch

        module = self.module
        with torch.inference_mode(), self._precisely():
            rows = self.output(module, {name: self._moved(one) for name, one in inputs.items()})
            found: npt.NDArray[np.float32] = rows.float().cpu().numpy()
        if self.running.exactly == "float16" and not self._overflowed and not np.isfinite(found).all():
            self._overflowed = True
            self.notices.append(
                f"the {self.name} network goes beyond what float16 can hold; take `precision=bfloat16`, or float32"
            )
        return found

    def _moved(self, array: npt.NDArray[Any] | torch.Tensor) -> torch.Tensor:
        import torch

        tensor = array if isinstance(array, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(array))
        if tensor.device == self.device or self.device.type == "cpu":
            return tensor
        if self.device.type == "cuda" and tensor.device.type == "cpu":
            tensor = tensor.pin_memory()  # so that the copy goes on while the next thing is done here
        return tensor.to(self.device, non_blocking=self.device.type == "cuda")

    def _precisely(self) -> AbstractContextManager[Any]:
        import torch

        if self.running.exactly != "float32":
            return torch.autocast(self.device.type, getattr(torch, self.running.exactly))
        if self.device.type == "cuda":  # convolutions would be rounded to 10 bits otherwise
            return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        return nullcontext()

    def _halve(self, size: int) -> None:
        """Remember that a batch of ``size`` does not fit; what it took is given back to the device."""
        import torch

        if self.most is None:
            self.notices.append(
                f"{size} at once do not fit into the memory of {self.device}; the {self.name} network takes smaller "
                f"batches from now on"
            )
        self.most = size // 2
        if self.device.type != "cpu":
            getattr(torch, self.device.type).empty_cache()

"""What the builders of tiny checkpoints share: weights that tell inputs apart, and a tokenizer made on the spot."""

from __future__ import annotations

from typing import Any

VOCABULARY = """
    a the of on in dog cat barking barks rain tin roof engine idling siren bell piano guitar violin crowd wind photo
    picture sound music red blue green small large old young man woman king queen sea waves crying baby door footsteps
""".split()  # noqa: SIM905


def scatter(model: Any, seed: int = 0, gain: float = 1.0) -> Any:
    """Draw every weight of a torch module again, wide enough that different inputs get clearly different vectors.

    The customary initial weights (deviation 0.02) would make a tiny model answer nearly the same to everything, and
    a test that rows do not depend on their batch could not fail.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if weight.ndim >= 2:
                fan_in = weight.shape[-1] if "embed" in name else weight[0].numel()
                weight.copy_(torch.randn(weight.shape, generator=generator) * gain / fan_in**0.5)
            elif name.endswith("bias"):
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    return model.eval()

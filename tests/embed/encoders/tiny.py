"""What the builders of tiny checkpoints share: weights that tell inputs apart, and a tokenizer made on the spot."""

from __future__ import annotations

from typing import Any

VOCABULARY = """
    a the of on in dog cat barking barks rain tin roof engine idling siren bell piano guitar violin crowd wind photo
    picture sound music red blue green small large old young man woman king queen sea waves crying baby door footsteps
""".split()  # noqa: SIM905


WIDTH = 1.0
"""What every draw of ``scatter`` is multiplied with: less than 1 makes models that rounding moves as little as it moves
trained ones, whose attention is no matter of one position."""


def scatter(model: Any, seed: int = 0, gain: float = 1.0) -> Any:
    """Draw every weight of a torch module again, wide enough that different inputs get clearly different vectors.

    The customary initial weights (deviation 0.02) would make a tiny model answer nearly the same to everything, and
    a test that rows do not depend on their batch could not fail.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    gain *= WIDTH
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if weight.ndim >= 2:
                fan_in = weight.shape[-1] if "embed" in name else weight[0].numel()
                weight.copy_(torch.randn(weight.shape, generator=generator) * gain / fan_in**0.5)
            elif name.endswith("bias"):
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    return model.eval()


def byte_level_bpe(model_max_length: int = 64) -> Any:
    """A RoBERTa tokenizer over bytes and the words of ``VOCABULARY``: <s> 0, <pad> 1, </s> 2."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import RobertaTokenizer

    vocabulary = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])}
    vocabulary |= {byte: i for i, byte in enumerate(sorted(ByteLevel.alphabet()), len(vocabulary))}
    merges = whole_words(vocabulary, start="Ġ")
    return RobertaTokenizer(vocab=vocabulary, merges=merges, model_max_length=model_max_length)


def whole_words(vocabulary: dict[str, int], start: str = "", end: str = "") -> list[tuple[str, str]]:
    """Merges that make one token of each word of ``VOCABULARY``; what they make is added to ``vocabulary``."""
    merges: dict[tuple[str, str], None] = {}
    for word in VOCABULARY:
        letters = [*start, *word[:-1], word[-1] + end]
        while len(letters) > 1:
            merges[(letters[0], letters[1])] = None
            letters[:2] = ["".join(letters[:2])]
            vocabulary.setdefault(letters[0], len(vocabulary))
    return list(merges)


def clip_bpe(model_max_length: int = 77) -> Any:
    """A CLIP tokenizer over bytes and the words of ``VOCABULARY``; as in real ones the end is the highest number."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*letters, *(letter + "</w>" for letter in letters)])}
    merges = whole_words(vocabulary, end="</w>")
    vocabulary |= {"<|startoftext|>": len(vocabulary), "<|endoftext|>": len(vocabulary) + 1}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=model_max_length)

"""Round a weight file so that it packs smaller: `python -m weights.training.rounding A --out B/gpen-lite-256.safetensors`.

A restorer's half-precision weights have ten bits of mantissa, most of which its pictures do not need: with two in the layers that work
below 64 pixels and five above, restored faces stay within 48 dB of the unrounded file's, and the file compresses to half its size.
Every version of a file stays in the repository's history, so that this is what a clone costs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from weights.training.train_restorer import resolution

_MANTISSA = 10  # bits of half precision
_FINE = 64  # pixels from which a layer counts as fine
_SMALL = 1000  # numbers: biases and the like cost nothing


def round_mantissa(values: Tensor, bits: int) -> Tensor:
    """Half-precision values rounded to the nearest ones with `bits` bits of mantissa, 1 to 9; the same shape and format.

    Raises:
        ValueError: another number of bits.
    """
    if not 1 <= bits < _MANTISSA:
        raise ValueError(f"{bits} bits of mantissa: half precision can be rounded to 1 to {_MANTISSA - 1}")
    kept = _MANTISSA - bits
    raw = values.contiguous().view(torch.int16).to(torch.int32)
    size = ((raw & 0x7FFF) + (1 << (kept - 1))) >> kept << kept
    return torch.where(raw < 0, size - 0x8000, size).to(torch.int16).view(torch.float16)


def round_weights(state: dict[str, Tensor], size: int, coarse: int, fine: int) -> dict[str, Tensor]:
    """All large tensors of a GPEN network with `size` x `size` output, rounded to `coarse` or `fine` bits by where they work."""
    return {
        key: round_mantissa(values, fine if resolution(key, size) >= _FINE else coarse) if values.numel() > _SMALL else values
        for key, values in state.items()
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--coarse", type=int, default=2, help="bits of mantissa below 64 pixels")
    parser.add_argument("--fine", type=int, default=5, help="bits of mantissa from 64 pixels on")
    parser.add_argument("--size", type=int, default=256, help="side of the network's output in pixels")
    options = parser.parse_args()
    rounded = round_weights(dict(load_file(options.file)), options.size, options.coarse, options.fine)
    save_file(rounded, options.out, metadata={"format": "pt", "name": options.out.stem})


if __name__ == "__main__":
    main()

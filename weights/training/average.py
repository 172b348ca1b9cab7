"""Average two weight files of one network: `python -m weights.training.average A B --share 0.6 --out C/gpen-lite-256.safetensors`.

A file and one that was fine-tuned from it can be mixed like paint: what one does well and the other badly comes out in between. The loss
of training steps that jump about also averages out, so that the mixture is often better than its parts.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor


def average(first: Mapping[str, Tensor], second: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """`1 - share` of the first and `share` of the second, each tensor in its own number format; equal tensors stay as they are.

    Raises:
        ValueError: if the two do not hold the same tensors.
    """
    if {k: v.shape for k, v in first.items()} != {k: v.shape for k, v in second.items()}:
        raise ValueError("these are not two files of one network")
    return {k: (v.float() * (1 - share) + second[k].float() * share).to(v.dtype) for k, v in first.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the second file")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    mixed = average(load_file(options.first), load_file(options.second), options.share)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(mixed, options.out, metadata={"format": "pt", "name": options.out.stem})


if __name__ == "__main__":
    main()

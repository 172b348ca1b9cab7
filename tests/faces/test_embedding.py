"""What an embedding network sees of a crop."""

from __future__ import annotations

import numpy as np
import pytest

from gpenvid.faces.align import GPEN
from gpenvid.faces.embedding import FaceEmbedder


class _Watched(FaceEmbedder):
    """Keeps what its network would be given."""

    def __init__(self) -> None:
        """No network."""

    def _forward(self, face: np.ndarray) -> np.ndarray:
        self.seen = face
        return np.ones(32, np.float32)


@pytest.mark.parametrize("size", [256, 512, 2048])
def test_a_larger_crop_is_averaged_and_stays_in_its_place(size: int) -> None:
    embedder, ramp = _Watched(), np.linspace(0, 1, size, dtype=np.float32)
    noise = np.random.default_rng(0).random((size, size), np.float32)
    embedder.embed(np.dstack([noise, np.tile(ramp, (size, 1)), np.tile(ramp[:, None], size)]), GPEN)
    assert embedder.seen[..., 0].std() < 80 / size
    eyes = (embedder.seen[51, [38, 73], 1] + 1) / 2  # where the network expects them
    assert eyes == pytest.approx([GPEN.points[0][0], GPEN.points[1][0]], abs=0.02)

"""High dynamic range to the kind of picture restorers were trained on, and back.

Restorers see standard dynamic range. PQ and HLG signals are mapped by a smooth, strictly increasing function per
channel, so that a change made in SDR has exactly one HDR counterpart, and no change gives no change.

Sources: SMPTE ST 2084 (PQ), ITU-R BT.2100 (HLG), ITU-R BT.2408 (diffuse white at 203 cd/m2).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

PQ, HLG = 16, 18  # AVCOL_TRC_SMPTE2084, AVCOL_TRC_ARIB_STD_B67

_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_WHITE = 203.0  # cd/m2
_HLG_WHITE = 0.265  # linear scene light that BT.2408 places at the diffuse white (75% signal)
_KNEE = 24.0  # brightest light, in diffuse whites, that maps to SDR 1.0


def is_hdr(transfer: int) -> bool:
    """Whether a transfer characteristic (FFmpeg's number) is PQ or HLG."""
    return transfer in (PQ, HLG)


def _pq_to_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    p = signal ** (1 / _M2)
    return np.asarray(10000.0 / _WHITE * (np.maximum(p - _C1, 0) / (_C2 - _C3 * p)) ** (1 / _M1))


def _hlg_to_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = signal**2 / 3, (np.exp((np.maximum(signal, 0.5) - _C) / _A) + _B) / 12
    return np.where(signal <= 0.5, low, high) / _HLG_WHITE


@lru_cache(maxsize=4)
def _curve(transfer: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Signal and SDR value at 4,097 points."""
    signal = np.linspace(0, 1, 4097)
    light = _pq_to_light(signal) if transfer == PQ else _hlg_to_light(signal)
    # Extended Reinhard: diffuse white lands at half the linear range and highlights keep their order.
    compressed = light * (1 + light / _KNEE**2) / (1 + light)
    sdr = np.clip(compressed / (compressed.max() or 1.0), 0, 1) ** (1 / 2.4)
    # A slope of at least 1e-4 keeps the map invertible where both ends are flat.
    sdr = np.maximum.accumulate(sdr) + 1e-4 * signal
    return signal, sdr / sdr[-1]


def to_sdr(signal: NDArray[np.float32], transfer: int) -> NDArray[np.float32]:
    """Map non-linear HDR RGB in [0, 1] to SDR RGB in [0, 1]; other transfers pass unchanged."""
    if not is_hdr(transfer):
        return signal
    x, y = _curve(transfer)
    return np.interp(signal, x, y).astype(np.float32)


def from_sdr(sdr: NDArray[np.float32], transfer: int) -> NDArray[np.float32]:
    """The inverse of `to_sdr`."""
    if not is_hdr(transfer):
        return sdr
    x, y = _curve(transfer)
    return np.interp(sdr, y, x).astype(np.float32)

"""The built-in detector: batched, no download, an eighth of the size of the smallest RetinaFace."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpenvid.faces.align import fit_similarity
from gpenvid.faces.builtin_net import CLOSE_UP, CLOSE_UP_SIDE, OFFSET, DetectorNet, LandmarkNet, cells, decode
from gpenvid.faces.detector import RGBImage
from gpenvid.faces.nms import box_overlap, non_maximum_suppression
from gpenvid.faces.placed import look_again
from gpenvid.geometry import Affine, Face, FloatArray, apply_affine, invert, resize_affine

SURE = 0.45
"""Score from which a face of this detector needs no other evidence."""

_ONE_LOOK = 640  # pixels: longest side up to which one look finds faces of every size
_FILLS = 120  # pixels: faces from this size on are taken from the smaller look too; the network knows faces up to 350
_SAME_FACE = 0.4  # overlap above which two candidates are one face
_DOUBT = 3  # power of each look's belief in the score: faces have 0.99 and more, leaves and clothes 0.9 to 0.98
_AVERAGED = 0.6  # overlap above which a candidate adds its opinion to the best one's box and landmarks


def merge_candidates(boxes: NDArray[np.float32], scores: NDArray[np.float32], landmarks: NDArray[np.float32]) -> list[Face]:
    """One face per group of overlapping candidates, best score first.

    Box and landmarks are the score-weighted mean over the close candidates: neighbouring cells err independently, so their
    mean jitters less from frame to frame than the single best cell.

    Args:
        boxes: (N, 4) pixels.
        scores: (N,) in [0, 1].
        landmarks: (N, 5, 2) pixels.
    """
    faces: list[Face] = []
    order = np.argsort(-scores, kind="stable")
    while order.size:
        overlap = box_overlap(boxes[order[:1]], boxes[order])[0]
        close = order[overlap >= _AVERAGED]
        weight = scores[close] / scores[close].sum()
        box = np.einsum("n,ni->i", weight, boxes[close])
        points = np.einsum("n,nij->ij", weight, landmarks[close])
        faces.append(Face(box.astype(np.float32), float(scores[order[0]]), points.astype(np.float32)))
        order = order[overlap <= _SAME_FACE]
    return faces


def one_of_each(faces: Sequence[Face]) -> list[Face]:
    """Faces found in several looks at one picture, each once, best score first."""
    if not faces:
        return []
    boxes, scores = np.stack([f.box for f in faces]).astype(np.float32), np.array([f.score for f in faces], np.float32)
    return [faces[k] for k in non_maximum_suppression(boxes, scores, _SAME_FACE)]


def close_up(image: RGBImage, landmarks: FloatArray) -> tuple[RGBImage, Affine]:
    """The face at `landmarks` upright in a `CLOSE_UP_SIDE` square, and the map from the picture into it.

    A large face is shrunk by area first, or it aliases into detail that the network never learned.
    """
    matrix = fit_similarity(landmarks, CLOSE_UP)
    corners = apply_affine(invert(matrix), np.array([[0, 0], [64, 0], [0, 64], [64, 64]], float))
    height, width = image.shape[:2]
    x0, y0 = np.clip(np.floor(corners.min(axis=0)) - 2, 0, (width - 2, height - 2)).astype(int)
    x1, y1 = np.clip(np.ceil(corners.max(axis=0)) + 3, (x0 + 2, y0 + 2), (width, height)).astype(int)
    region = image[y0:y1, x0:x1]
    local = matrix.copy()
    local[:, 2] += matrix[:, :2] @ (x0, y0)
    factor = int(1 / max(float(np.hypot(*matrix[:, 0])), 1e-3))
    if factor >= 2:
        size = (max(1, region.shape[1] // factor), max(1, region.shape[0] // factor))
        ratio = np.array([region.shape[1] / size[0], region.shape[0] / size[1]])
        region = np.asarray(cv2.resize(region, size, interpolation=cv2.INTER_AREA), np.uint8)
        local[:, 2] += local[:, :2] @ ((ratio - 1) / 2)
        local[:, :2] *= ratio
    side = (CLOSE_UP_SIDE, CLOSE_UP_SIDE)
    return np.asarray(cv2.warpAffine(region, local, side, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8), matrix


class BuiltinLook:
    """The second network by itself: see `CloseLook`.

    Args:
        net: in evaluation mode.
        device: where it runs.
    """

    def __init__(self, net: LandmarkNet, device: torch.device) -> None:
        self._net = net.to(device)
        self._device = device

    @torch.inference_mode()
    def look(self, images: Sequence[RGBImage], landmarks: Sequence[FloatArray]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `CloseLook.look`. Half a millisecond a face on one core."""
        if not len(images):
            return np.zeros((0, 5, 2)), np.zeros(0)
        crops, matrices = zip(*(close_up(i, p) for i, p in zip(images, landmarks, strict=True)), strict=True)
        x = (torch.from_numpy(np.stack(crops)).to(self._device).permute(0, 3, 1, 2).float() - 127.5) / 64.0
        seen = self._net(x).cpu()
        offsets = seen[:, :10].reshape(-1, 5, 2).numpy() * OFFSET
        placed = np.stack([apply_affine(invert(m), CLOSE_UP + o) for m, o in zip(matrices, offsets, strict=True)])
        return placed, torch.sigmoid(seen[:, 10]).double().numpy()


class BuiltinDetector:
    """Detector over the built-in network.

    Args:
        net: the network, in evaluation mode.
        threshold: least score in [0, 1] of a face that is reported. By default well below `sure`: weak faces continue tracks.
        device: where the network runs.
    """

    def __init__(self, net: DetectorNet, *, threshold: float = 0.35, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        self.net = net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.threshold = threshold
        self.close_look = None if net.refine is None else BuiltinLook(net.refine, self.device)

    @property
    def name(self) -> str:
        """`builtin`."""
        return "builtin"

    @property
    def sure(self) -> float:
        """See `Detector.sure`."""
        return SURE

    @torch.inference_mode()
    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        """Find faces in pictures of one size; see `Detector.detect`.

        Pictures of more than 640 pixels are looked at in half their size as well, and so on, for faces larger than the network knows.
        """
        if not images:
            return []
        found = self._detect_at_this_size(images)
        height, width = images[0].shape[:2]
        if max(height, width) <= _ONE_LOOK:
            return found
        half = (max(1, width // 2), max(1, height // 2))
        halves = [np.asarray(cv2.resize(i, half, interpolation=cv2.INTER_AREA), np.uint8) for i in images]
        back = resize_affine(width / half[0], height / half[1])
        return [
            one_of_each([*here, *(f.transformed(back) for f in there if f.box[2] - f.box[0] >= _FILLS)])
            for here, there in zip(found, self.detect(halves), strict=True)
        ]

    def _detect_at_this_size(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        batch = torch.from_numpy(np.stack(images)).to(self.device)
        x = (batch.permute(0, 3, 1, 2).float() - 127.5) / 64.0
        where = cells(images[0].shape[0], images[0].shape[1]).to(self.device)
        found = [self._decode(raw, where) for raw in self.net(x)]
        if self.close_look is None:
            return found
        return [self._look_again(self.close_look, image, faces) for image, faces in zip(images, found, strict=True)]

    def _look_again(self, closely: BuiltinLook, image: RGBImage, faces: list[Face]) -> list[Face]:
        seen = [
            Face(p.face.box, p.face.score * p.belief**_DOUBT, p.landmarks.astype(np.float32)) for p in look_again(closely, image, faces)
        ]
        return sorted((face for face in seen if face.score > self.threshold), key=lambda face: -face.score)

    def _decode(self, raw: Tensor, where: Tensor) -> list[Face]:
        chosen = torch.nonzero(torch.sigmoid(raw[:, 0]) > self.threshold)[:, 0]
        logits, boxes, landmarks = decode(raw[chosen], where[chosen])
        return merge_candidates(boxes.cpu().numpy(), torch.sigmoid(logits).cpu().numpy(), landmarks.cpu().numpy())

"""What an encoder is told: quality, speed, and what makes its bytes the same at every run."""

from __future__ import annotations

import cv2

from gpenvid.errors import UsageError
from gpenvid.media.encoders import DEFAULT_CRF, EncoderRequest
from gpenvid.media.layout import layout_of
from gpenvid.media.probe import VideoInfo

_AVX_512F = 13  # CV_CPU_AVX_512F, which OpenCV's Python module does not name
_MOST_CRF = {"libsvtav1": 63, "libvpx-vp9": 63}  # of others 51
_SPEEDS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
_PRESETS = {
    "libx264": _SPEEDS,
    "libx264rgb": _SPEEDS,
    "libx265": _SPEEDS,
    "libsvtav1": tuple(map(str, range(14))),
    "libvpx-vp9": tuple(map(str, range(9))),
    "prores_ks": ("proxy", "lt", "standard", "hq", "4444", "4444xq"),
    "dnxhd": ("dnxhr_lb", "dnxhr_sq", "dnxhr_hq", "dnxhr_hqx", "dnxhr_444"),
}
"""What `--preset` may say; what NVENC takes differs between its versions."""


def options_for(encoder: str, pixel_format: str, request: EncoderRequest, info: VideoInfo, *, interlaced: bool) -> dict[str, str]:
    """FFmpeg's options of an encoder.

    Raises:
        UsageError: if the quality is out of its range, or the preset is none of this encoder's.
    """
    if request.preset is not None and request.preset not in (known := _PRESETS.get(encoder, (request.preset,))):
        raise UsageError(f"--preset {request.preset} is none of {encoder}'s", f"choose one of {', '.join(known)}")
    options: dict[str, str] = {}
    crf = request.crf if request.crf is not None else DEFAULT_CRF.get(encoder)
    if crf is not None and crf > (most := _MOST_CRF.get(encoder, 51)):
        raise UsageError(f"--crf {crf:g} is out of range for {encoder}", f"choose 0 (best) to {most}")
    if encoder in ("libx264", "libx264rgb", "libx265"):
        options |= {"crf": f"{crf:g}", "preset": request.preset or "medium"}
    parameters: list[str] = []
    if encoder in ("libx264", "libx264rgb"):
        # How many threads there are changes the bytes, and a render may go on under another number of cores. Four cost 1% in
        # size on film with grain and up to 10% on a still, clean picture against the three that two cores would choose.
        options["threads"] = "4"
        if cv2.checkHardwareSupport(_AVX_512F):
            # With AVX-512, macroblock tree rate control gives other bytes at every run (five of five differed); with AVX2 none
            # of five did, at the same speed and size. Leaving the tree out instead costs 50% in size on a still picture.
            parameters.append("asm=avx2")
    if encoder == "libx265":
        options["a53cc"] = "1"  # closed captions; x264 writes them unasked
        # Pool and frame threads change the bytes too.
        parameters += ["log-level=error", "pools=4", "frame-threads=2"]
        parameters += info.mastering.x265_parameters() if info.mastering else []
    if encoder == "libsvtav1":
        options |= {"crf": f"{crf:g}", "preset": request.preset or "8"}
    if encoder == "libvpx-vp9":
        options |= {"crf": f"{crf:g}", "b": "0", "row-mt": "1", "deadline": "good", "cpu-used": request.preset or "4"}
    if encoder == "ffv1":
        options |= {"level": "3", "g": "1", "slicecrc": "1"}  # without slices FFmpeg takes the first number that the size allows
    if encoder == "png":
        options["pred"] = "mixed"
    if encoder == "prores_ks":
        options["profile"] = request.preset or ("4444" if "444" in pixel_format else "hq")
    if encoder == "dnxhd":
        held = layout_of(pixel_format)
        options["profile"] = request.preset or ("dnxhr_444" if not held.shift_x else "dnxhr_hqx" if held.bits > 8 else "dnxhr_hq")
    if encoder.endswith("_nvenc"):
        options |= {"rc": "vbr", "cq": f"{request.crf if request.crf is not None else 18:g}", "preset": request.preset or "p5"}
    if encoder == "libx264" and interlaced:
        parameters.append("bff=1" if info.field_order == "bottom first" else "tff=1")
    if parameters:
        options["x265-params" if encoder == "libx265" else "x264-params"] = ":".join(parameters)
    return options

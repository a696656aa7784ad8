"""What the simplest script for Real-ESRGAN's compact network does: one loop in which everything waits for its turn.

    python samples/plain_loop.py INPUT OUTPUT WEIGHTS.pth

FFmpeg decodes into a pipe of packed 8-bit RGB; one frame at a time is read, put into the order of its planes and
enlarged by the network in fp32 with PyTorch's own number of threads; NumPy scales and rounds it, and it is written into
the pipe of a second FFmpeg, which encodes. A yardstick for `vsr bench --against`, not a tool: sound, timing, colour
tags and depth are lost.
"""

import subprocess
import sys

import numpy as np
import torch
from torch.nn import functional as F

import vsr
from vsr.media import find_ffmpeg

QUIET = ["-hide_banner", "-nostdin", "-loglevel", "error", "-y"]


def reader(path: str) -> subprocess.Popen:
    raw = ["-map", "0:v:0", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]
    return subprocess.Popen([find_ffmpeg(), *QUIET, "-i", path, *raw], stdout=subprocess.PIPE)


def writer(path: str, width: int, height: int, rate: str) -> subprocess.Popen:
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate, "-i", "pipe:0"]
    coding = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]
    return subprocess.Popen([find_ffmpeg(), *QUIET, *raw, *coding, path], stdin=subprocess.PIPE)


@torch.inference_mode()
def enlarge(model: vsr.Model, picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 → (scale*H, scale*W, 3) uint8."""
    planes = np.ascontiguousarray(np.transpose(picture.astype(np.float32) / 255, (2, 0, 1)))
    x = torch.from_numpy(planes)[None]  # NCHW
    peak, reset = model.spec.value_range, torch.zeros(1, dtype=torch.bool)
    residual, _ = model.network.step(x[:, None] * peak, None, reset)
    base = (
        F.interpolate(x, scale_factor=model.spec.scale, mode="nearest")
        if model.spec.residual == "nearest"
        else 0
    )
    out = (residual[:, 0] / peak + base)[0].clamp(0, 1).numpy()
    return (np.transpose(out, (1, 2, 0)) * 255.0).round().astype(np.uint8)


def main(source: str, target: str, weights: str) -> None:
    model = vsr.load(weights)
    if model.spec.in_channels != 3 or model.spec.residual == "bicubic" or model.spec.context != vsr.Context():
        sys.exit(
            f"{weights}: an RGB network for single frames, such as Real-ESRGAN's compact one, is expected"
        )
    info = vsr.probe(source)
    height, width, scale = info.format.height, info.format.width, model.spec.scale
    rate = str(info.average_rate or 25)
    with reader(source) as decoder, writer(target, width * scale, height * scale, rate) as encoder:
        while len(data := decoder.stdout.read(height * width * 3)) == height * width * 3:
            picture = np.frombuffer(data, np.uint8).reshape(height, width, 3)
            encoder.stdin.write(enlarge(model, picture).tobytes())
    if decoder.returncode or encoder.returncode:
        sys.exit("FFmpeg failed")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python samples/plain_loop.py INPUT OUTPUT WEIGHTS.pth")
    main(*sys.argv[1:])

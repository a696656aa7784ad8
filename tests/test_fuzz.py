"""Damaged files end in a line: no traceback, no signal, no hang, nothing left behind, no gigabyte of memory.

`VSR_FUZZ=20000` makes so many cases, else as many as fit in half a minute; `VSR_FUZZ_SEED` repeats a run, and
`VSR_FUZZ_ONLY` one case of it. What went wrong is printed with both.
"""

import gc
import importlib
import os
import random
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.archives import picture
from support.clips import ClipOptions, run_ffmpeg, write_clip
from support.fuzz import Seed, command, library, try_case
from support.long_jobs import stopped
from support.onnx_files import node, write
from support.onnx_files import weights as onnx_weights
from support.opencv_graphs import graph

from vsr.durable import work_folder
from vsr.live.camera_file import read_options
from vsr.models.files.any_file import read_file
from vsr.models.networks.compact import CompactNet
from vsr.models.networks.edsr import EdsrNet

SECONDS = 25.0
BICUBIC = ("--model", "bicubic", "--threads", "1", "--preset", "ultrafast")

VIDEOS = {
    "a.mp4": ("-c:v", "libx264", "-c:a", "aac"),
    "frag.mp4": ("-c:v", "libx264", "-movflags", "frag_keyframe+empty_moov"),
    "a.mov": ("-c:v", "prores_ks", "-c:a", "pcm_s16le"),
    "a.mkv": ("-c:v", "libx264", "-c:a", "libopus", "-metadata", "title=a"),
    "hevc.mkv": ("-c:v", "libx265", "-x265-params", "log-level=none:hrd=1:vbv-maxrate=90:vbv-bufsize=90"),
    "a.hevc": (
        "-an",
        "-c:v",
        "libx265",
        "-x265-params",
        "log-level=none:hrd=1:vbv-maxrate=90:vbv-bufsize=90",
    ),
    "a.264": ("-an", "-c:v", "libx264"),
    "a.webm": ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-c:a", "libopus"),
    "a.ts": ("-c:v", "libx264", "-c:a", "mp2"),
    "b.ts": ("-c:v", "mpeg2video", "-c:a", "ac3"),
    "a.avi": ("-c:v", "mpeg4", "-c:a", "mp2"),
    "a.flv": ("-c:v", "flv1", "-an"),
    "a.ogv": ("-c:v", "libtheora", "-an"),
    "a.y4m": ("-an",),
    "ffv1.mkv": ("-an", "-c:v", "ffv1"),
}
"""The kinds of video that are read most."""


def videos(folder: Path) -> list[Seed]:
    seeds = []
    for name, arguments in VIDEOS.items():
        sound = ("-f", "lavfi", "-i", "sine=d=0.2")
        run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=48x32:r=25:d=0.2", *sound, *arguments, folder / name)
        seeds += [Seed(folder / name, "", lambda path: command("probe", path))] * 2
        seeds.append(Seed(folder / name, "", enhanced("o.mkv")))
    return seeds


def enhanced(name: str):
    return lambda path: command("enhance", path, "-o", path.with_name(name), *BICUBIC)


def pictures(folder: Path) -> list[Seed]:
    picture(folder / "a.png")
    image = cv2.imread(str(folder / "a.png"))
    cv2.imwrite(str(folder / "deep.png"), image.astype(np.uint16) * 257)
    names = ["a.jpg", "a.webp", "a.tif", "a.bmp"]
    for name in names:
        cv2.imwrite(str(folder / name), image)
    cv2.imwrite(str(folder / "deep.tif"), image.astype(np.uint16) * 257)
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=48x32:r=25:d=0.2", folder / "a.gif")
    return [
        Seed(folder / name, "", enhanced("o.png"))
        for name in ("a.png", "deep.png", "deep.tif", "a.gif", *names)
    ]


def checkpoints(folder: Path) -> list[Seed]:
    torch.manual_seed(0)  # the same files in each run
    net = CompactNet(channels=8, depth=2, scale=2, colors=3).state_dict()
    torch.save(net, folder / "zip.pth")
    torch.save({"params": net}, folder / "old.pth", _use_new_zipfile_serialization=False)
    save_file({key: value.contiguous() for key, value in net.items()}, folder / "compact.safetensors")
    other = EdsrNet(channels=8, depth=1, scale=2, colors=3).state_dict()
    save_file({key: value.contiguous() for key, value in other.items()}, folder / "edsr.safetensors")
    (folder / "net.pb").write_bytes(graph(1)[0])
    kernel = np.random.default_rng(0).normal(0, 0.2, (12, 3, 3, 3)).astype(np.float32)
    nodes = onnx_weights("k", kernel) + node("Conv", ["in", "k"], "c", pads=[1, 1, 1, 1])
    nodes += node("DepthToSpace", ["c"], "out", blocksize=2, mode="CRD")
    write(folder / "net.onnx", nodes, [1, 3, "h", "w"], [1, 3, "H", "W"])
    names = ("zip.pth", "old.pth", "compact.safetensors", "edsr.safetensors", "net.pb", "net.onnx")
    return [Seed(folder / name, "", library(read_file)) for name in names]


CAMERAS = """
model = "bicubic"
[[cameras]]
name = "door"
source = "rtsp://user:secret@192.0.2.1:554/stream"
[[cameras.outputs]]
kind = "rtsp"
target = "rtsp://192.0.2.2:8554/door"
"""


def options(folder: Path) -> list[Seed]:
    write_clip(folder / "clip.mp4", ClipOptions(num_frames=3, size=(32, 48)))
    (folder / "o.toml").write_text(
        'model = "bicubic"\nscale = 2\nencoder = "x264"\nsegment = 20.0\nquality = 70\n'
    )
    (folder / "cameras.toml").write_text(CAMERAS)
    clip = folder / "clip.mp4"
    return [
        Seed(folder / "o.toml", "", lambda path: command("enhance", clip, "--config", path, "--dry-run")),
        Seed(folder / "cameras.toml", "", library(read_options)),
    ]


def memories(folder: Path) -> list[Seed]:
    """What vsr itself writes down and reads again: a long job's journal, an archive's state."""
    job, tapes, out = folder / "job", folder / "tapes", folder / "archive"
    for each in (job, tapes):
        each.mkdir()
    write_clip(job / "a.mp4", ClipOptions(num_frames=60, size=(32, 48), gop=10))
    work = stopped(job / "a.mp4", job / "o.mkv", segments=2)
    picture(tapes / "a.png")
    assert command("batch", tapes, "-o", out, *BICUBIC, "--quiet") == 0
    journal = str(work.relative_to(job) / "journal")

    def go_on(path: Path) -> int:
        return max(
            command("jobs", "list", path), command("enhance", path / "a.mp4", "-o", path / "o.mkv", *BICUBIC)
        )

    assert work == work_folder(job / "o.mkv")
    return [
        Seed(job, journal, go_on),
        Seed(
            out, ".vsr/state.sqlite", lambda path: command("batch", tapes, "-o", path, *BICUBIC, "--dry-run")
        ),
    ]


@pytest.mark.slow
def test_damaged_files_end_in_a_line(tmp_path: Path):
    torch.set_num_threads(1)
    run_seed = int(os.environ.get("VSR_FUZZ_SEED") or random.randrange(1 << 32))
    num, only = int(os.environ.get("VSR_FUZZ") or 0), os.environ.get("VSR_FUZZ_ONLY")
    print(f"VSR_FUZZ_SEED={run_seed}")
    kinds: list[list[Seed]] = []
    for make in (videos, pictures, checkpoints, options, memories):
        folder = tmp_path / make.__name__
        folder.mkdir()
        kinds.append(make(folder))
    importlib.import_module("torch._dynamo")  # reading a network loads it: once, and not in every fork
    gc.freeze()
    end_s, index, wrong = time.monotonic() + SECONDS, 0, list[str]()
    while index < num if num else time.monotonic() < end_s:
        if only is None or index == int(only):
            kind = kinds[index % len(kinds)] if index % 2 else kinds[0]
            seed = random.Random(f"{run_seed} {index}").choice(kind)
            if what := try_case(seed, (run_seed, index), tmp_path):
                wrong.append(f"{seed.path.name}, VSR_FUZZ_SEED={run_seed} VSR_FUZZ_ONLY={index}: {what}")
                print(wrong[-1], flush=True)
        index += 1
        if index % 100 == 0:
            print(f"{index} cases, {len(wrong)} went wrong", flush=True)
    print(f"{index} cases, {len(wrong)} went wrong")
    assert not wrong

"""A server that is killed, at any time, and started again: nothing is lost and nothing is done twice."""

import base64
import json
import random
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from support.archives import wait_until
from support.clips import ClipOptions, write_clip
from support.web_server import WebServer, begin_web, web
from support.whole import times

from vsr.cli.main import run
from vsr.web.client import WebError

OPTIONS = {"model": ["bicubic-x2"], "preset": "ultrafast", "segment": 0.4}


def made_by_the_command_line(clip: Path, out: Path) -> bytes:
    words = [
        "enhance",
        str(clip),
        "-o",
        str(out),
        "--model",
        "bicubic-x2",
        "--preset",
        "ultrafast",
        "--segment",
        "0.4",
    ]
    assert run([*words, "--quiet"]) == 0
    return out.read_bytes()


@pytest.mark.slow
def test_a_server_that_is_told_to_end_goes_on_later(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", ClipOptions(num_frames=300))
    server = begin_web(tmp_path)
    job = server.client.order(server.client.upload(clip), **OPTIONS)["id"]
    wait_until(lambda: (server.client.get(f"/v1/jobs/{job}")["progress"] or {}).get("frames", 0) > 0)
    assert server.end() == 0
    assert "interrupted" not in server.log.read_text()
    with web(tmp_path) as server:
        assert server.client.wait(job, every_s=0.05)["state"] == "succeeded"
        server.client.save(job, tmp_path / "web.mp4")
    assert (tmp_path / "web.mp4").read_bytes() == made_by_the_command_line(clip, tmp_path / "cli.mp4")


def times_done(folder: Path) -> dict[str, int]:
    """How often each job has come to its end."""
    with closing(sqlite3.connect(folder / "data" / "web.sqlite")) as db:
        query = """select job, count(*) from events where kind = 'state' and data like '%succeeded%' group by job"""
        return dict(db.execute(query).fetchall())


def killed_at_random(tmp_path: Path, num_jobs: int, num_kills: int, seed: int) -> None:
    chance = random.Random(seed)
    clip = write_clip(tmp_path / "clip.mp4", ClipOptions(num_frames=120))
    wanted = made_by_the_command_line(clip, tmp_path / "cli.mp4")
    uploads, jobs = list[str](), list[str]()
    for kill in range(num_kills + 1):
        server = begin_web(tmp_path)
        end = time.monotonic() + (chance.uniform(0.05, 2.5) if kill < num_kills else 300)
        with suppress(OSError, WebError):
            while time.monotonic() < end and not _is_done(server, clip, uploads, jobs, num_jobs):
                time.sleep(0.02)
        if kill < num_kills:
            server.end(kill=True)
    for number, job in enumerate(jobs):
        there = server.client.get(f"/v1/jobs/{job}")
        assert there["state"] == "succeeded", there
        server.client.save(job, tmp_path / f"{number}.mp4")
        assert (tmp_path / f"{number}.mp4").read_bytes() == wanted
    assert server.end() == 0
    assert times_done(tmp_path) == dict.fromkeys(jobs, 1)


def _is_done(server: WebServer, clip: Path, uploads: list[str], jobs: list[str], num_jobs: int) -> bool:
    """Bring and order what is missing, as a client does that has heard of nothing but what was answered."""
    client = server.client
    if len(jobs) < num_jobs:
        if len(uploads) == len(jobs):
            uploads.append("")
            name = base64.b64encode(clip.name.encode()).decode()
            about = {"Upload_Length": str(clip.stat().st_size), "Upload_Metadata": f"filename {name}"}
            uploads[-1] = client.ask("POST", "/v1/uploads", Tus_Resumable="1.0.0", **about)[0][
                "Location"
            ].rpartition("/")[2]
        if not uploads[-1]:
            uploads.pop()
            return False
        client.upload(clip, goes_on=uploads[-1])
        order = {"upload": uploads[-1], "options": OPTIONS}
        said = client.ask("POST", "/v1/jobs", order, Idempotency_Key=f"job {len(jobs)}")[1]
        jobs.append(json.loads(said)["id"])
        return False
    return all(client.get(f"/v1/jobs/{job}")["state"] == "succeeded" for job in jobs)


@pytest.mark.slow
def test_killed_again_and_again(tmp_path):
    killed_at_random(tmp_path, num_jobs=times(6, share=3), num_kills=times(20, share=6), seed=11)

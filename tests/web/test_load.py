"""Two hundred who listen and ask again and again while a job runs: answers stay quick, and the server stays small."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from support.archives import wait_until
from support.clips import ClipOptions, write_clip
from support.web_server import WebServer, web

NUM_CLIENTS = 200
SECONDS = float(os.environ.get("VSR_LOAD_S", "8"))
EVERY_S = 2.0
"""Between two questions of a client."""
OPTIONS = {"model": "bicubic-x2", "preset": "ultrafast", "threads": 1}


def memory_mb(server: WebServer) -> float:
    """What the server itself holds, without the processes of jobs."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_s(server: WebServer) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Crowd:
    """Clients of a server, each with a stream of events and a connection on which it asks."""

    def __init__(self, server: WebServer):
        self.server = server
        self.times_s, self.heard = list[float](), [0] * NUM_CLIENTS

    async def open(self, path: str, kind: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self.server.host.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {kind}\r\n\r\n".encode())
        return reader, writer

    async def listen(self, number: int) -> None:
        reader, writer = await self.open("/v1/events", "keep-alive")
        try:
            while piece := await reader.read(1 << 16):
                self.heard[number] += piece.count(b"event: ")
        finally:
            writer.close()

    async def ask(self, number: int, until: float) -> None:
        await asyncio.sleep(EVERY_S * number / NUM_CLIENTS)
        while time.monotonic() < until:
            began = time.monotonic()
            reader, writer = await self.open("/v1/jobs", "close")
            answer = await reader.read()
            writer.close()
            self.times_s.append(time.monotonic() - began)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert answer.endswith(b"]")
            await asyncio.sleep(max(0.0, began + EVERY_S - time.monotonic()))

    async def come(self, seconds: float) -> None:
        listening = [asyncio.create_task(self.listen(number)) for number in range(NUM_CLIENTS)]
        until = time.monotonic() + seconds
        await asyncio.gather(*(self.ask(number, until) for number in range(NUM_CLIENTS)))
        for each in listening:
            each.cancel()
        await asyncio.gather(*listening, return_exceptions=True)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_two_hundred_clients_are_answered_at_once_and_leave_nothing(tmp_path, capsys):
    clip = write_clip(tmp_path / "clip.mp4", ClipOptions(num_frames=6000))
    is_quiet = os.getloadavg()[0] < (os.cpu_count() or 1) / 2
    with web(tmp_path) as server:
        client = server.client
        upload = client.upload(clip)
        jobs = [client.order(upload, **OPTIONS)["id"] for _ in range(20)]
        wait_until(lambda: client.get(f"/v1/jobs/{jobs[0]}")["progress"])
        asyncio.run(Crowd(server).come(SECONDS / 2))  # what is loaded and kept once
        before_mb, before_s, crowd = memory_mb(server), cpu_s(server), Crowd(server)
        asyncio.run(crowd.come(SECONDS))
        grown_mb, spent_s = memory_mb(server) - before_mb, cpu_s(server) - before_s
        for job in jobs[1:]:
            client.ask("DELETE", f"/v1/jobs/{job}")
        assert client.get(f"/v1/jobs/{jobs[0]}")["state"] in ("running", "succeeded")
    times_s = sorted(crowd.times_s)
    p50_s, p95_s = (times_s[int(len(times_s) * share)] for share in (0.5, 0.95))
    with capsys.disabled():
        print(
            f"\n{len(times_s)} answers, p50 {p50_s * 1e3:.1f} ms, p95 {p95_s * 1e3:.1f} ms; {sum(crowd.heard)} events;"
            f" {spent_s / SECONDS:.1%} of a core; {grown_mb:+.1f} MB; load {os.getloadavg()[0]:.1f}"
        )
    assert min(crowd.heard) > 0, "each has heard how far the job is"
    assert grown_mb < 10
    assert len(times_s) >= NUM_CLIENTS
    if is_quiet:
        assert p95_s <= 0.05

"""Take the pictures of the pages in docs/web.md and docs/live.md: the sample clip before and after, its job, and as a
camera of each.

Needs playwright and Chromium, and runs the product.
"""

import contextlib
import io
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
CLIP = HERE / "street.mp4"
TO = HERE.parent / "docs"
PATIENCE_MS = 600_000
QUALITY = 82

CAMERAS = """
models = ["bicubic-x2"]
[[cameras]]
name = "street"
url = "{clip}"
outputs = [
    {{ kind = "hls", target = "{folder}/live" }},
    {{ kind = "snapshot", target = "{folder}/now.jpg" }},
    {{ kind = "record", target = "{folder}/recorded", segment_s = 4.0 }},
]
"""


def keep(shown: Any, name: str) -> None:
    path = TO / f"page_{name}.webp"
    Image.open(io.BytesIO(shown.screenshot())).save(path, quality=QUALITY, method=6)
    print(path, path.stat().st_size, flush=True)


def enhance_and_jobs(page: Any, address: str) -> None:
    page.goto(address)
    page.set_input_files("#choose", CLIP)
    card = page.locator("#page-enhance article")
    card.get_by_text(re.compile("^about .* free$")).wait_for()
    card.get_by_role("button", name="Preview:").click()
    card.get_by_role("slider", name="Before and after").wait_for()
    page.mouse.move(0, 0)
    keep(card, "enhance")
    card.get_by_role("button", name="Enhance:").click()
    job = page.locator("#page-jobs article").first
    job.get_by_text("verified").wait_for()
    job.get_by_text("Before and after").click()
    job.get_by_role("slider", name="Before and after").wait_for()
    page.mouse.move(0, 0)
    keep(page, "jobs")


def cameras(page: Any, address: str) -> None:
    page.goto(f"{address}#cameras")
    video = page.locator("#page-cameras video").first
    while not video.count() or not video.evaluate("each => each.currentTime > 3"):
        page.wait_for_timeout(200)
    page.get_by_text("Recordings").click()
    page.get_by_role("button", name="Watch").first.wait_for()
    keep(page, "cameras")


def watched(page: Any) -> None:
    """The page of `vsr live --watch`, with the sample clip as two cameras."""
    with tempfile.TemporaryDirectory() as folder:
        file, port = Path(folder) / "cameras.toml", free_port()
        names = "".join(f'[[cameras]]\nname = "{name}"\nurl = "{CLIP}"\n' for name in ("street", "gate"))
        file.write_text(f'models = ["bicubic-x2"]\n[watch]\nport = {port}\n{names}')
        live = subprocess.Popen([sys.executable, "-m", "vsr", "live", file], stderr=subprocess.DEVNULL)
        try:
            while True:
                with contextlib.suppress(Exception):  # it has not begun to listen
                    page.goto(f"http://127.0.0.1:{port}/")
                    break
                page.wait_for_timeout(1000)
            for video in page.locator("video").nth(0), page.locator("video").nth(1):
                while not video.count() or not video.evaluate("each => each.currentTime > 8"):
                    page.wait_for_timeout(200)
            keep(page, "watch")
        finally:
            live.terminate()
            live.wait()


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


@contextmanager
def server(*words: str) -> Iterator[str]:
    """`vsr web`, which tells its address."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "vsr", "web", "--port", "0", "--data", f"{folder}/data", *words]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            yield next(filter(None, (re.search(r"is at (\S+/);", line) for line in process.stderr)))[1]
        finally:
            process.terminate()
            process.wait()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as here:
        file = Path(folder) / "cameras.toml"
        file.write_text(CAMERAS.format(clip=CLIP, folder=folder))
        browser = here.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tours = ("light", enhance_and_jobs, ()), ("dark", cameras, ("--cameras", str(file)))
        for looks, take, words in tours:
            page = browser.new_page(
                viewport={"width": 1000, "height": 800}, locale="en-GB", color_scheme=looks
            )
            page.set_default_timeout(PATIENCE_MS)
            with server(*words) as address:
                take(page, address)
        page = browser.new_page(viewport={"width": 1000, "height": 540}, locale="en-GB", color_scheme="dark")
        watched(page)
        browser.close()


if __name__ == "__main__":
    main()

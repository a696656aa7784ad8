"""What a video in a browser shows, read back from its pixels: the number in each frame, and when it was shown."""

from typing import Any

WATCH = """(selector) => {
    const video = document.querySelector(selector), canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    window.seen = [];
    const look = () => {
        const width = canvas.width = video.videoWidth, height = canvas.height = video.videoHeight;
        if (!width) return;
        pen.drawImage(video, 0, 0);
        const means = [];
        for (let row = 0; row < 4; row++) for (let column = 0; column < 4; column++) {
            const left = (column + 0.4) * width / 4, top = (row + 0.4) * height / 4;
            const { data } = pen.getImageData(left, top, width / 20, height / 20);
            let sum = 0;
            for (let i = 0; i < data.length; i += 4) sum += data[i];
            means.push(4 * sum / data.length);
        }
        const middle = (means[0] + means[1]) / 2;
        let number = 0;
        for (let bit = 0; bit < 14; bit++) if (means[bit + 2] > middle) number += 2 ** bit;
        window.seen.push([Date.now() / 1000, number, height, means[0] - means[1]]);
    };
    const next = () => { look(); video.requestVideoFrameCallback(next); };
    video.requestVideoFrameCallback(next);
}"""

HLS_JS = """(playlist) => {
    const video = document.createElement("video");
    video.muted = true;
    document.querySelector("main").replaceChildren(video);
    window.hls = new Hls({ lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.5, enableWorker: false });
    window.fatal = [];
    hls.on(Hls.Events.ERROR, (_, { fatal, details, type }) => {
        if (!fatal) return;
        window.fatal.push(details);
        if (type !== "networkError") hls.recoverMediaError();
        else if (details.startsWith("manifest")) hls.loadSource(playlist);
        else hls.startLoad();
    });
    hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());
    hls.loadSource(playlist);
    hls.attachMedia(video);
}"""
"""Plays a playlist in the place of all else on the page, by the hls.js that has been put there. Goes on where that has
given up, as its documentation advises, and keeps why."""


def watch_frames(page: Any, selector: str = "video") -> None:
    """Begin to take down what a video shows."""
    page.evaluate(WATCH, selector)


def seen_frames(page: Any) -> list[tuple[float, int, int]]:
    """When each frame was shown by `time.time()`, its number and its height; frames without a number are left out."""
    return [
        (when, number, height) for when, number, height, range in page.evaluate("window.seen") if range > 100
    ]

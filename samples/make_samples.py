"""Make the sample clip and picture of this folder; every pixel of the clip is drawn here.

    python samples/make_samples.py                     writes street.mp4 and astronaut.png beside this file
    python samples/make_samples.py --reference DIR     writes the clip's frames at full resolution as PNG

The street is drawn at 1704x960 and reduced to a quarter of that, so a true original exists for every frame.
"""

import argparse
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.subtitles.subtitle import SubtitleSet

HERE = Path(__file__).resolve().parent
HEIGHT, WIDTH, REDUCTION = 960, 1704, 4
NUM_FRAMES, RATE, AUDIO_RATE = 100, 25, 48_000
CHAPTERS = ((0.0, 2.0, "The bookshop"), (2.0, 4.0, "The car"))
SUBTITLES = ((0.2, 1.9, "A quiet street, early evening."), (2.1, 3.8, "Can you read the number plate?"))
ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,16

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
RNG = np.random.default_rng(2024)

Picture = np.ndarray
"""(height, width, 3) float32, RGB, 0 to 255."""


def clouds(height: int, width: int, *scales: int) -> Picture:
    """Smooth noise of mean 0 and deviation 1, (height, width, 1); each scale is the size of its blotches."""
    layers = [RNG.standard_normal((height // s + 2, width // s + 2)).astype(np.float32) for s in scales]
    total = sum(cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC) for layer in layers)
    return (total / np.std(total))[..., None]


def text(
    picture: Picture, words: str, x: int, y: int, size: int, color: tuple[int, ...], weight: int = 400
) -> None:
    """Write a line whose baseline begins at x, y; `size` is the height of the font in pixels."""
    layer = np.zeros(picture.shape[:2], np.uint8)
    cv2.putText(layer, words, (x, y), (255, 0, 0), cv2.FontFace("sans"), size, weight)
    cover = layer[..., None].astype(np.float32) / 255
    picture += cover * (np.float32(color[:3]) - picture)


def box(picture: Picture, x: int, y: int, width: int, height: int, color: tuple[int, ...]) -> Picture:
    """Fill a rectangle and return its view, to draw into."""
    view = picture[y : y + height, x : x + width]
    view[:] = np.float32(color)
    return view


def bricks(height: int, width: int) -> Picture:
    wall = np.float32([172, 160, 146]) + 7 * clouds(height, width, 2, 9)
    for row, y in enumerate(range(0, height, 30)):
        for x in range(-40 * (row % 2), width, 80):
            tone = np.float32([146, 78, 60]) * RNG.normal(1, 0.11) + RNG.normal(0, 6, 3).astype(np.float32)
            wall[y : y + 26, max(x, 0) : max(x + 75, 0)] = tone
            wall[y : y + 3, max(x, 0) : max(x + 75, 0)] += 14  # light from above catches the upper edge
    return wall + 8 * clouds(height, width, 2, 3) + 9 * clouds(height, width, 160, 60)


def fabric(height: int, width: int, stripe: int, colors: tuple[tuple[int, ...], ...]) -> Picture:
    """Striped cloth: threads go over and under each other, folds run down."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    cloth = np.float32(colors)[(x // stripe).astype(int) % len(colors)]
    weave = np.where((x // 5 + y // 5) % 2 == 0, np.sin(x * np.pi / 5) ** 2, np.sin(y * np.pi / 5) ** 2)
    folds = 1 + 0.10 * np.sin(x / 47 + 0.4 * np.sin(y / 80))
    return (cloth * (0.80 + 0.22 * weave[..., None]) + 4 * clouds(height, width, 2)) * folds[..., None]


def shop(wall: Picture) -> None:
    sign = box(wall, 200, 150, 1020, 150, (26, 62, 52))
    sign[:6] = sign[-6:] = np.float32((196, 164, 92))
    text(wall, "NORTHLIGHT BOOKS", 240, 240, 86, (232, 214, 160), 700)
    text(wall, "new and used  ·  maps and prints  ·  bindery  ·  since 1987", 330, 284, 27, (214, 204, 176))
    box(wall, 200, 300, 1020, 590, (48, 42, 38))
    glass = box(wall, 224, 324, 700, 540, (42, 46, 50))
    for y in (470, 620, 770):  # shelves of books with their titles on the spine
        x = 240
        while x < 880:
            width, height = int(RNG.integers(16, 40)), int(RNG.integers(78, 118))
            gray = RNG.uniform(60, 200)  # cloth bindings: never far from grey
            tone = tuple(float(c) for c in (gray + RNG.normal(0, 34, 3)).clip(25, 225))
            box(wall, x, y - height, width, height, tone)[:, :3] *= 0.6
            for band in (14, 22, height - 18):
                box(wall, x + 3, y - height + band, width - 5, 3, tuple(min(255, c + 70) for c in tone))
            x += width + int(RNG.integers(1, 6))
        box(wall, 224, y, 700, 12, (112, 84, 58))
    glow = np.linspace(1.12, 0.62, glass.shape[0], dtype=np.float32)[:, None, None]
    glass *= glow
    shine = np.zeros(glass.shape[:2], np.float32)
    for left, width, strength in ((390, 120, 0.30), (540, 40, 0.22)):
        band = np.int32([(left, 0), (left + width, 0), (left + width - 260, 540), (left - 260, 540)])
        cv2.fillPoly(shine, [band], strength, cv2.LINE_AA)
    glass += cv2.GaussianBlur(shine, (0, 0), 2)[..., None] * (np.float32([196, 208, 220]) - glass)
    box(wall, 960, 324, 236, 566, (34, 74, 62))
    pane = box(wall, 984, 350, 188, 300, (70, 78, 84))
    pane += np.linspace(30, -30, 188, dtype=np.float32)[None, :, None]
    card = box(wall, 1002, 420, 152, 190, (244, 240, 226))
    card[:3] = card[-3:] = np.float32((150, 40, 36))
    for line, (words, size) in enumerate((("OPEN", 44), ("Mon – Fri  9–18", 17), ("Saturday 10–16", 17))):
        text(wall, words, 1012, 470 + 40 * line, size, (150, 36, 32) if line == 0 else (40, 40, 44), 600)
    text(wall, "ring twice for returns", 1012, 590, 13, (60, 60, 64))
    awning = fabric(120, 1060, 53, ((196, 52, 44), (236, 228, 212)))
    wall[300:470, 200:1220] *= np.linspace(0.45, 1, 170, dtype=np.float32)[:, None, None]  # its shadow
    wall[300:420, 180:1240] = awning * np.linspace(1.05, 0.82, 120, dtype=np.float32)[:, None, None]


def notices(wall: Picture) -> None:
    """A timetable in ever smaller print, a street sign and a woven banner."""
    box(wall, 1330, 330, 400, 520, (58, 60, 64))
    box(wall, 1342, 342, 376, 496, (246, 244, 238))
    box(wall, 1342, 342, 376, 74, (22, 70, 140))
    text(wall, "Line 14  Harbour", 1358, 394, 38, (250, 250, 250), 700)
    rows = ("06  04 19 34 49", "07  02 14 26 38 50", "08  02 14 26 38 50", "09  04 19 34 49", "10  04 24 44")
    for line, words in enumerate(rows):
        text(wall, words, 1360, 460 + 44 * line, 34 - 3 * line, (30, 32, 38), 500)
    for line, words in enumerate(
        ("Tickets are sold on board and at the kiosk.", "Sundays: see the winter timetable.")
    ):
        text(wall, words, 1360, 690 + 30 * line, 17 - 2 * line, (50, 52, 58))
    for x in range(1360, 1700, 4):  # a bar code, finer than the clip can show
        box(wall, x, 760, 2, 56, (30, 30, 30) if RNG.random() < 0.6 else (246, 244, 238))
    box(wall, 1360, 170, 360, 96, (236, 238, 240))
    box(wall, 1367, 177, 346, 82, (24, 58, 128))
    text(wall, "Mill Lane", 1392, 240, 62, (244, 246, 250), 600)
    wall[120:860, 1850:2150] = fabric(
        740, 300, 30, ((58, 84, 120), (206, 196, 172), (150, 70, 60), (206, 196, 172))
    )
    text(wall, "SPRING", 1880, 300, 56, (40, 40, 46), 800)
    text(wall, "FAIR", 1912, 384, 80, (40, 40, 46), 800)


def street() -> Picture:
    wall = bricks(1300, 2500)
    shop(wall)
    notices(wall)
    y, x = np.mgrid[0:350, 0:2500].astype(np.float32)
    paving = 150 + 10 * clouds(350, 2500, 2, 4) + 8 * clouds(350, 2500, 90)
    joints = ((x + 0.35 * y) % 120 < 4) | (y % 58 < 4)
    wall[950:] = np.where(joints[..., None], 96, paving) * np.float32([1.0, 0.97, 0.92])
    wall[890:950] = np.float32([104, 98, 92]) + 6 * clouds(60, 2500, 2, 6)
    wall *= np.linspace(1.06, 0.86, 1300, dtype=np.float32)[:, None, None] * np.float32([1.04, 1.0, 0.94])
    return wall.clip(0, 255)


def car() -> Picture:
    """The rear of a parked car, (height, width, 4) with opacity, drawn twice as large and reduced."""
    body = np.zeros((1240, 1800, 4), np.uint8)

    def shape(color: tuple[int, ...], *points: tuple[int, int]) -> None:
        half = np.int32([*points, *((1800 - x, y) for x, y in reversed(points))])
        cv2.fillPoly(body, [half], (*color, 255), cv2.LINE_AA)

    shape((22, 22, 24), (160, 980), (160, 1180), (420, 1180), (420, 980))
    shape((70, 96, 124), (420, 120), (300, 420), (140, 520), (110, 900), (150, 1060), (300, 1080))
    shape((90, 120, 150), (470, 96), (440, 130), (900, 118))
    shape((28, 34, 42), (460, 160), (360, 430), (900, 440), (900, 150))
    shape((50, 70, 92), (150, 690), (150, 706), (900, 712), (900, 698))
    shape((40, 42, 46), (130, 900), (160, 1060), (320, 1090), (900, 1090), (900, 900))
    for left in (150, 1410):
        cv2.rectangle(body, (left, 560), (left + 240, 660), (150, 24, 26, 255), -1, cv2.LINE_AA)
        cv2.rectangle(body, (left + 20, 580), (left + 220, 606), (236, 92, 70, 255), -1, cv2.LINE_AA)
        cv2.rectangle(body, (left + 20, 620), (left + 120, 644), (240, 196, 150, 255), -1, cv2.LINE_AA)
    cv2.fillPoly(
        body, [np.int32([(560, 165), (760, 160), (640, 432), (440, 430)])], (62, 74, 86, 255), cv2.LINE_AA
    )
    cv2.rectangle(body, (590, 740), (1210, 876), (14, 14, 16, 255), -1)
    cv2.rectangle(body, (598, 748), (1202, 868), (242, 242, 236, 255), -1)
    cv2.rectangle(body, (598, 748), (660, 868), (20, 60, 150, 255), -1)
    picture = body[..., :3].astype(np.float32)
    text(picture, "KX·48 RTM", 680, 840, 86, (18, 18, 22), 700)
    text(picture, "VR", 610, 850, 34, (240, 240, 240), 700)
    text(picture, "aurora 1.6", 1330, 800, 40, (190, 196, 204), 600)
    across = np.linspace(-1, 1, 1800, dtype=np.float32)[None, :, None]
    down = np.interp(np.arange(1240), (0, 120, 440, 530, 690, 1240), (1.3, 1.2, 0.95, 1.3, 1.05, 0.6))
    picture *= down.astype(np.float32)[:, None, None] * (1.08 - 0.38 * across**2)
    drawn = np.concatenate([picture + 2 * clouds(1240, 1800, 3), body[..., 3:]], axis=2)
    return cv2.resize(drawn.clip(0, 255), (900, 620), interpolation=cv2.INTER_AREA)


def view(layer: Picture, zoom: float, x: float, y: float) -> Picture:
    """What the camera sees of a layer: `x`, `y` of the layer in the upper left corner, magnified by `zoom`."""
    camera = np.array([[zoom, 0, -x * zoom], [0, zoom, -y * zoom]])
    return cv2.warpAffine(layer, camera, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)


def frames() -> Iterator[np.ndarray]:
    """Full-resolution frames, uint8 RGB: a slow pan and zoom with a hand's sway, the car nearer than the wall."""
    wall, vehicle = street(), car()
    ground = np.zeros(vehicle.shape[:2], np.float32)  # the car's shadow
    cv2.ellipse(ground, (450, 570), (440, 34), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    ground = cv2.GaussianBlur(ground, (0, 0), 14)
    for number in range(NUM_FRAMES):
        t = number / (NUM_FRAMES - 1)
        zoom = 1.0 + 0.12 * t
        x = 130 + 620 * t + 5 * np.sin(9 * t)
        y = 120 + 90 * t + 3 * np.sin(14 * t + 1)
        picture = view(wall, zoom, x, y)
        near = view(vehicle, zoom, 1.5 * x - 1580, 1.2 * y - 500)
        shadow = view(ground, zoom, 1.5 * x - 1580, 1.2 * y - 500)[..., None]
        picture *= 1 - 0.62 * shadow
        opacity = near[..., 3:] / 255
        picture += opacity * (near[..., :3] - picture)
        yield np.rint(picture.clip(0, 255)).astype(np.uint8)


def tone() -> np.ndarray:
    """A sine that sweeps gently from 330 to 440 Hz, (1, samples) float32, faded at both ends."""
    seconds = np.arange(NUM_FRAMES * AUDIO_RATE // RATE) / AUDIO_RATE
    length = NUM_FRAMES / RATE
    phase = 2 * np.pi * (330 * seconds + (440 - 330) / (2 * length) * seconds**2)
    fade = np.minimum(1, np.minimum(seconds, length - seconds) / 0.1)
    return (0.2 * fade * np.sin(phase)).astype(np.float32)[None]


def write_clip(path: Path) -> None:
    """Encode the reduced frames, the tone, the subtitles and the chapters; the same bytes on every run."""
    with av.open(str(path), "w", options={"fflags": "+bitexact", "movflags": "+faststart"}) as file:
        # without `cpu-independent`, x264's macroblock tree gave other bytes on most runs of one machine
        x264 = {"crf": "20", "preset": "veryslow", "threads": "1", "x264-params": "cpu-independent=1"}
        video = file.add_stream("libx264", rate=RATE, options=x264)
        video.height, video.width, video.pix_fmt = HEIGHT // REDUCTION, WIDTH // REDUCTION, "yuv420p"
        video.codec_context.color_range, video.codec_context.colorspace = 1, 1  # limited, BT.709
        video.codec_context.color_primaries, video.codec_context.color_trc = 1, 1
        audio = file.add_stream("aac", rate=AUDIO_RATE, layout="mono", bit_rate=64_000)
        words = file.add_stream("mov_text")
        words.codec_context.subtitle_header = ASS_HEADER
        words.codec_context.time_base = words.time_base = Fraction(1, 1000)
        words.metadata["language"] = audio.metadata["language"] = "eng"
        chapters = [(int(1000 * start), int(1000 * end), title) for start, end, title in CHAPTERS]
        file.set_chapters(
            [
                {"id": n, "start": s, "end": e, "time_base": Fraction(1, 1000), "metadata": {"title": t}}
                for n, (s, e, t) in enumerate(chapters)
            ]
        )
        for start, end, line in SUBTITLES:
            dialogue = f"0,0,Default,,0,0,0,,{line}".encode()
            begin, length = round(1000 * start), round(1000 * (end - start))
            subtitle = SubtitleSet.create(text=dialogue, start=0, end=length, pts=1000 * begin)
            packet = words.codec_context.encode_subtitle(subtitle)
            packet.pts = packet.dts = begin
            packet.duration, packet.time_base, packet.stream = length, Fraction(1, 1000), words
            file.mux(packet)
        sound = av.AudioFrame.from_ndarray(tone(), format="fltp", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = AUDIO_RATE, 0, Fraction(1, AUDIO_RATE)
        file.mux(audio.encode(sound))
        file.mux(audio.encode(None))
        for number, full in enumerate(frames()):
            small = cv2.resize(full, (video.width, video.height), interpolation=cv2.INTER_AREA)
            frame = av.VideoFrame.from_ndarray(small, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))


def write_astronaut(path: Path) -> None:
    """Reduce NASA's portrait of Eileen Collins, which scikit-image carries, from 512x512 to 256x256."""
    from skimage.data import astronaut  # an optional dependency: only this picture needs it
    from skimage.transform import resize

    small = resize(astronaut(), (256, 256), order=3, anti_aliasing=True)
    cv2.imwrite(str(path), np.rint(small[..., ::-1].clip(0, 1) * 255).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the samples of this folder.")
    parser.add_argument(
        "--reference", type=Path, metavar="DIR", help="write the clip's full-resolution frames there"
    )
    folder = parser.parse_args().reference
    if folder is None:
        write_clip(HERE / "street.mp4")
        write_astronaut(HERE / "astronaut.png")
        return
    folder.mkdir(parents=True, exist_ok=True)
    for number, full in enumerate(frames()):
        cv2.imwrite(str(folder / f"{number:04}.png"), full[..., ::-1])


if __name__ == "__main__":
    main()

"""Who watches a view, and what comes to whom, in an event loop."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from support.live_hub import sound_messages
from support.units import numbered_units

from vsr.live.packets import TICKS
from vsr.live.serving.access_units import UnitReader
from vsr.live.viewing import view as view_module
from vsr.live.viewing.view import NotThereError, View, Viewer


def in_loop(test: Callable[[View, list[bool]], Awaitable[None]]) -> None:
    async def run() -> None:
        wanted: list[bool] = []
        await test(View(wanted.append), wanted)

    asyncio.run(run())


def viewer(got: list[tuple[str, int]]) -> Viewer:
    return Viewer(lambda p: got.append(("picture", p[1])), lambda p: got.append(("sound", p[1])))


def test_units_are_wanted_from_the_first_who_watches_to_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(view_module, "_UNUSED_S", 0.2)
    units = numbered_units(tmp_path)

    async def test(view: View, wanted: list[bool]) -> None:
        view.look_after()
        assert wanted == []
        asked = asyncio.ensure_future(view.playlist(None, None))
        one, two = viewer([]), viewer([])
        await asyncio.sleep(0)
        view.add(one)
        view.add(two)
        assert wanted == [True]
        for unit in units:
            view.put(unit)
        assert (await asked).startswith("#EXTM3U")
        view.remove(one)
        view.remove(two)
        view.remove(two)
        view.look_after()
        assert wanted == [True]  # whoever has asked for a playlist asks again
        await asyncio.sleep(0.3)
        view.look_after()
        assert wanted == [True, False]
        monkeypatch.setattr(view_module, "_START_S", 0.1)
        with pytest.raises(NotThereError):  # what was there is old
            await view.playlist(None, None)
        assert wanted == [True, False, True]

    in_loop(test)


def test_a_viewer_begins_with_a_keyframe_and_hears_what_it_sees(tmp_path):
    reader = UnitReader()
    described, *packets = sound_messages(tmp_path, 3.0)
    reader.describe(described)
    sound = [unit for each in packets if (unit := reader.read(each, shift=0, wall_s=0.0))]
    pictures = numbered_units(tmp_path)
    late = {id(unit): unit.pts_90k + TICKS // 5 for unit in pictures}  # the engine takes its time
    units = sorted([*sound, *pictures], key=lambda unit: late.get(id(unit), unit.pts_90k))
    got: list[tuple[str, int]] = []

    async def test(view: View, wanted: list[bool]) -> None:
        for number, unit in enumerate(units):
            if number == 20:
                view.add(viewer(got))
            view.put(unit)

    in_loop(test)
    assert got[0] == ("picture", TICKS)
    shown = 0.0
    for kind, at in got:
        if kind == "picture":
            shown = at / TICKS
        else:
            assert shown - 0.1 < at / 48_000 <= shown
    assert sum(kind == "sound" for kind, _ in got) > 80


def test_waiting_ends_when_the_server_does():
    async def test(view: View, wanted: list[bool]) -> None:
        asked = asyncio.ensure_future(view.playlist(None, None))
        await asyncio.sleep(0)
        view.close()
        with pytest.raises(NotThereError):
            await asked

    in_loop(test)


def test_damage_costs_no_more_than_its_pictures(tmp_path):
    from dataclasses import replace

    units = numbered_units(tmp_path)

    async def test(view: View, wanted: list[bool]) -> None:
        view.put(replace(units[0], data=b"\0\0\0\1\x65nothing"))
        for unit in units:
            view.put(unit)
        assert "EXTINF" in await view.playlist(None, None)

    in_loop(test)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, ""),
        ({"b_frames": 2, "codec_options": {}}, "B-frames"),
        ({"codec": "libx265", "codec_options": {"x265-params": "log-level=none:bframes=0"}}, "H.265"),
    ],
)
def test_what_browsers_take_by_webrtc_is_told_by_the_pictures(tmp_path, options, why):
    units = numbered_units(tmp_path, kind="mp4", begins=TICKS, **options)
    got: list[tuple[str, int]] = []

    async def test(view: View, wanted: list[bool]) -> None:
        view.add(viewer(got))
        for unit in units:
            view.put(unit)
        assert why in view.why_no_webrtc
        assert bool(view.why_no_webrtc) == bool(why)
        assert "EXTINF" in await view.playlist(None, None)
        assert (len(got) == len(units)) == (why == "")

    in_loop(test)

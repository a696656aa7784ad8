"""Which events a log tells, and that its lines hold no secret."""

import json
import logging
from dataclasses import replace

from support.live_view import FACTS, GRAINY, RECORD, SINK, view

from vsr.live.monitoring.log import DROPS_EVERY_S, EventLog, JsonLines, LogEvent, Secrets, TextLines
from vsr.live.options import CameraOptions, LiveOptions
from vsr.live.service_view import LiveView
from vsr.models import Verdict


def told(journal: EventLog, seen: LiveView, now: float = 0.0) -> list[tuple[str, str]]:
    return [(event.name, event.text) for event in journal.news(seen, now)]


def test_nothing_new_is_no_line():
    journal = EventLog()
    assert [name for name, _ in told(journal, view())] == ["state", "encoder", "output", "output"]
    assert told(journal, view()) == []
    assert told(journal, view(decoded=101)) == []


def test_attempts_to_connect_are_told_once_for_each_reason():
    journal = EventLog()
    told(journal, view())
    lines = []
    for state, reason in (
        ("away", "connection refused"), ("connecting", "connection refused"), ("away", "connection refused"),
        ("connecting", "connection refused"), ("refused", "401"), ("connecting", "401"), ("playing", "401"),
    ):  # fmt: skip
        lines += told(journal, view(state=state, last_error=reason, reconnects=1))
    assert lines == [
        ("state", "away: connection refused"),
        ("state", "refused: 401"),
        ("state", "playing, 640x360 at 25 fps, reconnected 1 times so far"),
    ]


def test_drops_are_told_in_sums():
    journal = EventLog()
    told(journal, view(), 0.0)
    late = view(sink=replace(SINK, dropped=5))
    assert told(journal, late, DROPS_EVERY_S / 2) == []
    assert told(journal, late, DROPS_EVERY_S) == [("drops", "8 frames dropped in 10 s")]
    assert told(journal, late, 3 * DROPS_EVERY_S) == []


def test_packets_that_an_output_was_too_slow_for_are_told_in_sums():
    journal = EventLog()
    told(journal, view(), 0.0)
    assert told(journal, view(), DROPS_EVERY_S) == [("drops", "5 frames dropped in 10 s")]
    slow = view(sink=replace(SINK, outputs=(RECORD, replace(RECORD, dropped=7))))
    assert told(journal, slow, 1.5 * DROPS_EVERY_S) == []
    text = "record recordings: too slow, 7 dropped in 10 s"
    assert told(journal, slow, 2 * DROPS_EVERY_S) == [("drops", text)]
    assert told(journal, slow, 3 * DROPS_EVERY_S) == []


def test_what_was_found_and_chosen_is_told_when_it_changes_and_not_when_the_rung_does():
    journal, clean = EventLog(), Verdict(is_real=False, why="noise 0.8, H.264 at quantiser 22")
    told(journal, view())
    lines = []
    for verdict, look, network in (
        (clean, "clean", "fast-x2"), (GRAINY, "real", "fast-real-x2"), (GRAINY, "", "bicubic-x2"),
        (GRAINY, "real", "base-real-x2"), (clean, "clean", "base-x2"),
    ):  # fmt: skip
        facts = replace(FACTS, look=look, network=network)
        lines += told(journal, view(facts=facts, verdict=verdict))
    assert lines == [
        ("network", f"{clean.why}: fast-x2"),
        ("network", f"{GRAINY.why}: fast-real-x2"),
        ("network", f"{clean.why}: base-x2"),
    ]


def test_output_that_fails_and_comes_back_is_told():
    journal = EventLog()
    told(journal, view())
    lines = []
    for state, note in (
        ("restarting", "broken pipe"),
        ("opening", "broken pipe"),
        ("running", "broken pipe"),
    ):
        status = replace(RECORD, state=state, note=note, restarts=1)
        lines += told(journal, view(sink=replace(SINK, outputs=(RECORD, status))))
    assert [text for _, text in lines] == [
        "record recordings: restarting, broken pipe",
        "record recordings: running, broken pipe",
    ]


def record(text: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("vsr.live", logging.WARNING, "", 0, "%s", (text,), None)
    made.__dict__.update(extra)
    return made


def test_lines_are_json_objects_or_text_and_show_no_secret():
    secrets = Secrets()
    secrets.add(LiveOptions((CameraOptions("door", "rtsp://al:tr:ue@host/a?token=geheim"),)))
    made = record(
        "cannot open rtsp://al:tr:ue@host/a?token=geheim\nat all", event="state", camera="door",
        fields={"reason": "geheim", "reconnects": 3, "playing": True, "outputs": ["tr:ue", "a"]},
    )  # fmt: skip
    line = JsonLines(secrets).format(made)
    assert "\n" not in line
    parsed = json.loads(line)
    assert parsed.pop("time").startswith("20")
    assert parsed == {
        "level": "warning",
        "event": "state",
        "camera": "door",
        "message": "cannot open rtsp://***@host/a?token=***\nat all",
        "reason": "***",
        "reconnects": 3,
        "playing": True,
        "outputs": ["***", "a"],
    }
    assert TextLines(secrets).format(made)[9:] == "door: cannot open rtsp://***@host/a?token=*** at all"


def test_an_event_carries_its_fields_into_the_line(caplog):
    with caplog.at_level(logging.INFO, logger="vsr.live"):
        LogEvent("drops", "8 frames", "door", {"dropped": 8}, bad=True).tell()
    parsed = json.loads(JsonLines(Secrets()).format(caplog.records[0]))
    assert (parsed["level"], parsed["event"], parsed["dropped"]) == ("warning", "drops", 8)

"""The page of a record: read by people, printed, and opened by whoever has got it."""

import json

from vsr.evidence.sheet import write_sheet


def test_the_page_shows_what_was_done_and_its_limits(original):
    page = (original.folder / "report.html").read_text()
    assert "2026/17" in page
    assert "12 frames of 64x48 pixels were decoded and made 128x96 pixels large by nano-x2" in page
    assert "depends on the same frame of the source alone" in page
    assert "Whose the signature is follows from the key" in page
    assert page.count("data:image/jpeg") == 9
    assert "May show what was never there" not in page


def test_what_the_source_supports_is_explained_and_found_again(original):
    page = (original.folder / "report.html").read_text()
    record = json.loads((original.folder / "record.json").read_text())
    share = f"{record['support']['summary']['supported']:.0%}"
    assert f"{share} of the picture is supported by the source" in page
    assert "blocks contradict the source" in page
    assert page.count('alt="what the source supports"') == 3
    assert "Not measured for this record" not in page
    assert (original.folder / "support.json").read_bytes() == (original.root / "out.json").read_bytes()
    assert set(record["support"]["files"]) == {"out.json", "out_map.mkv"}
    assert "Not measured for this record" in write_sheet(record | {"support": None}, [])


def test_the_page_needs_no_network_and_runs_nothing(original):
    page = (original.folder / "report.html").read_text()
    assert not any(word in page for word in ("<script", "http:", "https:", "<link", "@import", "url("))


def test_what_names_say_is_text_and_what_paints_is_warned_of(original):
    record = json.loads((original.folder / "record.json").read_text())
    record |= {"case": "<script>alert(1)</script>", "generative": ["own <b>is in no catalogue"]}
    page = write_sheet(record, [])
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert "May show what was never there. own &lt;b&gt;is in no catalogue" in page

"""Files of others where ours would lie: links, folders, files; each is left as it was, with a line that says so."""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.archives import FLAGS, picture
from support.long_jobs import contents, enhance, records_of

from vsr.cli.main import run
from vsr.durable import WorkFolder, work_folder
from vsr.errors import SinkError
from vsr.jobs.provenance import sidecar_of
from vsr.jobs.segments.journal_records import JOURNAL, mark_of
from vsr.media.images import stream

PRECIOUS = b"years of work\n" * 40


@pytest.fixture
def theirs(tmp_path) -> Iterator[Path]:
    """A folder of somebody else, with two files, that must be as it was in the end."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    for name in ("thesis.txt", "000000.segment", "joined.mkv", JOURNAL):
        (folder / name).write_bytes(PRECIOUS)
    before = state_of(folder)
    yield folder
    assert state_of(folder) == before


def state_of(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        path.name: (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.iterdir()
    }


def still(source: Path, out: Path, *flags: str) -> int:
    return run(
        ["enhance", str(source), "-o", str(out), "--quiet", "--model", "nano", "--threads", "1", *flags]
    )


def traps(place: Path, theirs: Path) -> Iterator[str]:
    """Put one thing after the other where a work folder belongs; yields what is to be said of it."""
    place.symlink_to(theirs)
    yield "is a link"
    place.unlink()
    place.symlink_to(theirs / "nothing")
    yield "is a link"
    place.unlink()
    place.write_bytes(PRECIOUS)
    yield "is no folder"
    place.unlink()
    shutil.copytree(theirs, place)
    yield "was not made by vsr"
    assert {path.name for path in place.iterdir()} == {path.name for path in theirs.iterdir()}
    shutil.rmtree(place)


def test_what_lies_where_work_would_is_left_alone(clip, tmp_path, theirs, capfd):
    photo, out = picture(tmp_path / "a.png"), tmp_path / "out.mkv"
    for source, target in ((clip, out), (photo, tmp_path / "b.png")):
        for said in traps(work_folder(target), theirs):
            assert (enhance if source == clip else still)(source, target) == 1
            assert said in capfd.readouterr().err
            assert not target.exists()
        assert (enhance if source == clip else still)(source, target) == 0


def test_an_empty_folder_is_taken_up_and_nobody_else_writes_into_it(tmp_path, theirs):
    """One that was killed leaves it; and whoever made it has nothing to lose."""
    photo, place = picture(tmp_path / "a.png"), work_folder(tmp_path / "b.png")
    place.mkdir()
    place.chmod(0o777)
    with WorkFolder(place) as work:
        assert place.stat().st_mode & 0o777 == 0o700
        (place / "note.txt").write_bytes(PRECIOUS)
        (place / "link.txt").symlink_to(theirs / "thesis.txt")
        assert sorted(work.close()) == ["link.txt", "note.txt"]
    assert (place / "note.txt").read_bytes() == PRECIOUS
    assert still(photo, tmp_path / "b.png") == 0
    assert (place / "note.txt").read_bytes() == PRECIOUS


@pytest.mark.parametrize("how", [os.symlink, os.link])
def test_a_journal_that_is_a_link_is_not_written_to(clip, half_done, theirs, capfd, how):
    journal = work_folder(half_done) / JOURNAL
    kept = journal.rename(journal.with_name("kept"))
    how(kept, journal) if how is os.link else how(theirs / JOURNAL, journal)
    before = kept.read_bytes()
    assert enhance(clip, half_done) == 1
    assert str(journal) in capfd.readouterr().err
    assert kept.read_bytes() == before
    assert run(["jobs", "clean", str(half_done.parent), "--yes"]) == (1 if how is os.link else 0)
    assert kept.exists()


def test_links_inside_a_work_folder_are_replaced_and_files_of_others_stay(
    clip, half_done, theirs, undisturbed, capfd
):
    folder = work_folder(half_done)
    for name in ("000001.segment", "000007.segment"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(theirs / "000000.segment")
    (folder / "note.txt").write_bytes(PRECIOUS)
    for number in range(400):
        (folder / f"joined-{number:016x}.mkv").symlink_to(theirs / "joined.mkv")
    assert enhance(clip, half_done) == 0
    assert contents(half_done) == undisturbed
    assert (folder / "note.txt").read_bytes() == PRECIOUS
    assert "note.txt" in capfd.readouterr().err


def unmark(out: Path) -> Path:
    """As 0.4.0 left it, with what it had under way."""
    folder = work_folder(out)
    (folder / "made-by-vsr").unlink()
    for name in ("000003.4711-0a1b2c.part", "joined.mkv", "square-joined.mkv"):
        (folder / name).write_bytes(b"half")
    (folder / ".carry-ab_12345").mkdir()
    (folder / ".carry-ab_12345" / "stream.2.mka").write_bytes(b"half")
    return folder


def test_work_of_an_earlier_version_is_gone_on_with_if_all_of_it_is_ours(
    clip, half_done, undisturbed, monkeypatch, capfd
):
    saved = shutil.copytree(work_folder(half_done), half_done.with_name("saved"))
    for spoiled in ("a file of others", "another result's", "a broken seal"):
        folder = unmark(half_done)
        if spoiled == "a file of others":
            (folder / "thesis.txt").write_bytes(PRECIOUS)
        else:
            text = (folder / JOURNAL).read_text()
            first, rest = text.split("\n", 1)
            other = "1" if first.endswith("0") else "0"
            (folder / JOURNAL).write_text(
                f"{first[:-1]}{other}\n{rest}" if spoiled == "a broken seal" else text
            )
        place = (
            folder
            if spoiled != "another result's"
            else folder.rename(work_folder(half_done.with_name("b.mkv")))
        )
        before = state_of_all(place)
        assert enhance(clip, half_done if place == folder else half_done.with_name("b.mkv")) == 1
        assert "was not made by vsr" in capfd.readouterr().err
        assert run(["jobs", "clean", str(half_done.parent), "--yes"]) == 0
        assert state_of_all(place) == before
        shutil.rmtree(place)
        shutil.copytree(saved, folder)
    journal = unmark(half_done) / JOURNAL
    first, rest = journal.read_text().split("\n", 1)
    head = json.loads(first.rpartition("#")[0])
    assert head["identity"].pop("fps") == ""  # as if it were older than an option
    first = json.dumps(head, separators=(",", ":"))
    journal.write_text(f"{first}#{mark_of(first)}\n{rest}")
    assert [segment.number for segment in records_of(half_done).segments.values()] == [0, 1, 2]
    assert enhance(clip, half_done) == 0
    assert contents(half_done) == undisturbed
    assert not work_folder(half_done).exists()


def state_of_all(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_jobs_are_cleaned_through_no_link_and_without_files_of_others(half_done, tmp_path, theirs, capfd):
    folder = work_folder(half_done)
    (folder / "note.txt").write_bytes(PRECIOUS)
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / folder.name).symlink_to(folder)
    (tmp_path / "films" / ".x.mkv.vsr").symlink_to(theirs)
    assert run(["jobs", "clean", str(tmp_path / "films"), "--yes"]) == 0
    assert records_of(half_done).segments
    assert run(["jobs", "clean", str(tmp_path), "--yes"]) == 0
    assert [path.name for path in folder.iterdir()] == ["made-by-vsr", "note.txt"] or {
        path.name for path in folder.iterdir()
    } == {"made-by-vsr", "note.txt"}
    assert "holds 1 files of others and stays" in capfd.readouterr().err


def test_sidecars_manifests_and_results_of_others_stay(tmp_path, theirs, capfd):
    photo, out = picture(tmp_path / "a.png"), tmp_path / "out"
    out.mkdir()
    target = out / "a.png"
    for name in (sidecar_of(target).name, "manifest.csv", "manifest.json"):
        for make in (
            lambda place: place.write_bytes(PRECIOUS),
            lambda place: place.symlink_to(theirs / "thesis.txt"),
        ):
            make(place := out / name)
            assert run(["batch", str(photo), "-o", str(out), "--sidecar", *FLAGS]) == 1
            assert str(place) in capfd.readouterr().err
            assert place.read_bytes() == PRECIOUS
            assert not target.exists()
            place.unlink()
    assert run(["batch", str(photo), "-o", str(out), "--sidecar", *FLAGS]) == 0
    before = sidecar_of(target).stat().st_ino
    target.unlink()
    assert run(["batch", str(photo), "-o", str(out), "--sidecar", *FLAGS]) == 0  # ours are replaced
    assert sidecar_of(target).stat().st_ino != before
    assert still(photo, target, "--sidecar", "--overwrite") == 0


def test_a_state_is_not_begun_in_what_others_have(tmp_path, theirs, capfd):
    photo = picture(tmp_path / "a.png")
    for kind in ("folder is a link", "file is a link", "database of others"):
        out = tmp_path / kind
        out.mkdir()
        if kind == "folder is a link":
            (out / ".vsr").symlink_to(theirs)
        else:
            (out / ".vsr").mkdir()
            database = (
                tmp_path / "bookmarks.sqlite" if kind == "file is a link" else out / ".vsr" / "state.sqlite"
            )
            with sqlite3.connect(database) as opened:
                opened.execute("create table places (url text)")
            opened.close()
            if kind == "file is a link":
                (out / ".vsr" / "state.sqlite").symlink_to(database)
        before = state_of_all(tmp_path)
        assert run(["batch", str(photo), "-o", str(out), *FLAGS]) == 1
        assert "left alone" in (said := capfd.readouterr().err) or "is a link" in said
        assert state_of_all(tmp_path) == before


def test_a_result_that_comes_to_exist_meanwhile_is_not_replaced(tmp_path, monkeypatch, capfd, clip):
    photo, out = picture(tmp_path / "a.png"), tmp_path / "b.png"
    write = stream.ImageSink.write

    def slowly(self, frame):
        out.write_bytes(PRECIOUS)
        write(self, frame)

    with monkeypatch.context() as patched:
        patched.setattr(stream.ImageSink, "write", slowly)
        assert still(photo, out) == 1
        assert out.read_bytes() == PRECIOUS
        assert "has come to exist" in capfd.readouterr().err
        assert still(photo, out, "--overwrite") == 0
    (tmp_path / "c.png").symlink_to(tmp_path / "nowhere.png")  # a name that is taken, if by nothing
    assert still(photo, tmp_path / "c.png") == 1
    assert (tmp_path / "c.png").is_symlink()


def test_an_input_is_no_output_by_any_name(tmp_path, clip, capfd):
    photo = picture(tmp_path / "a.png")
    (tmp_path / "here").symlink_to(tmp_path)
    for source, ending in ((photo, ".png"), (clip, ".mkv")):
        os.link(source, tmp_path / f"hard{ending}")
        (tmp_path / f"soft{ending}").symlink_to(source)
        before = source.read_bytes()
        for name in (
            f"hard{ending}",
            f"soft{ending}",
            f"here/{source.name}",
            f"here/../{tmp_path.name}/{source.name}",
        ):
            assert still(source, tmp_path / name, "--overwrite", "--segment", "off") == 2
            assert "input itself" in capfd.readouterr().err
        assert still(source, tmp_path / f"new{ending}", "--report", str(tmp_path / "here" / source.name)) == 2
        assert source.read_bytes() == before


def test_a_report_that_cannot_be_written_is_an_error(tmp_path, capfd, monkeypatch):
    def refuse(*_: object) -> None:
        raise SinkError("no room")

    monkeypatch.setattr("vsr.cli.enhance_report.write_result", refuse)
    photo = picture(tmp_path / "a.png")
    assert still(photo, tmp_path / "b.png", "--report", str(tmp_path / "r.json")) == 1
    assert "error: report" in capfd.readouterr().err
    assert (tmp_path / "b.png").exists()


def test_what_did_not_verify_before_stays(tmp_path, monkeypatch, capfd):
    photo, kept = picture(tmp_path / "a.png"), tmp_path / "b.unverified.png"
    kept.write_bytes(PRECIOUS)
    monkeypatch.setattr(stream, "difference", lambda *_: "pixels differ")
    assert still(photo, tmp_path / "b.png") == 3
    assert still(photo, tmp_path / "b.png") == 3
    assert kept.read_bytes() == PRECIOUS
    assert {path.name for path in tmp_path.glob("b.*")} == {
        kept.name,
        "b.unverified.2.png",
        "b.unverified.3.png",
    }


@pytest.mark.parametrize("letters", ["x", "ü", "字"])
def test_names_as_long_as_the_file_system_has_them(clip, tmp_path, letters, capfd, monkeypatch):
    def name(ending: str) -> str:
        return letters * ((255 - len(ending)) // len(letters.encode())) + ending

    photo = picture(tmp_path / "a.png")
    assert still(photo, tmp_path / name(".png"), "--sidecar") == 0
    assert enhance(clip, tmp_path / name(".mkv"), "--sidecar") == 0
    assert (
        enhance(clip, tmp_path / name(".mov"), "--segment", "off", "--also", str(tmp_path / name(".mp4")))
        == 0
    )
    assert len(list(tmp_path.glob("*.vsr.json"))) == 2
    monkeypatch.setattr(stream, "difference", lambda *_: "pixels differ")
    assert still(photo, tmp_path / name(".png"), "--overwrite") == 3
    assert len(list(tmp_path.glob("*.unverified.png"))) == 1
    assert still(photo, tmp_path / f"xxx{name('.png')}") == 1
    assert "255 are accepted" in capfd.readouterr().err
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]

"""What a user names becomes pairs of input and output, or one clear line."""

from pathlib import Path

import pytest

from vsr.errors import ConfigError
from vsr.jobs import find_jobs


@pytest.mark.parametrize("is_link", [False, True])
def test_an_output_that_is_a_file_where_a_folder_is_meant_is_refused(tmp_path: Path, *, is_link: bool):
    (tmp_path / "in.mp4").touch()
    out = tmp_path / "results"
    if is_link:
        out.symlink_to(tmp_path / "nowhere")
    else:
        out.touch()
    with pytest.raises(
        ConfigError, match=r"results is no folder; name another one, or a file with an ending"
    ):
        find_jobs([str(tmp_path / "in.mp4")], out=str(out))


def test_an_output_that_is_a_link_to_a_folder_is_one(tmp_path: Path):
    (tmp_path / "in.mp4").touch()
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "disk")
    (job,) = find_jobs([str(tmp_path / "in.mp4")], out=str(tmp_path / "results"))
    assert job.target == tmp_path / "results/in.mp4"


def test_what_is_named_twice_is_done_once_and_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    told: list[str] = []
    named = ["a.mp4", "*.mp4", str(tmp_path / "a.mp4"), "."]
    jobs = find_jobs(named, suffix="_x2", tell=told.append)
    targets = [(str(job.path), job.target.name, job.clash) for job in jobs]
    assert targets[:2] == [("a.mp4", "a_x2.mp4", ""), ("b.mp4", "b_x2.mp4", "")]
    assert [job.target.parent.name for job in jobs[2:]] == [
        f"{tmp_path.name}_x2"
    ] * 2  # a folder's are others
    assert told == [f"note: {name} is named more than once and enhanced once" for name in ("a.mp4", named[2])]

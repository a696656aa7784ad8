"""The names that users import are a checked list."""

import vsr


def test_exported_names_are_sorted_and_there():
    assert vsr.__all__ == sorted(vsr.__all__)
    assert all(hasattr(vsr, name) for name in vsr.__all__)


def test_the_readme_example_runs(make_clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_clip("clip.mp4", num_frames=3).replace(tmp_path / "clip.mp4")
    source = vsr.VideoSource("clip.mp4")
    engine = vsr.Engine([vsr.load("fast-x2")])
    sink = vsr.FileSink(
        "large.mp4",
        source=source.info,
        format=engine.output_format(source.info.format),
        options=vsr.EncodeOptions(),
    )
    assert vsr.enhance(source, engine, sink).num_frames == 3
    assert vsr.probe("large.mp4").format.height == 2 * source.info.format.height

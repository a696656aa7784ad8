"""Faces: what a package exports is there, and is imported only when asked for."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "vsr"
FACES = sorted(
    path for path in ROOT.rglob("__init__.py") if "lazy_exports(" in path.read_text(encoding="utf-8")
)


def name_of(face: Path) -> str:
    return ".".join(face.parent.relative_to(ROOT.parent).parts)


def exports(face: Path) -> dict[str, str]:
    """By name the module that it comes from."""
    nodes = ast.walk(ast.parse(face.read_text(encoding="utf-8")))
    (block,) = (
        node for node in nodes if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    return {alias.name: inner.module for inner in block.body for alias in inner.names}


@pytest.mark.parametrize("face", FACES, ids=name_of)
def test_what_a_face_exports_is_there(face: Path):
    package = import_module(name_of(face))
    for name, place in exports(face).items():
        assert place.startswith(name_of(face))
        assert getattr(package, name) is getattr(import_module(place), name)
    assert set(getattr(package, "__all__", exports(face))) == set(exports(face))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing


def test_a_face_has_only_what_was_asked_for():
    code = "import vsr.engine, vsr.media; vsr.media.PROTOCOLS; print(*vars(vsr.engine), *vars(vsr.media))"
    there = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "PROTOCOLS" in there
    assert not {"Engine", "find_ffmpeg"} & set(there)


@pytest.mark.parametrize("face", FACES, ids=name_of)
def test_a_face_exports_no_name_that_one_of_its_modules_has(face: Path):
    """Importing the module would put it in the name's place."""
    beside = {path.stem for path in face.parent.iterdir()}
    assert not beside & set(exports(face))


def test_faces_import_neither_torch_nor_opencv():
    code = f"import sys, {', '.join(map(name_of, FACES))}; assert not {{'torch', 'cv2', 'av'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

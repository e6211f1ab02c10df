"""Every pattern keeps what its scenes say, on one host in memory."""

from pathlib import Path

import pytest

from avm.kit import puppet
from avm.kit.playing import SCENES, Scene, play
from avm.kit.process import Process

PATTERNS = Path(__file__).parents[2] / "caps" / "patterns"
PROPS = {"puppet": puppet.__file__, "mint": str(PATTERNS / "mint.py")}
ALL = [(pattern, scene) for pattern, scenes in SCENES.items() for scene in scenes]


@pytest.mark.parametrize(("pattern", "scene"), ALL, ids=lambda one: getattr(one, "__name__", one))
def test_x03_a_pattern_keeps_what_its_scene_says(pattern: str, scene: Scene) -> None:
    file = PATTERNS / f"{pattern}.py"
    assert play(scene, Process(), str(file), PROPS) == ""

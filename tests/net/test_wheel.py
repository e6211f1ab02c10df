"""What `pip install` brings is all that the quick start needs, in a folder with no checkout near it."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from time import monotonic

import pytest

from tests.net.hosts import ROOT
from tests.net.test_cli_verbs import Shell

pytestmark = pytest.mark.net
QUICK_S = 60.0


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked as an installation has it."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(ROOT)], check=True, capture_output=True)
    (wheel,) = folder.glob("avm_host-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_is_typed_and_has_its_command_and_nothing_else(installed: Path) -> None:
    kept = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert kept == {"caps", "dht", "avm"}
    assert all((installed / name / "py.typed").is_file() for name in kept)
    (entry,) = installed.glob("*.dist-info/entry_points.txt")
    assert "avm-host = avm.cli.main:main" in entry.read_text()


def test_x10_a_host_is_crashed_in_the_quick_start_and_nothing_is_lost(
    installed: Path, tmp_path: Path
) -> None:
    begun = monotonic()
    shell = Shell(tmp_path, prepared=False)
    shell.environ = {**os.environ, "PYTHONPATH": str(installed)}
    shell.ok("new", "counter")
    shell.path = tmp_path / "counter"
    shell.environ["AVM_HOST_DIR"] = str(shell.path / ".avm")
    whose = [sys.executable, "-c", "import avm; print(avm.__file__)"]
    said = subprocess.check_output(whose, cwd=shell.path, env=shell.environ, text=True)
    assert said.startswith(str(installed))
    tests = [sys.executable, "-m", "unittest"]
    subprocess.run(tests, cwd=shell.path, env=shell.environ, check=True, capture_output=True)
    try:
        shell.start()
        shell.ok("create", "counter.py")
        assert json.loads(shell.ok("call", "counter.add", "5")) == 5
        shell.kill()
        shell.start()
        assert json.loads(shell.ok("call", "counter.read")) == 5
        assert "every digest agrees" in shell.ok("replay", "counter")
        shell.ok("stop")
    finally:
        shell.kill()
    assert monotonic() - begun < QUICK_S

"""A host in the foreground: `python -m bench.serve DIR [--record=DIR] [KEY=VALUE ..]`."""

import sys
from pathlib import Path

from avm.run.config import Config
from avm.run.directory import Directory
from avm.run.starting import run

RECORD = "--record="

if __name__ == "__main__":
    _program, path, *words = sys.argv
    directory = Directory(Path(path))
    settings = [one for one in words if not one.startswith(RECORD)]
    places = [Path(one.removeprefix(RECORD)) for one in words if one.startswith(RECORD)]
    config = Config.read(directory.path / "config.toml", settings)
    sys.exit(run(directory, config, places[0] if places else None))

"""A host in the foreground: `python -m bench.serve DIR [KEY=VALUE ..]`."""

import sys
from pathlib import Path

from avm.run.config import Config
from avm.run.directory import Directory
from avm.run.runtime import run

if __name__ == "__main__":
    _program, path, *settings = sys.argv
    directory = Directory(Path(path))
    sys.exit(run(directory, Config.read(directory.path / "config.toml", settings)))

"""The command line where no file gets longer than a few bytes: as on a full disk, but that the kernel names it otherwise.

Nothing is kept there of what Python compiles: it takes the part that was written for the whole, and for good.
"""

import sys

PROGRAM = """
import resource, sys
sys.dont_write_bytecode = True
from avm.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
sys.exit(main(sys.argv[1:]))
"""
COMMAND = (sys.executable, "-c", PROGRAM)

"""The packets between the host and the prepared process, on a socket that keeps packets whole.

Before step 4 of the journey. A request is (FORK, 0), with the worker's end of its socket beside
it, or (END, pid). The answer to FORK is (0, pid), to END (0, exit code), negative for a signal;
either is (errno, 0) when it cannot be done.
"""

from errno import ESRCH
from struct import Struct

REQUEST = Struct("<BI")
ANSWER = Struct("<ii")
FORK, END = range(2)
UNKNOWN = ESRCH

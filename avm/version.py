"""The version of this distribution, which the build reads too: looking it up takes longer."""

VERSION = "0.1.0"

"""The code of a world's machines, by the bytes of its bundle. Pure."""

from avm.machine.bundle import Bundle, decode
from avm.machine.live import CannotLoad, Code
from avm.machine.loader import load


class Codes(dict[bytes, Code]):
    """The code of each bundle of a world."""

    def of(self, bundle: bytes) -> Code:
        """The code of a bundle; raises `CannotLoad`."""
        if bundle not in self:
            raise CannotLoad("its code is missing")
        return self[bundle]

    def add(self, name: str, code: Code | Bundle, salt: bytes) -> bytes:
        """Takes up a machine's code; its bundle: that of a file, or one made up of name and salt."""
        if isinstance(code, Bundle):
            bundle = code.encode()
            self[bundle] = load(code)
        else:
            bundle = name.encode() + salt
            self[bundle] = code
        return bundle


def load_bundle(bundle: bytes) -> Code:
    """The code of a file's bundle; raises `Malformed` and `BundleRefused`."""
    return load(decode(bundle))

"""Values as bytes (being written)."""

from caps.plain import dumps_plain, loads_plain_untrusted

__all__ = ["dumps_plain", "loads_plain_untrusted"]

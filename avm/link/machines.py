"""Which machines the peer of a link speaks for: certificates checked, kept, and refused. Pure."""

from avm.link.control import Speaks
from avm.link.handshake import Refuse
from avm.link.interface import Why
from avm.link.limits import LinkLimits
from caps.certificate import Certificate, InvalidCertificate
from caps.hostproof import HostProof


class Machines:
    """What one peer has proven."""

    __slots__ = ("_certificates", "_limits", "_refused")

    def __init__(self, limits: LinkLimits) -> None:
        self._limits = limits
        self._certificates: dict[bytes, Certificate] = {}
        self._refused = 0

    def __len__(self) -> int:
        return len(self._certificates)

    def hear(self, said: Speaks, peer: HostProof, now_ms: int) -> bool:
        """Tell whether the peer speaks for that machine; raises `Refuse` for one that floods.

        A certificate that is known costs no signature check.
        """
        known = self._certificates.get(said.machine.address)
        if known == said.certificate:
            return self.speaks_for(said.machine.address, now_ms)
        try:
            self._check(said, peer, known, now_ms)
        except InvalidCertificate as error:
            self._refused += 1
            if self._refused >= self._limits.refused_machines:
                raise Refuse(Why.FLOODED, str(error)) from error
            return False
        self._certificates[said.machine.address] = said.certificate
        return True

    def speaks_for(self, machine: bytes, now_ms: int) -> bool:
        """Tell whether the peer has proven that it speaks for that machine, and still does."""
        certificate = self._certificates.get(machine)
        if certificate is None:
            return False
        try:
            certificate.check_time(now_ms)
        except InvalidCertificate:
            return False
        return True

    def _check(self, said: Speaks, peer: HostProof, known: Certificate | None, now_ms: int) -> None:
        if said.certificate.is_hosts_own:
            raise InvalidCertificate("the certificate is of a host's own key")
        if not said.certificate.is_for(peer.address, peer.key):
            raise InvalidCertificate("the certificate is for another host")
        if known is None and len(self) >= self._limits.machines:
            raise InvalidCertificate("more machines than a link has room for")
        said.certificate.check(said.machine, now_ms)
        if known is not None and not said.certificate.newer_than(known):
            raise InvalidCertificate("a newer certificate is known")

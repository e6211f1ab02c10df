"""Options shared by all tests."""

import pytest
from hypothesis import HealthCheck, Phase, settings

# A machine that is busy with other work is no failure.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Of a seeded fault it is enough that it is found: no smaller example is looked for.
unshrunk = (Phase.explicit, Phase.generate)
settings.register_profile(
    "mutants", parent=settings.get_profile("busy"), phases=unshrunk, derandomize=True
)
settings.load_profile("busy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the longer campaigns too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="part of the longer campaign: --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)

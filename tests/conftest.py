"""Settings of all tests, and where those of models compute."""

import pytest
import torch
from devices import DEVICE
from hypothesis import settings

settings.register_profile("ponder", deadline=None)  # a busy machine is no failure
settings.load_profile("ponder")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and DEVICE != "cuda":
        pytest.skip("needs a CUDA GPU")
    if item.get_closest_marker("cpu") and DEVICE == "cuda":
        pytest.skip("forks processes, which CUDA does not survive")


@pytest.fixture(scope="session")
def device() -> torch.device:
    """A CUDA GPU where there is one."""
    return torch.device(DEVICE)

"""Where tests of models compute: on a CUDA GPU where there is one, unless PONDER_TEST_DEVICE says otherwise."""

import os

import torch

__all__ = ["DEVICE"]

DEVICE = os.environ.get("PONDER_TEST_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")

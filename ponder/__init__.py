"""ponder: train reasoning models the way DeepSeek-R1 was trained, from one recipe file.

Importing this package runs nothing and loads no torch.
"""

__all__ = ["__version__"]
__version__ = "0.1.0"

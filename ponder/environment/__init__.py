"""What answers a model in conversations of several turns: tools, and classes of the user's own.

toolbox.py     Toolbox: a call -> what it gives, whatever the tool does
world.py       World: a reply -> what it is answered with, or the end
"""

from ponder.environment.toolbox import Toolbox
from ponder.environment.world import Answer, World

__all__ = ["Answer", "Toolbox", "World"]

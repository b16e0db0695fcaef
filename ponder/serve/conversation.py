"""A conversation: a tree of messages, of which one path is shown. The file is the one that the chat page exports.

{"form": "ponder-chat-1", "title": "Sums", "system": "", "leaf": 2,
 "nodes": [{"id": 1, "parent": 0, "role": "user", "content": "1 + 1?"}, {"id": 2, "parent": 1, ...}]}
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from ponder.errors import DataError
from ponder.files import write_text

__all__ = ["Conversation", "Node"]


class Node(BaseModel):
    """A message. What else a reply carries, such as `usage`, is kept as it came."""

    model_config = ConfigDict(extra="allow")

    id: Annotated[int, Field(ge=1)]
    parent: Annotated[int, Field(ge=0)]
    role: Literal["user", "assistant"]
    content: str
    reasoning_content: str | None = None
    usage: dict[str, Any] | None = None
    ponder: dict[str, Any] | None = None
    ended: str | None = None


class Conversation(BaseModel):
    """`leaf` is the last message of the path that is shown; 0 where there is none."""

    form: Literal["ponder-chat-1"] = "ponder-chat-1"
    title: str = ""
    system: str = ""
    nodes: list[Node] = Field(default_factory=list)
    leaf: int = 0
    _files: set[str] = PrivateAttr(default_factory=set)
    """Where it was saved, or loaded from: only these may be written anew."""

    @model_validator(mode="after")
    def _is_a_tree(self) -> Self:
        known = {0}
        for node in self.nodes:
            if node.id in known or node.parent not in known:
                raise ValueError(f"message {node.id} is there twice, or stands before the one it follows")
            known.add(node.id)
        if self.leaf not in known:
            raise ValueError(f"there is no message {self.leaf}, which leaf names")
        return self

    def add(self, parent: int, role: Literal["user", "assistant"], content: str = "") -> Node:
        """A message more, which is shown."""
        node = Node(id=1 + max((one.id for one in self.nodes), default=0), parent=parent, role=role, content=content)
        self.nodes.append(node)
        self.leaf = node.id
        if role == "user":
            self.title = self.title or content.strip()[:60]
        return node

    def path(self) -> list[Node]:
        """From the first message to `leaf`."""
        by_id = {one.id: one for one in self.nodes}
        found, at = list[Node](), self.leaf
        while at:
            found.append(by_id[at])
            at = by_id[at].parent
        return found[::-1]

    def messages(self) -> list[dict[str, str]]:
        """What is sent: without thinking, as R1's chat does."""
        said = [{"role": one.role, "content": one.content} for one in self.path()]
        return [{"role": "system", "content": self.system}, *said] if self.system else said

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all. DataError where its folder is not there, and for a file that is there
        and is not this conversation's."""
        place = os.path.realpath(path)
        if not os.path.isdir(os.path.dirname(place)):
            raise DataError(f"There is no folder {str(path.parent)!r}: make it, or name a file in another one.")
        if os.path.exists(place) and place not in self._files:
            raise DataError(
                f"{str(path)!r} is there already, and this conversation was neither saved there nor loaded from there: "
                f"name another file, or remove that one."
            )
        write_text(Path(place), self.model_dump_json(indent=1, exclude_none=True) + "\n")
        self._files.add(place)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file; DataError for one that is no conversation."""
        try:
            found = cls.model_validate_json(path.read_bytes())
            why = None if "form" in found.model_fields_set else "it has no form"
        except ValidationError as error:
            one = error.errors(include_url=False)[0]
            place = ".".join(map(str, one["loc"]))
            why = f"{place}: {one['msg']}" if place else one["msg"]
        if why is not None:
            raise DataError(
                f"{str(path)!r} is no conversation: {why}. Expected a file that /save wrote, or that the chat page "
                f"exported."
            )
        found._files.add(os.path.realpath(path))
        return found

"""The roles, each of which may do all that the one before it may, and who is asking."""

from __future__ import annotations

from dataclasses import dataclass

from resight.core.errors import unknown_name
from resight.gallery.gallery import Gallery

# viewer: lists and pictures. searcher: searches, with a purpose. operator: adds and links. controller: forgets,
# exports, reads the audit. admin: keys and jobs.
ROLES = ("viewer", "searcher", "operator", "controller", "admin")


def check_role(role: str) -> str:
    """The role. Raises ConfigError if there is none of this name."""
    if role not in ROLES:
        raise unknown_name("role", role, ROLES)
    return role


def reaches(role: str, needed: str) -> bool:
    """Whether the role may do what needs the other one."""
    return ROLES.index(role) >= ROLES.index(needed)


@dataclass(frozen=True)
class Caller:
    """Who asks. key: the id of the key. cameras: what the key is bounded to; None: all. csrf: the token that forms and
    scripts of the page have to give; empty where a key came in a header."""

    key: str
    name: str
    role: str
    cameras: tuple[str, ...] | None = None
    csrf: str = ""

    @property
    def who(self) -> str:
        """As the audit has it."""
        return f"{self.name} ({self.role})"

    def may(self, role: str) -> bool:
        """Whether the caller may do what needs this role."""
        return reaches(self.role, role)

    def view(self, gallery: Gallery, purpose: str = "") -> Gallery:
        """The gallery as this caller may see it."""
        return gallery.within(self.cameras, who=self.who, purpose=purpose)

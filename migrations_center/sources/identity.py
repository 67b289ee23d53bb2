"""Tells an installation again, whatever its address: a later copy of the same one has the same fingerprint.

It is made of facts that neither product ever changes: the moment of installation where the product keeps it, and the
invitation code of the first person that has one (root's is made late, so root does not count).
"""

import hashlib

from migrations_center.sources.gateway import Snapshot
from migrations_center.sources.records import ROLE_ROOT


def fingerprint(snapshot: Snapshot) -> str:
    """SHA-256 in hex."""
    facts = [snapshot.product]
    if snapshot.installed:
        facts += [f"{name}={value}" for name, value in sorted(snapshot.installed.items())]
    else:
        people = [user for user in snapshot.users if user.aff_code and user.role < ROLE_ROOT]
        facts += [f"{user.id}={user.aff_code}" for user in sorted(people, key=lambda user: user.id)[:1]]
    return hashlib.sha256("\x1f".join(facts).encode()).hexdigest()

"""Verifies the bcrypt hashes of One API and New API (``bcrypt$`` + ``$2a$10$...``)."""

from django.contrib.auth.hashers import BCryptPasswordHasher


class ImportedBcryptHasher(BCryptPasswordHasher):
    """Plain bcrypt that refuses, instead of raising, passwords beyond bcrypt's 72 bytes."""

    algorithm = "bcrypt"

    def verify(self, password: str, encoded: str) -> bool:
        if len(password.encode()) > 72:
            return False
        return super().verify(password, encoded)

    def must_update(self, encoded: str) -> bool:
        return True

    def harden_runtime(self, password: str, encoded: str) -> None:
        """Django would redo the difference in rounds; imported hashes are replaced at the first login instead."""

"""What of a limit of calls is used just now; the relay knows, one floor higher up, and installs itself here."""

from collections.abc import Callable, Sequence

# (of, subject) -> what runs or was used in this minute: {"calls": n, "tokens": n, "slots": n}; missing when not known.
Reader = Callable[[Sequence[tuple[str, str]]], dict[tuple[str, str], dict[str, int]]]
_readers: list[Reader] = []


def install(reader: Reader) -> None:
    _readers[:] = [reader]


def used_now(subjects: Sequence[tuple[str, str]]) -> dict[tuple[str, str], dict[str, int]]:
    return _readers[0](subjects) if _readers and subjects else {}

"""Why something about a plan or a wave was refused; each class has a stable code."""

from collections.abc import Sequence

from config.foundation.errors import Conflict, InvalidInput
from migrations_center.plans.gates import Finding


class PlanExists(Conflict):
    """This source has a plan already."""

    code = "plan_exists"


class PersonInAnotherWave(Conflict):
    """A person is in one wave at a time."""

    code = "person_in_another_wave"


class NotOfThisSource(InvalidInput):
    """These people did not come from the source of this plan."""

    code = "not_of_this_source"


class AlreadyHere(Conflict):
    """These people were charged here already: they cannot move in a wave."""

    code = "already_here"


class WrongState(Conflict):
    """The wave is in a state that does not allow this."""

    code = "wave_state"


class EarlierWaveOpen(Conflict):
    """An earlier wave has not passed yet."""

    code = "earlier_wave_open"


class WindowOver(Conflict):
    """The rollback window of this wave is over."""

    code = "window_over"


class GatesRed(Conflict):
    """Something stands in the way; ``findings`` lists it."""

    code = "gates_red"

    def __init__(self, message: str, found: Sequence[Finding]) -> None:
        listed = [{"code": one.code, "who": one.who, **one.detail} for one in found]
        super().__init__(message, findings=listed)
        self.findings = list(found)

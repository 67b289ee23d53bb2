"""Why an import stops. Each has a stable code; none repeats a secret."""

from config.foundation.errors import Conflict, InvalidInput


class ControlTotalsMismatch(Conflict):
    """The sums do not tie out to the unit, so nothing was moved."""

    code = "control_totals_differ"


class ImportAlreadyRunning(Conflict):
    """This source is being imported at this moment."""

    code = "import_running"


class ImportStopped(Conflict):
    """The import was stopped between two steps. Start it again and it goes on where it ended."""

    code = "import_stopped"


class RunNotReady(Conflict):
    """This run cannot do that in the state it is in."""

    code = "run_not_ready"


class UnitChanged(Conflict):
    """The old gateway's units per dollar changed since the last import, which would revalue every balance."""

    code = "unit_changed"


class UpstreamUnknown(InvalidInput):
    """There is no upstream of this name."""

    code = "upstream_unknown"


class AddressForgotten(Conflict):
    """The address of the database is kept for an hour only. Type it again."""

    code = "source_address_forgotten"


class FileGone(Conflict):
    """The uploaded file is no longer there. Upload it again."""

    code = "source_file_gone"

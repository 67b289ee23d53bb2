"""Runs every benchmark in turn: ``python -m bench [name ...]``. Each is bounded in count and time and uses loopback only."""

import subprocess
import sys
import time

SCRIPTS = {
    "ledger": "hold and settle pairs beside the raw SQL floor",
    "usage_pages": "usage pages, roll-up and call lists over ten million rows",
    "call_lists": "pages of calls, usage and ledger over a million rows",
    "relay": "charged calls beside the demo upstream called directly",
    "import_rows": "log rows imported beside a raw COPY of the same rows",
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in SCRIPTS]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(SCRIPTS)}", file=sys.stderr)
        return 2
    failed = []
    for name in names or SCRIPTS:
        print(f"\n== {name}: {SCRIPTS[name]}", flush=True)
        began = time.monotonic()
        if subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode:
            failed.append(name)
        print(f"   ({time.monotonic() - began:.0f} s)", flush=True)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Runs every benchmark in turn: ``python -m bench [name ...] [--option value ...]``; ``make bench ARGS="..."`` does the same.

Each is bounded in count and time and uses loopback only. Options go to every benchmark named before them:
``usage_rollup usage_pages --rows 1000000``; ``name --help`` lists them.
"""

import subprocess
import sys
import time

SCRIPTS = {
    "ledger": "hold and settle pairs beside the raw SQL floor",
    "usage_rollup": "usage folded beside a raw GROUP BY, and counted again, over ten million rows",
    "usage_pages": "usage pages and call lists over ten million rows",
    "call_lists": "pages of calls, usage and ledger over a million rows",
    "relay": "charged calls beside the upstream called directly, LiteLLM's proxy and a bare forwarder",
    "import_rows": "log rows imported beside a raw COPY of the same rows",
}


def main(words: list[str]) -> int:
    at = next((n for n, word in enumerate(words) if word.startswith("-")), len(words))
    names, options = words[:at], words[at:]
    if options and not names:
        print("options are for a benchmark that is named", file=sys.stderr)
        return 2
    unknown = [name for name in names if name not in SCRIPTS]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(SCRIPTS)}", file=sys.stderr)
        return 2
    failed = []
    for name in names or SCRIPTS:
        print(f"\n== {name}: {SCRIPTS[name]}", flush=True)
        began = time.monotonic()
        if subprocess.run([sys.executable, "-m", f"bench.{name}", *options], check=False).returncode:
            failed.append(name)
        print(f"   ({time.monotonic() - began:.0f} s)", flush=True)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

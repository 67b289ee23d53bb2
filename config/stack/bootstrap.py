"""Make ``.venv`` and install what a requirements file lists, hashes checked. Runs with a bare Python 3.11, without packages.

``python3.11 config/stack/bootstrap.py bundled`` (to run the portal) or ``dev`` (to test it). Does nothing when the
environment holds that list already.
"""

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
# What a list contains besides its own: who installed "dev" needs no "bundled" any more.
CONTAINED_IN = {"base": ("base", "bundled", "dev"), "bundled": ("bundled", "dev"), "dev": ("dev",)}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in CONTAINED_IN:
        print(f"say which list: {', '.join(CONTAINED_IN)}", file=sys.stderr)
        return 2
    if sys.version_info[:2] != (3, 11):
        print(f"Python 3.11 is needed, this is {sys.version.split()[0]}: make PYTHON=/path/to/python3.11", file=sys.stderr)
        return 1
    return ensure(CHECKOUT, arguments[0])


def ensure(checkout: Path, name: str) -> int:
    """0 when the environment holds the list, else the installer's exit code."""
    folder = checkout / ".venv"
    python = folder / "bin" / "python"
    if python.exists() and any(_is_installed(checkout, listed) for listed in CONTAINED_IN[name]):
        return 0
    requirements = checkout / "requirements" / f"{name}.txt"
    uv = shutil.which("uv")
    if not python.exists():
        print(f"making {folder.name}", flush=True)
        code = _make(folder, uv)
        if code != 0:
            return code
    print(f"installing {requirements.relative_to(checkout)} with {'uv' if uv else 'pip'}", flush=True)
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python", str(python)]
    else:
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        if subprocess.run([str(python), "-c", "import pip"], capture_output=True, check=False).returncode != 0:
            code = subprocess.run([str(python), "-m", "ensurepip"], stdout=subprocess.DEVNULL, check=False).returncode
            if code != 0:
                return code
    code = subprocess.run([*command, "--require-hashes", "-r", str(requirements)], cwd=checkout, check=False).returncode
    if code == 0:
        _stamp(checkout, name).write_text(_digest(checkout, name), encoding="ascii")
    return code


def _make(folder: Path, uv: str | None) -> int:
    if uv:
        return subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=False).returncode
    try:
        venv.create(folder, with_pip=True)
    except (subprocess.CalledProcessError, ImportError):
        shutil.rmtree(folder, ignore_errors=True)
        print("this Python cannot make environments: install its venv package (python3.11-venv on Debian)", file=sys.stderr)
        return 1
    return 0


def _is_installed(checkout: Path, name: str) -> bool:
    try:
        return _stamp(checkout, name).read_text(encoding="ascii") == _digest(checkout, name)
    except FileNotFoundError:
        return False


def _stamp(checkout: Path, name: str) -> Path:
    return checkout / ".venv" / f"installed-{name}"


def _digest(checkout: Path, name: str) -> str:
    return hashlib.sha256((checkout / "requirements" / f"{name}.txt").read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

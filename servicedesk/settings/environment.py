"""The environment: only settings read it, through `env`. `.env.example` lists every variable."""

import os
import secrets
from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent.parent

env = environ.Env()
if (BASE_DIR / ".env").is_file():
    env.read_env(BASE_DIR / ".env")

DESK_HOME = Path(env.str("DESK_HOME", default=str(BASE_DIR / "var"))).resolve()


def private_file(name: str, make: str) -> str:
    """The content of a file in DESK_HOME that only its owner may read, made on first use.

    Two processes that start at once agree on the content: only one of them can link its
    finished draft to the name, and both read what stands there.
    """
    path = DESK_HOME / name
    if not path.exists():
        DESK_HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = DESK_HOME / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
        draft.touch(mode=0o600)
        draft.write_text(make)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()

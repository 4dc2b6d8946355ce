"""Every benchmark, one after the other: `python -m benchmarks [name… [--option…]]`.

Options are for those that are named. On the PostgreSQL that the tests would use: the local one,
else one started from wheels.
"""

import os
import subprocess
import sys
from itertools import takewhile

from servicedesk.tests.services import find_services

NAMES = ("calendar", "escalation", "assignment", "console", "live")


def main(arguments: list[str]) -> int:
    wanted = list(takewhile(lambda argument: not argument.startswith("-"), arguments))
    options = arguments[len(wanted) :]
    if unknown := set(wanted) - set(NAMES):
        print(f"There are {', '.join(NAMES)}, but no {', '.join(unknown)}.", file=sys.stderr)
        return 2
    codes = []
    with find_services() as (postgres, _):
        for name in wanted or NAMES:
            print(f"=== {name}", flush=True)
            environment = {**os.environ, "BENCH_DATABASE_URL": postgres.url}
            command = [sys.executable, "-m", f"benchmarks.{name}", *options]
            codes.append(subprocess.run(command, env=environment, check=False).returncode)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

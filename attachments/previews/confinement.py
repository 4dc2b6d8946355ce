"""What a process gives up before it opens a stranger's file.

`limit` is what every Unix offers. `lock` is Linux' seccomp: from then on the process can read,
write and seek the files that it has, take memory and end, and nothing else: no opening, no
sockets, no other programs, no signals to anybody. (RLIMIT_NPROC alone does not hold root.)
"""

import ctypes
import os
import platform
import resource
import signal
import struct
import sys

from attachments.previews import limits

PR_SET_PDEATHSIG = 1
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2

# Of <linux/audit.h>, and the numbers of the calls: those of <asm/unistd.h>.
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOWED = {
    #                  x86_64, aarch64
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "readv": (19, 65),
    "writev": (20, 66),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "getpid": (39, 172),
    "exit": (60, 93),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "getrandom": (318, 278),
}

# Of <linux/filter.h> and <linux/seccomp.h>.
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER_AT, ARCHITECTURE_AT = 0, 4
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000  # refused: EPERM


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def limit() -> None:
    """Bound memory, time, files and processes; a dump of the memory is never written."""
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_CPU, limits.CPU_SECONDS, limits.CPU_SECONDS + 2)
    _bound(resource.RLIMIT_FSIZE, limits.ANSWER)
    _bound(resource.RLIMIT_NOFILE, limits.OPEN_FILES)
    _bound(resource.RLIMIT_NPROC, 0)
    # Should whoever started this be killed, nobody is left who counts the seconds.
    signal.alarm(limits.SECONDS + 5)
    if sys.platform == "linux":
        # Elsewhere it cannot be set.
        _bound(resource.RLIMIT_AS, limits.MEMORY)
        _control(PR_SET_PDEATHSIG, signal.SIGKILL)


def _bound(what: int, soft: int, hard: int | None = None) -> None:
    most = resource.getrlimit(what)[1]
    values = (soft, soft if hard is None else hard)
    if most != resource.RLIM_INFINITY:
        values = (min(values[0], most), min(values[1], most))
    resource.setrlimit(what, values)


def lock() -> bool:
    """Refuse every call to the system that drawing does not need. False where this is not a
    Linux whose calls are known here."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in ARCHITECTURES:
        return False
    column = list(ARCHITECTURES).index(machine)
    instructions = _instructions(
        ARCHITECTURES[machine], [numbers[column] for numbers in ALLOWED.values()]
    )
    _control(PR_SET_NO_NEW_PRIVS, 1)
    program = _Program(len(instructions), b"".join(instructions))
    _control(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program))
    return True


def _instructions(architecture: int, numbers: list[int]) -> list[bytes]:
    """A BPF program: another architecture kills, a listed call is allowed, the rest is refused."""
    last = len(numbers)
    return [
        _instruction(LOAD, ARCHITECTURE_AT),
        _instruction(JUMP_IF_EQUAL, architecture, if_true=1),
        _instruction(RETURN, KILL),
        _instruction(LOAD, NUMBER_AT),
        *(
            _instruction(JUMP_IF_EQUAL, number, if_true=last - position)
            for position, number in enumerate(numbers)
        ),
        _instruction(RETURN, REFUSE),
        _instruction(RETURN, ALLOW),
    ]


def _instruction(code: int, value: int, *, if_true: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, 0, value)


def _control(option: int, *values: object) -> None:
    """prctl; its unused arguments have to be 0."""
    arguments = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in values]
    arguments += [ctypes.c_ulong(0)] * (4 - len(values))
    if ctypes.CDLL(None, use_errno=True).prctl(option, *arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

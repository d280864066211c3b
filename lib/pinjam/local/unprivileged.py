"""Run one command as an ordinary account, from root: `unprivileged.py UID GID REACH COMMAND...`.

PostgreSQL refuses to run as root. With REACH `1` the command keeps the one capability (Linux) that lets it
pass through folders that only root may enter, such as root's home, so that no folder's mode is changed.
It is run by path with an isolated interpreter, and imports the standard library only.
"""

import ctypes
import os
import sys

_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def become(uid: int, gid: int, *, reach: bool) -> None:
    """Give up root for good. OSError if the system does not let a capability be kept."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: object) -> None:
        if getattr(libc, name)(*arguments) != 0:
            raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")

    if reach:
        call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if reach:
        bit = 1 << _CAP_DAC_OVERRIDE
        sets = (_Sets * 2)(_Sets(bit, bit, bit), _Sets(0, 0, 0))
        call("capset", ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), sets)
        call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


if __name__ == "__main__":
    become(int(sys.argv[1]), int(sys.argv[2]), reach=sys.argv[3] == "1")
    os.execv(sys.argv[4], sys.argv[4:])  # noqa: S606 - no shell is wanted; the caller builds the arguments.

"""Programs that insist on users and folders of their own, in a mount namespace where these are there.

Debian's Exim and OpenSMTPD look their users up in /etc/passwd, and OpenSMTPD has its folders compiled in.
In a namespace of its own such a program sees other files in these places; the machine sees nothing of it.
"""

import os
import pwd
import shlex
from collections.abc import Mapping
from pathlib import Path

from end2end.machine import Missing, Word, locate


def inside(folder: Path, users: Mapping[str, str], places: Mapping[str, Path], *command: Word) -> list[str]:
    """The command line that runs `command` where the files of `places` lie at other paths, too.

    `users` are names that exist there besides the machine's own, each with the ids of the account named
    as its value. `folder` gets their passwd and group.
    """
    if os.getuid() != 0:
        raise Missing("a mount namespace can only be made by root; run the tests as root")
    accounts = [(name, pwd.getpwnam(whose)) for name, whose in users.items()]
    passwd = [f"{name}:x:{user.pw_uid}:{user.pw_gid}::/nonexistent:/bin/false\n" for name, user in accounts]
    groups = [f"{name}:x:{user.pw_gid}:\n" for name, user in accounts]
    mounts = dict(places)
    for name, rows in (("passwd", passwd), ("group", groups)):
        mounts[f"/etc/{name}"] = folder / name
        (folder / name).write_text("".join([Path(f"/etc/{name}").read_text(), *rows]))
    script = [f"mount --bind {shlex.quote(str(what))} {shlex.quote(where)}" for where, what in mounts.items()]
    return [
        *[str(locate("unshare")), "--mount", "sh", "-ec", "\n".join([*script, 'exec "$@"']), "sh"],
        *map(str, command),
    ]

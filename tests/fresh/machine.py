"""A Debian of its own in a folder: made by debootstrap, entered by chroot, in namespaces that end with the command.

    python tests/fresh/machine.py SUITE FOLDER [COMMAND ...]    e.g. forky /tmp/forky ./run test

makes the machine unless it is there, clones this project into it (what is committed), and runs COMMAND in the clone.
Packages come from the mirror that this machine's own apt uses, Python packages from where its own pip gets them.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path("/usr/share/debootstrap/scripts")
SOURCES = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
# How apt reaches its mirror; what else it is told here is this machine's own business.
APT_OPTIONS = re.compile(r"Acquire::(Check-|http|https|Retries)")
USER, UID = "someone", 1000
SHOWN = "/srv/shown"  # where the machine finds what this one's pip configuration names

ENTER = """
machine=$1 shown=$2; shift 2
mount --bind "$machine" "$machine" # its root is then a mount, which unshare needs in there
mount -t proc proc "$machine/proc"
mount --rbind /dev "$machine/dev"
for path in $shown; do
    there="$machine/srv/shown$path"
    mkdir -p "$(dirname "$there")"
    if [ -d "$path" ]; then mkdir -p "$there"; else touch "$there"; fi
    mount --bind "$path" "$there"
done
# This shell is process 1 in there and buries who has lost their parent; a program that is told to run would not.
ended=0
chroot "$@" || ended=$?
exit "$ended"
"""


def mirror():
    """The address from which this machine's apt has Debian itself."""
    for path in SOURCES:
        if path.suffix in (".list", ".sources") and path.exists():
            for address in re.findall(r"(?:^URIs:|^deb\b(?: *\[.*\])?)\s+(\S+)", path.read_text(), re.MULTILINE):
                if address.rstrip("/").endswith("/debian"):
                    return address
    raise RuntimeError(
        "no line of apt's sources names a mirror of Debian: a fresh machine needs one that ends in /debian"
    )


def pip_configuration():
    """What pip is told here: the text of a pip.conf for the machine, and the paths of this one that it names."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    settings, paths = {}, set()
    for name, value in re.findall(r"^(?:global|user|site|install|:env:)\.(\S+)='(.*)'$", listed.stdout, re.MULTILINE):
        settings[name] = value
        for word in value.replace("\\n", " ").split():
            path = urlsplit(word).path if word.startswith("file://") else word
            if path.startswith("/") and os.path.exists(path):
                # The pages of an index lead to files beside it.
                paths.add(os.path.dirname(path.rstrip("/")) if word.startswith("file://") else path)
    lines = [f"{name} = {value}" for name, value in settings.items() if name != "config-file"]
    text = re.sub(r"(?<=file://)/|(?<![^\s=])/", f"{SHOWN}/", "\n".join(["[global]", *lines, ""]))
    return text, sorted(paths)


class Machine:
    """One Debian in *folder*."""

    def __init__(self, suite, folder):
        self.suite = suite
        self.root = Path(folder).resolve()
        self.pip, self.shown = pip_configuration()

    def make(self):
        """Have debootstrap unpack it, unless it is there. It may not know the newest suite: sid's script will do."""
        if not (self.root / "etc" / "made").exists():
            script = [] if (SCRIPTS / self.suite).exists() else [str(SCRIPTS / "sid")]
            self.root.mkdir(parents=True, exist_ok=True)
            command = ["debootstrap", "--variant=minbase", self.suite, str(self.root), mirror(), *script]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            self.write("etc/apt/sources.list", f"deb {mirror()} {self.suite} main\n")
            told = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
            options = [line for line in told.splitlines() if APT_OPTIONS.match(line)]
            self.write("etc/apt/apt.conf.d/01mirror", "\n".join([*options, ""]))
            self.write("etc/pip.conf", self.pip)
            if not (self.root / "etc" / "hosts").exists():  # Debian 12's debootstrap leaves it to the installer
                self.write("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
            self.write("etc/made", "")
        return self

    def write(self, name, text):
        (self.root / name).write_text(text)

    def clone(self, home="root"):
        """The project as it is committed, cloned anew."""
        where = self.root / home / "heka-raven"
        shutil.rmtree(where, ignore_errors=True)
        subprocess.run(["git", "clone", "-q", str(ROOT), str(where)], check=True)
        return where

    def update(self):
        """The clone of a machine that is there, with what was committed since."""
        where = self.root / "root" / "heka-raven"
        subprocess.run(["git", "-C", str(where), "fetch", "-q", str(ROOT), "HEAD"], check=True)
        subprocess.run(["git", "-C", str(where), "reset", "-q", "--hard", "FETCH_HEAD"], check=True)

    def add_user(self):
        """An ordinary user, with a clone of their own."""
        if not (self.root / "home" / USER).exists():
            self.run(["useradd", "--create-home", "--uid", str(UID), "--shell", "/bin/bash", USER], check=True)
        where = self.clone(f"home/{USER}")
        for path in [where, *where.rglob("*")]:
            os.chown(path, UID, UID, follow_symlinks=False)

    def run(self, command, user="root", **options):
        """Run *command* there, in the clone if there is one; it ends with everything that it started."""
        home = "/root" if user == "root" else f"/home/{user}"
        place = f"{home}/heka-raven" if (self.root / home[1:] / "heka-raven").exists() else home
        environment = {"HOME": home, "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        environment |= {"LANG": "C.UTF-8", "TERM": "dumb", "DEBIAN_FRONTEND": "noninteractive", "USER": user}
        enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", ENTER, "enter"]
        there = [] if user == "root" else [f"--userspec={UID}:{UID}"]
        inside = ["env", "-i", *(f"{k}={v}" for k, v in environment.items()), "sh", "-c", 'cd "$0" && exec "$@"', place]
        return subprocess.run(
            [*enter, str(self.root), " ".join(self.shown), *there, str(self.root), *inside, *command], **options
        )


def main(suite, folder, *command):
    machine = Machine(suite, folder).make()
    machine.clone()
    return machine.run(command or ["bash"]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""A C library that crashes in each way there is, and an application that calls it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

SOURCE = r"""
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAR __attribute__((noinline, noclone))
#define STAY __asm__ volatile("" ::: "memory") /* what was called last stays a call, and no jump */

FAR static void inner_write(char *to) { *(volatile char *)to = 1; STAY; }
FAR void shop_write(void) { inner_write((char *)8); STAY; }

FAR static void give_up(void) { abort(); }
FAR void shop_abort(void) { give_up(); STAY; }

FAR void shop_free(void) { static char here[64]; void *volatile wrong = here + 16; free(wrong); STAY; }

FAR void shop_call_nothing(void) { void (*volatile nothing)(void) = 0; nothing(); STAY; }

FAR int deeper(int n) { volatile char here[512]; here[n % 512] = 1; return deeper(n + 1) + here[n % 500]; }
FAR void shop_overflow(void) { deeper(0); STAY; }

/* What a strcpy too long does: the return addresses of two functions and what the caller saved are gone. */
FAR static void write_over(volatile char *from) { int i; for (i = 0; i < 200; i++) from[i] = 'A'; STAY; }
FAR static void smash(void) { volatile char here[16]; here[0] = 0; write_over(here); inner_write((char *)8); STAY; }
FAR void shop_smash(void) { smash(); STAY; }
FAR static void smash_and_return(void) { volatile char here[16]; here[0] = 0; write_over(here); STAY; }
FAR void shop_smash_and_return(void) { smash_and_return(); STAY; }

FAR void shop_sleep(void) { sleep(60); STAY; }
FAR void shop_spin(void) { for (;;) STAY; }
"""
APP = """
import ctypes, os, signal, sys, threading, time
sys.path.insert(0, {root!r})
from heka_raven import uwsgi_bridge

uwsgi_bridge.show_stacks()
shop = ctypes.CDLL(os.path.abspath("libshop.so"))
bare = ctypes.CDLL(os.path.abspath("libbare.so"))
holding = ctypes.PyDLL(os.path.abspath("libshop.so"))

def python_overflow():
    sys.setrecursionlimit(10 ** 9)
    nested = []
    for _ in range(10 ** 6):
        nested = [nested]
    repr_of(nested)

def repr_of(nested):
    class Deep:
        def __repr__(self):
            return repr(self)
    repr(Deep())

def view(name):
    if name == "memcpy":
        ctypes.memmove(8, b"abcdefgh", 8)
    elif name == "loop":
        while True:
            pass
    elif name == "python_overflow":
        python_overflow()
    elif name.startswith("bare_"):
        getattr(bare, name.replace("bare_", "shop_"))()
    elif name.startswith("holding_"):
        getattr(holding, name.replace("holding_", "shop_"))()
    else:
        getattr(shop, "shop_" + name)()

def wake(signum, frame):
    raise TimeoutError

def application(env, start):
    name = env["PATH_INFO"].strip("/")
    if name == "survive":
        signal.signal(signal.SIGALRM, wake)
        try:
            time.sleep(60)
        except TimeoutError:
            pass
    elif name == "leave":
        os._exit(7)
    elif name.startswith("thread_"):
        thread = threading.Thread(target=view, args=(name.replace("thread_", ""),))
        thread.start()
        thread.join()
    elif name:
        view(name)
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]
"""


def build_libraries(folder: Path, source: str = SOURCE) -> None:
    """libshop.so with all its names; libbare.so, whose functions have none but those that are called from outside."""
    (folder / "shop.c").write_text(source)
    for name in ("libshop.so", "libbare.so"):
        (folder / name).unlink(missing_ok=True)  # as packages do: who has the old one loaded keeps it
    compiler = ["gcc", "-shared", "-fPIC", "-O1", "-w", "-fno-stack-protector", "-Wl,--build-id=sha1", "shop.c", "-o"]
    subprocess.run([*compiler, "libshop.so"], cwd=folder, check=True)
    subprocess.run([*compiler, "libbare.so", "-s"], cwd=folder, check=True)


def build_id(path: Path) -> str:
    """As readelf tells it."""
    said = subprocess.run(["readelf", "-n", str(path)], capture_output=True, text=True, check=True).stdout
    return re.search("Build ID: ([0-9a-f]+)", said)[1]

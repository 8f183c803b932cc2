"""Compares the two halves of the privacy rule: Python's and the uWSGI plugin's mask the same characters.

    python tests/scrub_fuzz.py [CASES] [SEED]

Cases are made of pieces that the rule knows, put together and damaged by chance. They go to C in batches.
"""

# ruff: noqa: E402, E501, RUF001 - the path comes before the imports; pieces are many, and letters that look like ASCII

import ctypes
import itertools
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from heka_raven.scrub import names as kinds
from heka_raven.scrub.masker import Masker

BATCH = 2000
ROOM = 1 << 24
KINDS = "ttttttqcuahn"  # by weight: text, query, cookie, url, argv, header, name
NUMBER_OF_KIND = {
    "": "0", kinds.SECRET: "1", kinds.PERSONAL: "2", kinds.VALUE_OF: "3", kinds.DIRECTORY: "4", kinds.COOKIE: "5",
    kinds.QUERY: "6", kinds.URL: "7", kinds.NETLOC: "8",
}  # fmt: skip

NAMES = """password token secret api_key apiKey key author monkey session_count next_token s3_key PWD Cookie set-cookie
    Authorization X-Forwarded-For REMOTE_USER code ticket pin card_number user value url Referer query_string netloc
    cookies KeyError NoSuchKey HTTP_COOKIE HTTP_X_API_KEY max_tokens num_pass tokenizer tokenise secretary possession
    lang theme path Secure a b x1 private_keys APIkey passWord sessionId p%61ss to%6ben %74oken pass%2577ord 2pw
    s_3_key max_pass token_ cc_number security__code Key keys http_key HTTP_key HTTPCookie cache_key_token""".split()
MARKS = ["=", ":", ": ", " = ", "=>", ":=", "==", "!=", "&", ";", "; ", "?", "#", "/", "://", "//", "@", ",", ", ", " ", "\t",
         "\n", "\r\n", "\n  ", "\n- ", "\n\n", "|", "|\n", ">-\n  ", "<", ">", "</", "</a>", "(", ")", "[", "]", "{", "}", "'", '"',
         "`", "\\", '\\"', "\\'", '\\\\"', "\\\\", "''", '""', '"""', "-", "--", "---", ".", "...", "…", "%", "%3D", "%3A", "%20",
         "%25", "%253D", "%22", "%40", "%C3%A9", "%E2%80%A6", "+", "_", "!", "$", "*", "~", "\0", "\x0b", "\x0c", "\x1c", "\x85",
         "\xa0", "é", "ß", "K", "ſ", "İ", "²", "漢", "\U0001f600", "b", "bu", "b'", 'u"', "('", '("', "['", "[b'", "[0]", "[a]",
         "[token]"]  # fmt: skip
VALUES = """hunter2 x 1 None True /srv user:pw@host http://u:p@h/ https://h:8080/ postgres://u:p/w?x@db/a ftp://[::1]:2/
    Bearer Basic bearer BASIC Token token Digest digest SSWS Bot negotiate aws4-hmac-sha256 abcdefgh1 QWxhZGRpbjpvcGVu
    AKIAIOSFODNN7EXAMPLE ASIAIOSFODNN7EXAMPLEX ghp_0123456789abcdefghij ghp_short xoxb-1234567890 sk_live_12345678
    sk-ant-0123456789abcdef glpat-0123456789abcdef github_pat_0123456789abcdef AIzaSyA0123456789abcdefghijklmnopqrstu
    eyJhbGciOi.eyJzdWIi.abc eyJabcde.fghij 4111111111111111 4111 1111 5500 0000 0004 378282 246310005 3782 822463 10005
    -----BEGIN -----END RSA PRIVATE KEY----- ----- form-data; name= input_value= input_type= Key ( )=( Failing row
    contains ( Duplicate entry ' ' for key ' must must be (got <![CDATA[ ]]> <a> <token> </token> <b t="1">""".split()
PHRASES = ["[SQL: ", "[parameters: ", "Duplicate entry '", "' for key 'users.api_token'", "Failing row contains (", "Key (", ")=(", ", input_type=", "input_value=",
           "' must be x (got ", '" must ', "form-data; name=", "-----BEGIN X-----", "-----END X-----", "password\n  V ", "user.token\n",
           "4111 1111 1111 1111", "4111-1111-1111-1111", "3782 822463 10005", "Authorization: ", "Cookie: ", "token: |\n  a\n",
           "('token', ", "[\"password\", ", "--password ", "<password>", "&code=", "?key="]  # fmt: skip
PIECES = [NAMES, MARKS, MARKS, VALUES, PHRASES]
LETTERS = "tokenpwAB1_=:&;?'\"`\\\\[](){}<>%|,./@-+ \n\r\t#3Dé\u212a…"


def library(folder=None, *flags):
    """The C half as a shared library, built with these flags besides."""
    folder = Path(folder or tempfile.mkdtemp())
    path = folder / "libscrub.so"
    core = ROOT / "uwsgi_plugin" / "core"
    sources = [*map(str, sorted(core.glob("*.c"))), str(ROOT / "tests" / "fuzz" / "scrub_batch.c")]
    subprocess.run(
        ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-fPIC", "-shared", *flags, *sources, "-o", str(path)], check=True
    )
    found = ctypes.CDLL(str(path))
    found.scrub_batch.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    found.scrub_batch.restype = ctypes.c_size_t
    found.scrub_steps.restype = ctypes.c_ulong
    return found


class Halves:
    """Both halves of the rule."""

    def __init__(self, folder=None, *flags):
        self.library = library(folder, *flags)
        self.room = ctypes.create_string_buffer(ROOM)
        self.masker = Masker()

    def in_c(self, cases):
        """What C makes of *cases*, pairs of a kind and a text."""
        records = []
        for kind, text in cases:
            data = text.encode()
            records.append(kind.encode() + len(data).to_bytes(4, "little") + data)
        joined = b"".join(records)
        written = self.library.scrub_batch(joined, len(joined), self.room, ROOM)
        assert written, "no room, or no memory"
        out, at, view = [], 0, self.room.raw[:written]
        while at < written:
            length = int.from_bytes(view[at : at + 4], "little")
            out.append(view[at + 4 : at + 4 + length].decode("utf-8", "surrogateescape"))
            at += 4 + length
        return out

    def in_python(self, kind, text):
        masker = self.masker
        if kind == "n":
            return NUMBER_OF_KIND[masker._kind_of(text, False)] + NUMBER_OF_KIND[masker._kind_of(text, True)]
        if kind == "q":
            return masker.clean_query(text)
        if kind == "c":
            return masker.clean_cookie(text)
        if kind == "u":
            return masker.clean_url(text)
        if kind == "a":
            return "\0".join(masker.clean_argv(text.split("\0")))
        if kind == "h" and ":" in text:
            name, _, value = text.partition(":")
            return masker.clean_header(name, value)
        return masker.clean_text(text)

    def differences(self, cases):
        """The cases of which the halves make different things."""
        return [
            (kind, text, ours, theirs)
            for (kind, text), theirs in zip(cases, self.in_c(cases), strict=True)
            if (ours := self.in_python(kind, text)) != theirs
        ]


def make_case(dice):
    """One case: a kind and a text."""
    choice, number = dice.choice, dice.random
    count = int(number() * number() * 24) + 1
    if number() < 0.2:  # letter by letter, around a name
        text = "".join(dice.choices(LETTERS, k=count)) + choice(NAMES) + "".join(dice.choices(LETTERS, k=count))
        return choice(KINDS), text
    text = "".join([choice(choice(PIECES)) for _ in range(count)])
    if number() < 0.0003:  # past the limits of what one text may cost
        text = (text * int(number() * 1200))[:20000]
    if number() < 0.15 and text:  # damaged: a character less, or one more
        at = int(number() * len(text))
        text = text[:at] + (choice(MARKS) if number() < 0.5 else "") + text[at + 1 :]
    return choice(KINDS), text


def main(argv):
    count = int(argv[0]) if argv else 1_000_000
    seed = int(argv[1]) if len(argv) > 1 else time.time_ns()
    dice, halves = random.Random(seed), Halves()
    done = found = 0
    started = time.time()
    for turn in itertools.count(1):
        cases = [make_case(dice) for _ in range(min(BATCH, count - done))]
        for kind, text, ours, theirs in halves.differences(cases):
            found += 1
            print(f"{kind} {text!r}\n  Python {ours!r}\n  C      {theirs!r}", flush=True)
        done += len(cases)
        if done >= count or found >= 20:
            break
        if turn % 250 == 0:
            print(f"{done:,} cases in {time.time() - started:.0f} s", flush=True)
    print(f"{done:,} cases, seed {seed}: {found} differences", flush=True)
    return found > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

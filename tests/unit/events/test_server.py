"""What a server event is called, by the tables that the C half reads too."""

import pytest

from heka_raven.events.server import Place, Sentence, fingerprint, path_name, place_of, sentence
from heka_raven.gunicorn.kinds import LEVELS, Death, kind_of
from support.paths import read_vectors


def absent(cell):
    return None if cell == "-" else cell


def unescape(text):
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape") if "\\" in text else text


def place(cell):
    function, file, line, *_ = cell.split("|")
    return Place(function, unescape(file), int(line))


@pytest.mark.parametrize("row", read_vectors("sentences.tsv"), ids=lambda row: row[0])
def test_sentences(row):
    """One line says who did what to whom, in which request, after how long, waiting for what, and where."""
    _, server, kind, who, request, age, limit, signal, status, words, doing, where, expected = row
    if "\\xff" in request:
        request = b"GET /\xff\xc3\xa9".decode("utf-8", "surrogateescape")
    facts = Sentence(
        server,
        kind,
        who=absent(who) or "",
        request={"-": None, "?": ""}.get(request, unescape(request)),
        age_ms=int(absent(age) or 0),
        limit_s=int(absent(limit) or 0),
        signal=int(absent(signal) or 0),
        status=None if status == "-" else int(status),
        words=absent(words) or "",
        doing=absent(doing) or "",
        place=None if where == "-" else place(where),
    )
    assert expected == sentence(facts)


@pytest.mark.parametrize("row", read_vectors("fingerprints.tsv"), ids=lambda row: f"{row[0]} {row[2]}")
def test_fingerprints(row):
    """Neither age, worker, line nor what it waited for makes an issue of its own."""
    kind, method, path, route, frames, transaction, where = row
    named = absent(route) or ("" if method == "-" else f"{method} {path_name(path)}")
    found = [cell.split("|") for cell in frames.split(" ")] if frames != "-" else []
    stack = [
        {"function": function, "abs_path": file, "lineno": int(line), "in_app": flag == "1"}
        for function, file, line, flag in found
    ]
    assert [kind, transaction, where] == fingerprint(kind, named, place_of(stack))


def test_kinds():
    """gunicorn's kinds have the levels of the table."""
    assert {kind: level for kind, level, who in read_vectors("kinds.tsv") if who != "uwsgi"} == LEVELS


def death_of(end, facts):
    how, _, number = end.partition(" ")
    return Death(
        exit_status=int(number) if how == "exit" else None,
        signal=int(number) if how == "signal" else None,
        aborted="aborted" in facts,
        told="told" in facts,
        in_order="in_order" in facts,
        stopping="wanted" in facts,
        oom_killed="oom" in facts,
    )


@pytest.mark.parametrize(
    "row", [row for row in read_vectors("deaths.tsv") if row[3] != "."], ids=lambda row: f"{row[0]} {row[1]}"
)
def test_kind_of_a_death(row):
    """Each death has one kind, or is none to report: told already, or wanted."""
    assert absent(row[3]) == kind_of(death_of(row[0], row[1].split(" ")))

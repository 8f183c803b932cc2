"""Makes core/scrub_words.h, the tables of the privacy rule for C, from heka_raven/scrub/words.py."""

from __future__ import annotations

from pathlib import Path

from heka_raven.scrub import words

HEADER = Path(__file__).parent / "core" / "scrub_words.h"


def _c_words(name: str, words: tuple[str, ...]) -> str:
    inner = ", ".join(f'"{word}"' for word in words)
    return f"static const char *const {name}[] = {{ {inner}, NULL }};\n"


def _c_sequences(name: str, sequences: tuple[tuple[str, ...], ...]) -> str:
    """Each as its words with a space between."""
    return _c_words(name, tuple(" ".join(sequence) for sequence in sequences))


def as_c_header() -> str:
    """The tables as ``uwsgi_plugin/core/scrub_words.h`` has them."""
    parts = "".join(
        f'    {{ "{term}", "{" ".join(after)}", "{" ".join(before)}" }},\n'
        for term, (after, before) in words.PARTS.items()
    )
    prefixes = "".join(
        f'    {{ "{text}", {least}, {int(kind == words.UPPER)} }},\n' for text, least, kind in words.PREFIXES
    )
    return (
        "/* scrub_words.h: the tables of the privacy rule. Made from heka_raven/scrub/words.py:\n"
        " *\n"
        " *     python uwsgi_plugin/make_words.py\n"
        " */\n"
        "/* clang-format off */\n"
        "typedef struct scrub_part {\n"
        "    const char *term, *not_followed, *not_preceded; /* what makes another word of it; a space between */\n"
        "} scrub_part;\n\n"
        f"static const scrub_part PARTS[] = {{\n{parts}    {{ NULL, NULL, NULL }}\n}};\n"
        "typedef struct scrub_prefix {\n    const char *text;\n    size_t least;\n    int upper;\n} scrub_prefix;\n\n"
        f"static const scrub_prefix PREFIXES[] = {{\n{prefixes}    {{ NULL, 0, 0 }}\n}};\n"
        + "".join(f"#define {name} {limit}U\n" for name, limit in words.LIMITS.items())
        + _c_words("WORDS", words.WORDS)
        + _c_sequences("SEQUENCES", words.SEQUENCES)
        + _c_words("KEY_WORDS", (words.KEY,))
        + _c_words("QUERY_WORDS", words.QUERY_WORDS)
        + _c_words("ENDINGS", words.ENDINGS)
        + _c_words("NUMBERS", words.NUMBERS)
        + _c_sequences("HARMLESS", words.HARMLESS)
        + _c_sequences("COOKIE_ENDINGS", words.COOKIE_ENDINGS)
        + _c_sequences("QUERY_ENDINGS", words.QUERY_ENDINGS)
        + _c_sequences("QUERY_NAMES", words.QUERY_NAMES)
        + _c_sequences("URL_ENDINGS", words.URL_ENDINGS)
        + _c_sequences("NETLOC_ENDINGS", words.NETLOC_ENDINGS)
        + _c_words("LINE_WORDS", words.LINE_WORDS)
        + _c_sequences("PERSONAL_NAMES", words.PERSONAL_NAMES)
        + _c_words("COOKIES_SHOWN", words.COOKIES_SHOWN)
        + _c_words("COOKIE_ATTRIBUTES", words.COOKIE_ATTRIBUTES)
        + _c_words("SCHEMES", words.SCHEMES)
        + _c_words("LINE_SCHEMES", words.LINE_SCHEMES)
    )


if __name__ == "__main__":
    HEADER.write_text(as_c_header(), encoding="ascii")

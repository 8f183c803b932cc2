"""The tables of the privacy rule: which words make a name private, and which do not.

They stand here once: ``uwsgi_plugin/core/scrub_words.h`` is made of them (``python uwsgi_plugin/make_words.py``), and a
test tells when it is old. All is ASCII.
"""

from __future__ import annotations

# A name that contains one is private. With each: what follows or precedes it in a word that only looks like it.
PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "token": (("iz", "ise", "ising", "isation"), ()),  # tokenizer
    "secret": (("ar", "ion"), ()),  # secretary
    "session": ((), ("ob", "pos")),  # possession
    "password": ((), ()),
    "passwd": ((), ()),
    "passphrase": ((), ()),
    "passcode": ((), ()),
    "credential": ((), ()),
    "sessid": ((), ()),
    "csrf": ((), ()),
    "xsrf": ((), ()),
    "saml": ((), ()),
    "bearer": ((), ()),
    "apikey": ((), ()),
    "privatekey": ((), ()),
    "accesskey": ((), ()),
    "signingkey": ((), ()),
    "encryptionkey": ((), ()),
}

# A name of which one is a whole word is private.
WORDS = (
    "auth", "oauth", "authorization", "authkey", "jwt", "jwts", "sso", "sid", "pwd", "pw", "pass", "pin", "otp", "totp",
    "cvv", "cvc", "ssn", "salt", "signature", "signatures", "sig", "cardnumber", "ccnumber", "creditcard",
)  # fmt: skip

# A name in which these words follow one another is private.
SEQUENCES = (
    ("card", "number"), ("card", "num"), ("card", "no"), ("cc", "number"), ("cc", "num"), ("credit", "card"),
    ("security", "code"), ("social", "security"), ("access", "keys"), ("api", "keys"), ("private", "keys"),
    ("signing", "keys"), ("encryption", "keys"), ("auth", "keys"),
)  # fmt: skip

# `key` counts beside another word (api_key); alone it is the commonest local variable of a KeyError.
KEY = "key"

# In a query string and in a form: OAuth's code, CAS's ticket, Google's key.
QUERY_WORDS = ("key", "code", "ticket")

# A name that ends with one is not private: it tells about a secret, or is an error's.
ENDINGS = (
    "count", "counts", "counter", "length", "len", "size", "type", "ttl", "lifetime", "timeout", "expiry", "expired",
    "required", "mismatch", "error", "errors", "exception", "warning", "violation", "failure",
)  # fmt: skip

# A name that begins with one and ends in the plural is not private: max_tokens.
NUMBERS = ("max", "min", "num", "total")

# Words that end a name and say nothing: what stands before them is judged alone.
HARMLESS = (
    ("cache", "key"), ("primary", "key"), ("foreign", "key"), ("sort", "key"), ("partition", "key"), ("s", "3", "key"),
    ("object", "key"), ("public", "key"), ("unique", "key"), ("composite", "key"), ("index", "key"), ("dict", "key"),
    ("next", "token"), ("page", "token"), ("no", "such", "key"),
)  # fmt: skip

# The working directory of a shell, where its value is a path.
WORKING_DIRECTORY = "PWD"

# Names whose value is a text with a syntax of its own, by their last word or words. HTTP_ is taken off before.
COOKIE_ENDINGS = (("cookie",), ("cookies",), ("cookie", "2"))
QUERY_ENDINGS = (("query", "string"), ("querystring",))
QUERY_NAMES = (("query",),)  # as the whole name only
URL_ENDINGS = (("url",), ("uri",), ("referer",), ("referrer",), ("location",))
NETLOC_ENDINGS = (("netloc",),)
LINE_WORDS = ("authorization",)  # in a text, their value takes the rest of the line

# Names of what tells who the visitor is: masked unless send_pii. As the whole name, HTTP_ taken off.
PERSONAL_NAMES = (
    ("x", "forwarded", "for"), ("forwarded",), ("forwarded", "for"), ("x", "real", "ip"), ("x", "client", "ip"),
    ("client", "ip"), ("true", "client", "ip"), ("cf", "connecting", "ip"), ("cf", "connecting", "ipv", "6"),
    ("x", "cluster", "client", "ip"), ("fastly", "client", "ip"), ("x", "originating", "ip"), ("x", "remote", "ip"),
    ("x", "remote", "addr"), ("x", "envoy", "external", "address"), ("x", "appengine", "user", "ip"),
    ("remote", "user"), ("x", "remote", "user"), ("x", "forwarded", "user"), ("x", "forwarded", "email"),
    ("x", "forwarded", "preferred", "username"),
)  # fmt: skip

# Cookies whose value is shown, and what stands beside a cookie in Set-Cookie. In lower case, "-" and "." as "_".
COOKIES_SHOWN = (
    "lang", "language", "locale", "django_language", "timezone", "tz", "theme", "color_scheme", "currency", "country",
)  # fmt: skip
COOKIE_ATTRIBUTES = (
    "path", "domain", "expires", "max_age", "samesite", "secure", "httponly", "partitioned", "priority", "version",
    "comment", "name",
)  # fmt: skip

# Words before a credential: what follows is a part of the value; or the rest of the line is.
SCHEMES = ("bearer", "basic", "token", "negotiate", "apikey", "api-key", "ssws", "bot", "ntlm")
LINE_SCHEMES = ("digest", "oauth", "hawk", "signature", "aws4-hmac-sha256")

# Values that show by themselves what they are: a prefix, how many characters follow at least, and which.
ANY, UPPER = "any", "upper"
PREFIXES = (
    ("AKIA", 16, UPPER), ("ASIA", 16, UPPER), ("AIza", 30, ANY), ("ghp_", 16, ANY), ("gho_", 16, ANY),
    ("ghu_", 16, ANY), ("ghs_", 16, ANY), ("ghr_", 16, ANY), ("github_pat_", 16, ANY), ("glpat-", 16, ANY),
    ("sk_live_", 8, ANY), ("sk_test_", 8, ANY), ("rk_live_", 8, ANY), ("rk_test_", 8, ANY), ("sk-ant-", 16, ANY),
    ("sk-proj-", 16, ANY), ("xoxa-", 8, ANY), ("xoxb-", 8, ANY), ("xoxc-", 8, ANY), ("xoxe-", 8, ANY),
    ("xoxo-", 8, ANY), ("xoxp-", 8, ANY), ("xoxr-", 8, ANY), ("xoxs-", 8, ANY),
)  # fmt: skip

# What one text may cost: what comes behind is masked unseen. No text that a person wrote has as many.
LIMITS = {
    "MAX_NAMES": 1000,  # names with a value, in one text
    "MAX_MASKED": 64,  # of which so many are private
    "MAX_URLS": 100,  # in one text
    "MAX_RUNS": 64,  # pieces with percent-escapes, in one text or query
    "MAX_PARAMETERS": 1000,  # in one query
    "MAX_COOKIES": 200,  # in one header
    "MAX_ELEMENTS": 100,  # of XML, in one text
    "MAX_CARDS": 50,  # numbers in one text that look like a card's
}

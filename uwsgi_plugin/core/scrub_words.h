/* scrub_words.h: the tables of the privacy rule. Made from heka_raven/scrub/words.py:
 *
 *     python uwsgi_plugin/make_words.py
 */
/* clang-format off */
typedef struct scrub_part {
    const char *term, *not_followed, *not_preceded; /* what makes another word of it; a space between */
} scrub_part;

static const scrub_part PARTS[] = {
    { "token", "iz ise ising isation", "" },
    { "secret", "ar ion", "" },
    { "session", "", "ob pos" },
    { "password", "", "" },
    { "passwd", "", "" },
    { "passphrase", "", "" },
    { "passcode", "", "" },
    { "credential", "", "" },
    { "sessid", "", "" },
    { "csrf", "", "" },
    { "xsrf", "", "" },
    { "saml", "", "" },
    { "bearer", "", "" },
    { "apikey", "", "" },
    { "privatekey", "", "" },
    { "accesskey", "", "" },
    { "signingkey", "", "" },
    { "encryptionkey", "", "" },
    { NULL, NULL, NULL }
};
typedef struct scrub_prefix {
    const char *text;
    size_t least;
    int upper;
} scrub_prefix;

static const scrub_prefix PREFIXES[] = {
    { "AKIA", 16, 1 },
    { "ASIA", 16, 1 },
    { "AIza", 30, 0 },
    { "ghp_", 16, 0 },
    { "gho_", 16, 0 },
    { "ghu_", 16, 0 },
    { "ghs_", 16, 0 },
    { "ghr_", 16, 0 },
    { "github_pat_", 16, 0 },
    { "glpat-", 16, 0 },
    { "sk_live_", 8, 0 },
    { "sk_test_", 8, 0 },
    { "rk_live_", 8, 0 },
    { "rk_test_", 8, 0 },
    { "sk-ant-", 16, 0 },
    { "sk-proj-", 16, 0 },
    { "xoxa-", 8, 0 },
    { "xoxb-", 8, 0 },
    { "xoxc-", 8, 0 },
    { "xoxe-", 8, 0 },
    { "xoxo-", 8, 0 },
    { "xoxp-", 8, 0 },
    { "xoxr-", 8, 0 },
    { "xoxs-", 8, 0 },
    { NULL, 0, 0 }
};
#define MAX_NAMES 1000U
#define MAX_MASKED 64U
#define MAX_URLS 100U
#define MAX_RUNS 64U
#define MAX_PARAMETERS 1000U
#define MAX_COOKIES 200U
#define MAX_ELEMENTS 100U
#define MAX_CARDS 50U
static const char *const WORDS[] = { "auth", "oauth", "authorization", "authkey", "jwt", "jwts", "sso", "sid", "pwd", "pw", "pass", "pin", "otp", "totp", "cvv", "cvc", "ssn", "salt", "signature", "signatures", "sig", "cardnumber", "ccnumber", "creditcard", NULL };
static const char *const SEQUENCES[] = { "card number", "card num", "card no", "cc number", "cc num", "credit card", "security code", "social security", "access keys", "api keys", "private keys", "signing keys", "encryption keys", "auth keys", NULL };
static const char *const KEY_WORDS[] = { "key", NULL };
static const char *const QUERY_WORDS[] = { "key", "code", "ticket", NULL };
static const char *const ENDINGS[] = { "count", "counts", "counter", "length", "len", "size", "type", "ttl", "lifetime", "timeout", "expiry", "expired", "required", "mismatch", "error", "errors", "exception", "warning", "violation", "failure", NULL };
static const char *const NUMBERS[] = { "max", "min", "num", "total", NULL };
static const char *const HARMLESS[] = { "cache key", "primary key", "foreign key", "sort key", "partition key", "s 3 key", "object key", "public key", "unique key", "composite key", "index key", "dict key", "next token", "page token", "no such key", NULL };
static const char *const COOKIE_ENDINGS[] = { "cookie", "cookies", "cookie 2", NULL };
static const char *const QUERY_ENDINGS[] = { "query string", "querystring", NULL };
static const char *const QUERY_NAMES[] = { "query", NULL };
static const char *const URL_ENDINGS[] = { "url", "uri", "referer", "referrer", "location", NULL };
static const char *const NETLOC_ENDINGS[] = { "netloc", NULL };
static const char *const LINE_WORDS[] = { "authorization", NULL };
static const char *const PERSONAL_NAMES[] = { "x forwarded for", "forwarded", "forwarded for", "x real ip", "x client ip", "client ip", "true client ip", "cf connecting ip", "cf connecting ipv 6", "x cluster client ip", "fastly client ip", "x originating ip", "x remote ip", "x remote addr", "x envoy external address", "x appengine user ip", "remote user", "x remote user", "x forwarded user", "x forwarded email", "x forwarded preferred username", NULL };
static const char *const COOKIES_SHOWN[] = { "lang", "language", "locale", "django_language", "timezone", "tz", "theme", "color_scheme", "currency", "country", NULL };
static const char *const COOKIE_ATTRIBUTES[] = { "path", "domain", "expires", "max_age", "samesite", "secure", "httponly", "partitioned", "priority", "version", "comment", "name", NULL };
static const char *const SCHEMES[] = { "bearer", "basic", "token", "negotiate", "apikey", "api-key", "ssws", "bot", "ntlm", NULL };
static const char *const LINE_SCHEMES[] = { "digest", "oauth", "hawk", "signature", "aws4-hmac-sha256", NULL };

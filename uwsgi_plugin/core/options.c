#include "options.h"

#include "dsn.h"

static const char *const names[HK_OPT_COUNT] = {
    "dsn", "level", "logger", "message", "platform", "culprit", "server_name", "release", "exception_type",
    "exception_value", "no_verify", "debug", "tags", "extra", "timeout", "environment", "fingerprint", "protocol", "api"
};

static void complain(hk_buf *why, const char *key, const char *rule)
{
    hk_buf_puts(why, key);
    hk_buf_puts(why, ": ");
    hk_buf_puts(why, rule);
}

static int option_of(hk_slice key)
{
    int i;

    for (i = 0; i < HK_OPT_COUNT; i++)
        if (hk_slice_is(key, names[i]))
            return i;
    return -1;
}

/* Read a quoted value; *at stands behind the opening quote. -1: no closing one. */
static int read_quoted(hk_slice t, size_t *at, hk_buf *value)
{
    for (; *at < t.n; (*at)++) {
        char c = t.p[*at];
        if (c == '"') {
            (*at)++;
            return 0;
        }
        if (c == '\\' && *at + 1 < t.n && (t.p[*at + 1] == '"' || t.p[*at + 1] == '\\'))
            c = t.p[++*at];
        hk_buf_putc(value, c);
    }
    return -1;
}

static void read_plain(hk_slice t, size_t *at, hk_buf *value)
{
    for (; *at < t.n && t.p[*at] != ','; (*at)++) {
        char c = t.p[*at];
        if (c == '\\' && *at + 1 < t.n && memchr(",\"\\", t.p[*at + 1], 3) != NULL)
            c = t.p[++*at];
        hk_buf_putc(value, c);
    }
}

/* One "key=value"; *at stands behind its comma afterwards. */
static hk_status read_one(hk_slice t, size_t *at, hk_options *o, hk_buf *value, hk_buf *why)
{
    size_t start = *at;
    hk_slice key;
    int which, quoted = 0, bad = 0;

    while (*at < t.n && t.p[*at] != '=' && t.p[*at] != ',')
        (*at)++;
    key = hk_slice_trim(hk_slice_make(t.p + start, *at - start));
    hk_buf_clear(value);
    if (*at < t.n && t.p[*at] == '=') {
        (*at)++;
        if (*at < t.n && t.p[*at] == '"') {
            (*at)++;
            quoted = 1;
            bad = read_quoted(t, at, value) < 0;
            while (*at < t.n && (t.p[*at] == ' ' || t.p[*at] == '\t'))
                (*at)++;
        } else {
            read_plain(t, at, value);
        }
    } else {
        hk_buf_puts(value, "1");
    }
    if (key.n == 0 && *at == start) {
        (*at)++; /* nothing between two commas */
        return HK_OK;
    }
    which = option_of(key);
    if (which < 0) {
        /* A mangled dsn ("...,dsn" lost) must not be echoed: only words are. */
        hk_slice shown = key.n <= 32 && memchr(key.p, ':', key.n) == NULL && memchr(key.p, '@', key.n) == NULL
            ? key : hk_slice_of("(text without a known key)");
        hk_buf_slice_put(why, shown);
        hk_buf_puts(why, ": unknown option");
        return HK_ERR_SYNTAX;
    }
    if (bad) {
        complain(why, names[which], "the closing quote is missing");
        return HK_ERR_SYNTAX;
    }
    if (quoted && *at < t.n && t.p[*at] != ',') {
        complain(why, names[which], "text after the closing quote");
        return HK_ERR_SYNTAX;
    }
    (*at)++;
    hk_buf_release(o->values[which]);
    o->values[which] = hk_buf_ok(value) ? hk_buf_dup(hk_buf_slice(value)) : NULL;
    return o->values[which] == NULL ? HK_ERR_MEMORY : HK_OK;
}

static int is_off(hk_slice v)
{
    return v.n == 0 || hk_slice_is(v, "0") || hk_slice_is(v, "false") || hk_slice_is(v, "no") || hk_slice_is(v, "off");
}

/* ${NAME}; and, where groups != 0, $1 too (a key of a DSN may hold that). */
static int has_variable(hk_slice v, int groups)
{
    size_t i;

    for (i = 0; i + 1 < v.n; i++)
        if (v.p[i] == '$' && (v.p[i + 1] == '{' || (groups && v.p[i + 1] >= '0' && v.p[i + 1] <= '9')))
            return 1;
    return 0;
}

int hk_options_is_level(hk_slice word)
{
    return hk_slice_is(word, "fatal") || hk_slice_is(word, "error") || hk_slice_is(word, "warning")
        || hk_slice_is(word, "info") || hk_slice_is(word, "debug");
}

static const char *check_timeout(hk_slice v, unsigned *out)
{
    size_t i;

    *out = 0;
    for (i = 0; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return "not a whole number of seconds";
        *out = *out * 10 + (unsigned)(v.p[i] - '0');
        if (*out > HK_OPTIONS_MAX_TIMEOUT_S)
            return "outside 1..300 seconds";
    }
    return *out == 0 ? "outside 1..300 seconds" : NULL;
}

static hk_status check(hk_options *o, hk_buf *why)
{
    static const hk_option fixed[] = { HK_OPT_DSN, HK_OPT_NO_VERIFY, HK_OPT_TIMEOUT, HK_OPT_PROTOCOL, HK_OPT_API,
                                       HK_OPT_DEBUG };
    const char *reason = NULL;
    hk_slice v;
    hk_dsn dsn;
    size_t i;

    for (i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (has_variable(hk_options_get(o, fixed[i]), 0)) {
            complain(why, names[fixed[i]], "must not take request variables");
            return HK_ERR_SYNTAX;
        }
    if (o->values[HK_OPT_DSN] == NULL) {
        complain(why, "dsn", "missing (set it here, or sentry-dsn for all handlers)");
        return HK_ERR_SYNTAX;
    }
    if (hk_dsn_parse(hk_options_get(o, HK_OPT_DSN), &dsn, &reason) != HK_OK) {
        complain(why, "dsn", reason);
        return HK_ERR_SYNTAX;
    }
    v = hk_options_get(o, HK_OPT_LEVEL);
    if (v.n > 0 && !has_variable(v, 1) && !hk_options_is_level(v)) {
        complain(why, "level", "not one of fatal, error, warning, info, debug");
        return HK_ERR_SYNTAX;
    }
    v = hk_options_get(o, HK_OPT_TIMEOUT);
    reason = v.n == 0 ? NULL : check_timeout(v, &o->timeout_s);
    if (reason != NULL) {
        complain(why, "timeout", reason);
        return HK_ERR_SYNTAX;
    }
    v = hk_options_get(o, HK_OPT_PROTOCOL);
    if (v.n > 0 && !hk_slice_is(v, "7") && !hk_slice_is(v, "3")) {
        complain(why, "protocol", "not 7 or 3");
        return HK_ERR_SYNTAX;
    }
    o->protocol = hk_slice_is(v, "3") ? 3 : 7;
    v = hk_options_get(o, HK_OPT_API);
    if (v.n > 0 && !hk_slice_is(v, "envelope") && !hk_slice_is(v, "store")) {
        complain(why, "api", "not envelope or store");
        return HK_ERR_SYNTAX;
    }
    o->store = hk_slice_is(v, "store");
    o->no_verify = !is_off(hk_options_get(o, HK_OPT_NO_VERIFY));
    o->debug = !is_off(hk_options_get(o, HK_OPT_DEBUG));
    return HK_OK;
}

hk_status hk_options_parse(hk_slice text, const char *default_dsn, hk_options *out, hk_buf *why)
{
    hk_status rc = HK_OK;
    size_t at = 0;
    hk_buf value;

    memset(out, 0, sizeof *out);
    hk_buf_init(&value, 1024 * 1024);
    while (at < text.n && rc == HK_OK)
        rc = read_one(text, &at, out, &value, why);
    if (rc == HK_OK && out->values[HK_OPT_DSN] == NULL && default_dsn != NULL) {
        out->values[HK_OPT_DSN] = hk_buf_dup(hk_slice_of(default_dsn));
        if (out->values[HK_OPT_DSN] == NULL)
            rc = HK_ERR_MEMORY;
    }
    if (rc == HK_OK)
        rc = check(out, why);
    hk_buf_free(&value);
    return rc;
}

void hk_options_free(hk_options *o)
{
    int i;

    if (o == NULL)
        return;
    for (i = 0; i < HK_OPT_COUNT; i++)
        hk_buf_release(o->values[i]);
    memset(o, 0, sizeof *o);
}

hk_slice hk_options_get(const hk_options *o, hk_option which)
{
    return hk_slice_of(o->values[which]);
}

/* Copy up to one of stops, which is left unread; "\x" is x for x in ";:". */
static void read_part(hk_slice *rest, const char *stops, hk_buf *out)
{
    size_t at = 0;

    for (; at < rest->n && (rest->p[at] == '\0' || strchr(stops, rest->p[at]) == NULL); at++) {
        char c = rest->p[at];
        if (c == '\\' && at + 1 < rest->n && (rest->p[at + 1] == ';' || rest->p[at + 1] == ':'))
            c = rest->p[++at];
        hk_buf_putc(out, c);
    }
    *rest = hk_slice_from(*rest, at);
}

int hk_options_next_pair(hk_slice *rest, hk_buf *key, hk_buf *value)
{
    do {
        hk_buf_clear(key);
        hk_buf_clear(value);
        if (rest->n == 0)
            return 0;
        read_part(rest, ":;", key);
        if (rest->n > 0 && rest->p[0] == ':') {
            *rest = hk_slice_from(*rest, 1);
            read_part(rest, ";", value);
        } else if (key->len > 0) {
            hk_buf_puts(value, "true");
        }
        *rest = hk_slice_from(*rest, 1);
    } while (key->len == 0);
    return 1;
}

int hk_options_next_item(hk_slice *rest, hk_buf *item)
{
    do {
        hk_buf_clear(item);
        if (rest->n == 0)
            return 0;
        read_part(rest, ";", item);
        *rest = hk_slice_from(*rest, 1);
    } while (item->len == 0);
    return 1;
}

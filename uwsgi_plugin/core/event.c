#include "event.h"

#include "frames.h"

#include <signal.h> /* the numbers only */

#define SHORTEST 256U /* code points that are always left of a text, */
#define FEWEST 20U    /* and frames of a stack */
/* As events/limits.py: what Sentry keeps of a request. */
#define MAX_QUERY 1000   /* code points */
#define MAX_HEADER 2048  /* code points of one value */
#define MAX_HEADERS 7800 /* bytes */

typedef struct limits {
    size_t text;  /* message, exception value */
    size_t extra; /* each extra value */
    hk_frames_parts parts; /* of frames */
    int contexts;
} limits;

/* Days since 1970-01-01 to a civil date (proleptic Gregorian; Howard Hinnant's
 * algorithm: eras of 400 years that begin on 1 March). */
static void civil(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    uint64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

    *day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *year = (unsigned)(yoe + era * 400 + (*month <= 2));
}

void hk_event_put_time(uint64_t time_ns, int fraction, hk_buf *out)
{
    uint64_t s = time_ns / 1000000000U, of_day = s % 86400;
    unsigned year, month, day;

    civil(s / 86400, &year, &month, &day);
    hk_buf_put_u64_padded(out, year, 4);
    hk_buf_putc(out, '-');
    hk_buf_put_u64_padded(out, month, 2);
    hk_buf_putc(out, '-');
    hk_buf_put_u64_padded(out, day, 2);
    hk_buf_putc(out, 'T');
    hk_buf_put_u64_padded(out, of_day / 3600, 2);
    hk_buf_putc(out, ':');
    hk_buf_put_u64_padded(out, of_day / 60 % 60, 2);
    hk_buf_putc(out, ':');
    hk_buf_put_u64_padded(out, of_day % 60, 2);
    if (fraction) {
        hk_buf_putc(out, '.');
        hk_buf_put_u64_padded(out, time_ns / 1000 % 1000000, 6);
    }
    hk_buf_putc(out, 'Z');
}

static int ends_with(hk_slice s, const char *end)
{
    size_t n = strlen(end);
    return s.n >= n && memcmp(s.p + s.n - n, end, n) == 0;
}

static hk_slice platform_of(const hk_event *e)
{
    size_t n = e->frame_count;

    if (e->platform.n > 0)
        return e->platform;
    while (n > 0 && e->frames[n - 1].is_native)
        n--;
    if (n > 0 && ends_with(e->frames[n - 1].file, ".py"))
        return hk_slice_of("python");
    if (n == 0 && e->frame_count > 0)
        return hk_slice_of("native");
    return hk_slice_of("other");
}

static void key(hk_json *j, const char *name)
{
    hk_json_key(j, hk_slice_of(name), HK_JSON_NO_LIMIT);
}

static void put_pairs(hk_json *j, const char *name, const hk_pair *pairs, size_t n, size_t max_key, size_t max_value)
{
    size_t i;

    if (n == 0)
        return;
    key(j, name);
    hk_json_open(j, '{');
    for (i = 0; i < n; i++) {
        hk_json_key(j, pairs[i].key, max_key);
        hk_json_value(j, pairs[i].value, max_value);
    }
    hk_json_close(j, '}');
}

/* About MAX_HEADERS bytes of JSON, which is what Sentry keeps: a value is cut, and what has no room is left out. */
static void put_headers(hk_json *j, const hk_pair *headers, size_t n)
{
    size_t start = j->out->len, value, i;

    if (n == 0)
        return;
    key(j, "headers");
    hk_json_open(j, '{');
    for (i = 0; i < n; i++) {
        value = headers[i].value.n < MAX_HEADER ? headers[i].value.n : MAX_HEADER;
        if (j->out->len - start + headers[i].key.n + value > MAX_HEADERS)
            continue;
        hk_json_key(j, headers[i].key, 200);
        hk_json_value(j, headers[i].value, MAX_HEADER);
    }
    hk_json_close(j, '}');
}

static void put_request(hk_json *j, const char *name, const hk_request *r)
{
    if (r == NULL || r->method.n == 0)
        return;
    key(j, name);
    hk_json_open(j, '{');
    hk_json_pair(j, "method", r->method, 32);
    hk_json_pair(j, "url", r->url, 8192);
    hk_json_pair(j, "query_string", r->query, MAX_QUERY);
    put_headers(j, r->headers, r->header_count);
    put_pairs(j, "env", r->env, r->env_count, 200, 200);
    hk_json_close(j, '}');
}

static void put_common(hk_json *j, const hk_event *e)
{
    hk_json_pair(j, "level", e->level, 16);
    hk_json_pair(j, "logger", e->logger, 64);
    hk_json_pair(j, "platform", platform_of(e), 64);
    hk_json_pair(j, "culprit", e->culprit, HK_EVENT_MAX_CULPRIT);
    hk_json_pair(j, "server_name", e->server_name, 200);
    hk_json_pair(j, "release", e->release, 200);
    put_pairs(j, "tags", e->tags, e->tag_count, HK_EVENT_MAX_TAG, HK_EVENT_MAX_TAG);
}

static void put_timestamp(hk_json *j, const hk_event *e, int fraction)
{
    key(j, "timestamp");
    hk_buf_putc(j->out, '"');
    hk_event_put_time(e->time_ns, fraction, j->out);
    hk_buf_putc(j->out, '"');
    j->comma = 1;
}

static int has_exception(const hk_event *e)
{
    return e->exception_type.n > 0 || e->exception_value.n > 0 || e->frame_count > 0;
}

static hk_slice shown_message(const hk_event *e)
{
    return e->message.n > 0 || has_exception(e) ? e->message : hk_slice_of("(no message)");
}

/* uWSGI says builtins.ValueError; Sentry wants type and module apart. */
static void put_exception_type(hk_json *j, const hk_event *e)
{
    hk_slice type = e->exception_type;
    size_t at = type.n;

    while (at > 0 && type.p[at - 1] != '.')
        at--;
    if (at > 0 && at < type.n) {
        hk_json_pair(j, "type", hk_slice_from(type, at), 256);
        hk_json_pair(j, "module", hk_slice_make(type.p, at - 1), 256);
    } else {
        hk_json_pair(j, "type", type.n > 0 ? type : hk_slice_of("Error"), 256);
    }
}

/* As Sentry's schema has it: mechanism.meta.signal. */
static void put_signal(hk_json *j, int signal)
{
    if (signal <= 0)
        return;
    key(j, "meta");
    hk_json_open(j, '{');
    key(j, "signal");
    hk_json_open(j, '{');
    key(j, "number");
    hk_json_u64(j, (uint64_t)signal);
    hk_json_pair(j, "name", hk_slice_of(hk_event_signal_name(signal)), 16);
    hk_json_close(j, '}');
    hk_json_close(j, '}');
}

static void put_contexts(hk_json *j, const hk_event *e, const limits *l)
{
    size_t i;

    if (e->context_count == 0 || !l->contexts)
        return;
    key(j, "contexts");
    hk_json_open(j, '{');
    for (i = 0; i < e->context_count; i++) {
        hk_json_key(j, e->contexts[i].key, HK_JSON_NO_LIMIT);
        hk_json_raw(j, e->contexts[i].value);
    }
    hk_json_close(j, '}');
}

/* That of the exception is the first; the others stand beside it. */
static void put_threads(hk_json *j, const hk_event *e, const limits *l)
{
    const hk_frames_parts bare = { 0, 0, 0 };
    size_t i;

    if (e->thread_count == 0 || !l->parts.vars)
        return;
    key(j, "threads");
    hk_json_open(j, '{');
    key(j, "values");
    hk_json_open(j, '[');
    for (i = 0; i <= e->thread_count; i++) {
        hk_json_open(j, '{');
        key(j, "id");
        hk_json_u64(j, i + 1);
        key(j, "current");
        hk_json_bool(j, i == 0);
        key(j, "crashed");
        hk_json_bool(j, i == 0 && e->signal > 0);
        if (i > 0) {
            key(j, "stacktrace");
            hk_json_open(j, '{');
            hk_frames_put(j, e->threads[i - 1].frames, e->threads[i - 1].count, 1, bare);
            hk_json_close(j, '}');
        }
        hk_json_close(j, '}');
    }
    hk_json_close(j, ']');
    hk_json_close(j, '}');
}

static void put_user(hk_json *j, const char *name, const hk_event *e)
{
    if (e->user.n == 0)
        return;
    key(j, name);
    hk_json_raw(j, e->user);
}

static void put_exception(hk_json *j, const hk_event *e, const limits *l)
{
    if (!has_exception(e))
        return;
    key(j, "exception");
    hk_json_open(j, '{');
    key(j, "values");
    hk_json_open(j, '[');
    hk_json_open(j, '{');
    put_exception_type(j, e);
    hk_json_pair(j, "value", e->exception_value, l->text);
    if (e->frame_count > 0) {
        key(j, "stacktrace");
        hk_json_open(j, '{');
        hk_frames_put(j, e->frames, e->frame_count, 1, l->parts);
        hk_json_close(j, '}');
    }
    if (e->thread_count > 0 && l->parts.vars) {
        key(j, "thread_id");
        hk_json_u64(j, 1);
    }
    key(j, "mechanism");
    hk_json_open(j, '{');
    hk_json_pair(j, "type", hk_slice_of(e->mechanism == NULL ? "generic" : e->mechanism), 64);
    key(j, "handled");
    hk_json_bool(j, 0);
    put_signal(j, e->signal);
    hk_json_close(j, '}');
    hk_json_close(j, '}');
    hk_json_close(j, ']');
    hk_json_close(j, '}');
}

static void put_v7(hk_json *j, const hk_event *e, const limits *l)
{
    size_t i;

    hk_json_open(j, '{');
    hk_json_pair(j, "event_id", hk_slice_of(e->id), 32);
    put_timestamp(j, e, 1);
    put_common(j, e);
    hk_json_pair(j, "environment", e->environment, 64);
    hk_json_pair(j, "transaction", e->transaction, HK_EVENT_MAX_CULPRIT);
    if (shown_message(e).n > 0) {
        key(j, "logentry");
        hk_json_open(j, '{');
        hk_json_pair(j, "formatted", shown_message(e), l->text);
        hk_json_close(j, '}');
    }
    put_exception(j, e, l);
    put_threads(j, e, l);
    put_request(j, "request", e->request);
    put_user(j, "user", e);
    put_contexts(j, e, l);
    if (e->images.n > 0) {
        key(j, "debug_meta");
        hk_json_open(j, '{');
        key(j, "images");
        hk_json_raw(j, e->images);
        hk_json_close(j, '}');
    }
    put_pairs(j, "extra", e->extra, e->extra_count, HK_EVENT_MAX_TAG, l->extra);
    if (e->fingerprint_count > 0) {
        key(j, "fingerprint");
        hk_json_open(j, '[');
        for (i = 0; i < e->fingerprint_count; i++)
            hk_json_value(j, e->fingerprint[i], 200);
        hk_json_close(j, ']');
    }
    key(j, "sdk");
    hk_json_open(j, '{');
    hk_json_pair(j, "name", hk_slice_of(HK_SDK_NAME ".uwsgi"), 64);
    hk_json_pair(j, "version", hk_slice_of(HK_VERSION), 64);
    hk_json_close(j, '}');
    hk_json_close(j, '}');
}

const char *hk_event_signal_name(int signal)
{
    static const struct {
        int number;
        const char *name;
    } names[] = { { SIGHUP, "SIGHUP" }, { SIGINT, "SIGINT" }, { SIGQUIT, "SIGQUIT" }, { SIGILL, "SIGILL" }, { SIGTRAP, "SIGTRAP" },
                  { SIGABRT, "SIGABRT" }, { SIGBUS, "SIGBUS" }, { SIGFPE, "SIGFPE" }, { SIGKILL, "SIGKILL" },
                  { SIGUSR1, "SIGUSR1" }, { SIGSEGV, "SIGSEGV" }, { SIGUSR2, "SIGUSR2" }, { SIGPIPE, "SIGPIPE" },
                  { SIGALRM, "SIGALRM" }, { SIGTERM, "SIGTERM" }, { SIGXCPU, "SIGXCPU" }, { SIGXFSZ, "SIGXFSZ" },
                  { SIGSYS, "SIGSYS" } };
    size_t i;

    for (i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].number == signal)
            return names[i].name;
    return "";
}

static uint64_t level_number(hk_slice level)
{
    static const char *const names[] = { "debug", "info", "warning", "error", "fatal" };
    uint64_t i;

    for (i = 0; i < 5; i++)
        if (hk_slice_is(level, names[i]))
            return (i + 1) * 10;
    return 40;
}

static void put_v3(hk_json *j, const hk_event *e, const limits *l)
{
    hk_event copy = *e;
    hk_slice message = e->message;

    hk_json_open(j, '{');
    hk_json_pair(j, "event_id", hk_slice_of(e->id), 32);
    hk_json_pair(j, "project", e->project, 64);
    put_timestamp(j, e, 0); /* Sentry 5 reads whole seconds only */
    copy.level = hk_slice_make("", 0); /* a number there */
    put_common(j, &copy);
    key(j, "level");
    hk_json_u64(j, level_number(e->level));
    if (message.n == 0)
        message = e->exception_value.n > 0 ? e->exception_value : e->exception_type;
    hk_json_pair(j, "message", message.n > 0 ? message : hk_slice_of("(no message)"), l->text);
    if (e->exception_type.n > 0 || e->exception_value.n > 0) {
        key(j, "sentry.interfaces.Exception");
        hk_json_open(j, '{');
        put_exception_type(j, e);
        hk_json_key(j, hk_slice_of("value"), HK_JSON_NO_LIMIT);
        hk_json_value(j, e->exception_value, l->text);
        hk_json_close(j, '}');
    }
    if (e->frame_count > 0) {
        key(j, "sentry.interfaces.Stacktrace");
        hk_json_open(j, '{');
        hk_frames_put(j, e->frames, e->frame_count, 0, l->parts);
        hk_json_close(j, '}');
    }
    put_request(j, "sentry.interfaces.Http", e->request);
    put_user(j, "sentry.interfaces.User", e);
    put_pairs(j, "extra", e->extra, e->extra_count, HK_EVENT_MAX_TAG, l->extra);
    hk_json_close(j, '}');
}

/* What is left out next; -1: nothing is left to leave out. */
static int tighten(limits *l)
{
    if (l->parts.lines) {
        l->parts.lines = 0;
    } else if (l->parts.vars) {
        l->parts.vars = 0;
    } else if (l->text > SHORTEST) {
        l->text /= 2;
        l->extra /= 2;
    } else if (l->parts.most == 0) {
        l->parts.most = FEWEST;
    } else if (l->contexts) {
        l->contexts = 0;
    } else {
        return -1;
    }
    return 0;
}

hk_status hk_event_put(const hk_event *e, int protocol, size_t max_bytes, hk_buf *out)
{
    limits l = { HK_EVENT_MAX_MESSAGE, HK_EVENT_MAX_EXTRA, { 1, 1, 0 }, 1 };
    size_t start = out->len;
    hk_json j;

    do {
        out->len = start;
        hk_json_init(&j, out);
        if (protocol == 3)
            put_v3(&j, e, &l);
        else
            put_v7(&j, e, &l);
        if (!hk_buf_ok(out))
            return HK_ERR_MEMORY;
        if (out->len - start <= max_bytes)
            return HK_OK;
    } while (tighten(&l) == 0);
    out->len = start;
    return HK_ERR_LIMIT;
}

/* test_vectors.c: the tables in tests/data that the Python tests read too. */
#include "check.h"

#include "../../uwsgi_plugin/core/envelope.h"
#include "../../uwsgi_plugin/core/policy.h"
#include "../../uwsgi_plugin/core/wire.h"
#include "../../uwsgi_plugin/edge/ledger.h"

#include <math.h>

static char *text(hk_slice s)
{
    static char copies[8][4096];
    static int next;
    char *copy = copies[next++ % 8];

    snprintf(copy, sizeof copies[0], "%.*s", (int)s.n, s.n == 0 ? "" : s.p);
    return copy;
}

static const char *or_empty(hk_slice field)
{
    return hk_slice_is(field, "-") ? "" : text(field);
}

static void dsn_row(hk_slice *f, int count)
{
    static const char *const schemes[] = { "http", "https", "udp" };
    const char *reason = NULL;
    hk_buf in, out;
    hk_dsn d;
    hk_status rc;

    hk_buf_init(&in, 8192);
    hk_buf_init(&out, 8192);
    check_unescape(f[0], &in);
    rc = hk_dsn_parse(hk_buf_slice(&in), &d, &reason);
    if (hk_slice_is(f[1], "error")) {
        CHECK(rc == HK_ERR_SYNTAX);
        CHECK(reason != NULL && strstr(reason, text(f[2])) != NULL);
        CHECK(d.host.p == NULL);
        if (reason != NULL && strstr(reason, text(f[2])) == NULL)
            fprintf(stderr, "%s: %s, expected: %s\n", text(f[0]), reason, text(f[2]));
        goto out;
    }
    CHECK(rc == HK_OK && count == 11);
    if (rc != HK_OK) {
        fprintf(stderr, "%s: %s\n", text(f[0]), reason);
        goto out;
    }
    CHECK_TEXT(text(f[2]), hk_slice_of(schemes[hk_dsn_scheme(&d)]));
    CHECK_TEXT(or_empty(f[3]), d.public_key);
    CHECK_TEXT(or_empty(f[4]), d.secret);
    CHECK_TEXT(or_empty(f[5]), d.host);
    CHECK_TEXT(or_empty(f[6]), d.port);
    CHECK_TEXT(or_empty(f[7]), d.path);
    CHECK_TEXT(or_empty(f[8]), d.project);
    hk_dsn_put(&d, 0, &out);
    CHECK_TEXT(text(f[9]), hk_buf_slice(&out));
    if (!hk_slice_is(f[10], "-")) {
        hk_buf_clear(&out);
        hk_dsn_put_url(&d, "envelope", &out);
        CHECK_TEXT(text(f[10]), hk_buf_slice(&out));
    }
    hk_buf_clear(&out);
    hk_dsn_put(&d, 1, &out);
    CHECK(hk_dsn_parse(hk_buf_slice(&out), &d, NULL) == HK_OK);
out:
    hk_buf_free(&in);
    hk_buf_free(&out);
}

static void dsn_limits(void)
{
    char long_dsn[HK_DSN_MAX + 2];
    hk_dsn d;

    memset(long_dsn, 'a', sizeof long_dsn);
    memcpy(long_dsn, "http://k@h/", 11);
    CHECK(hk_dsn_parse(hk_slice_make(long_dsn, HK_DSN_MAX), &d, NULL) == HK_OK);
    CHECK(hk_dsn_parse(hk_slice_make(long_dsn, HK_DSN_MAX + 1), &d, NULL) == HK_ERR_SYNTAX);
}

static int status_of(hk_slice f)
{
    return hk_slice_is(f, "error") ? HK_POLICY_NO_REPLY : hk_slice_is(f, "sent") ? HK_POLICY_SENT
        : hk_slice_is(f, "too_large") ? HK_POLICY_TOO_LARGE : atoi(text(f));
}

static void reply_row(hk_slice *f, int count)
{
    static const char *const actions[] = { "delivered", "hold", "retry", "follow", "discard" };
    static const char *const counters[] = { "-", "discarded.ratelimit_backoff", "discarded.network_error",
                                            "discarded.send_error" };
    const char *url = hk_slice_starts(f[0], "plain") ? "http://sentry.example/api/1/envelope/"
                                                      : "https://sentry.example/api/1/envelope/";
    hk_policy_verdict v;
    hk_buf target;
    int before = check_failed;

    CHECK(count == 10);
    hk_buf_init(&target, 8192);
    v = hk_policy_reply(status_of(f[1]), hk_slice_of(or_empty(f[2])), hk_slice_of(url), atoi(text(f[3])), atof(text(f[4])),
                        hk_slice_is(f[5], "discard"), &target);
    CHECK_TEXT(text(f[6]), hk_slice_of(actions[v.action]));
    CHECK_TEXT(text(f[7]), hk_slice_of(v.action == HK_DELIVERED ? "delivered" : counters[v.reason]));
    CHECK(v.dead == hk_slice_is(f[8], "yes"));
    if (v.action == HK_FOLLOW)
        CHECK_TEXT(or_empty(f[9]), hk_buf_slice(&target));
    hk_buf_free(&target);
    if (check_failed > before)
        fprintf(stderr, "  case: %s\n", text(f[0]));
}

static void limit_row(hk_slice *f, int count)
{
    hk_slice limits = hk_slice_is(f[2], "-") ? hk_slice_make(NULL, 0) : f[2];
    hk_slice after = hk_slice_is(f[3], "-") ? hk_slice_make(NULL, 0) : f[3];
    hk_policy_pause p = hk_policy_limits(atoi(text(f[1])), limits, after, 1700000000);
    double all = hk_slice_is(f[4], "-") ? -1 : atof(text(f[4])), error = hk_slice_is(f[5], "-") ? -1 : atof(text(f[5]));

    CHECK(count == 6);
    CHECK(fabs(p.all_s - all) < 1e-6);
    CHECK(fabs(p.error_s - error) < 1e-6);
    if (fabs(p.all_s - all) >= 1e-6 || fabs(p.error_s - error) >= 1e-6)
        fprintf(stderr, "  case: %s: %g %g\n", text(f[0]), p.all_s, p.error_s);
}

/* The bytes that pictures of control characters stand for. */
static hk_slice without_pictures(hk_slice f, char *out)
{
    size_t n = 0, i;

    for (i = 0; i < f.n; i++)
        if (f.n - i >= 3 && memcmp(f.p + i, "\xe2\x90", 2) == 0) {
            out[n++] = (char)(f.p[i + 2] & 0x3f);
            i += 2;
        } else {
            out[n++] = f.p[i];
        }
    return hk_slice_make(out, n);
}

static void reason_row(hk_slice *f, int count)
{
    char header[1024], body[1024];
    int status = hk_slice_is(f[1], "error") ? 0 : atoi(text(f[1]));
    hk_slice from = hk_slice_is(f[2], "-") ? without_pictures(f[3], body) : without_pictures(f[2], header);
    hk_buf said;

    CHECK(count == 6);
    if (hk_slice_is(from, "-"))
        from = hk_slice_make(NULL, 0);
    hk_buf_init(&said, 4096);
    hk_policy_words(status, from, hk_slice_is(f[4], "-") ? NULL : text(f[4]), &said);
    CHECK(hk_buf_text(&said) != NULL && hk_slice_is(f[5], hk_buf_text(&said)));
    if (!hk_slice_is(f[5], hk_buf_text(&said)))
        fprintf(stderr, "  case: %s: %s\n", text(f[0]), hk_buf_text(&said));
    hk_buf_free(&said);
}

#define NOW_NS 1700000000250000000ULL

static void replace(const char *in, hk_buf *out)
{
    for (; *in != '\0'; in++) {
        if (strncmp(in, "CLIENT", 6) == 0) {
            hk_buf_puts(out, HK_CLIENT);
            in += 5;
        } else if (strncmp(in, "NOW", 3) == 0) {
            hk_buf_puts(out, "1700000000.25");
            in += 2;
        } else {
            hk_buf_putc(out, *in);
        }
    }
}

static void request_row(hk_slice *f, int count)
{
    static const char payload[] = "PAYLOAD";
    hk_envelope_hk hk = { 0, 0, hk_slice_is(f[3], "store"), 0, { NULL, 0 }, { NULL, 0 } };
    hk_envelope e;
    hk_dsn d;
    hk_wire w;
    hk_buf file, expected;
    int before = check_failed;

    CHECK(count == 9);
    hk_buf_init(&file, 8192);
    hk_buf_init(&expected, 8192);
    CHECK(hk_dsn_parse(f[1], &d, NULL) == HK_OK);
    hk_envelope_put(hk_slice_of("0123456789abcdef0123456789abcdef"), &d, &hk, text(f[2]), hk_slice_of(payload), &file);
    CHECK(hk_envelope_read(hk_buf_slice(&file), &e, NULL) == HK_OK);
    CHECK_TEXT(payload, e.payload);
    CHECK(hk_wire_build(&e, NOW_NS, &w) == HK_OK);
    CHECK(w.udp == hk_slice_is(f[4], "udp"));
    if (w.udp) {
        hk_buf where;
        hk_buf_init(&where, 1024);
        if (e.dsn.bracketed)
            hk_buf_putc(&where, '[');
        hk_buf_slice_put(&where, e.dsn.host);
        if (e.dsn.bracketed)
            hk_buf_putc(&where, ']');
        hk_buf_putc(&where, ':');
        hk_buf_put_u64(&where, hk_dsn_port(&e.dsn));
        CHECK_TEXT(text(f[5]), hk_buf_slice(&where));
        hk_buf_free(&where);
    } else {
        CHECK_TEXT(text(f[5]), hk_buf_slice(&w.url));
    }
    replace(text(f[6]), &expected);
    CHECK_TEXT(text(hk_buf_slice(&expected)), hk_buf_slice(&w.auth));
    CHECK_TEXT(or_empty(f[7]), hk_slice_of(w.content_type));
    if (hk_slice_is(f[8], "payload")) {
        CHECK_TEXT(payload, hk_buf_slice(&w.body));
    } else if (hk_slice_is(f[8], "datagram")) {
        hk_buf_puts(&expected, "\n\n");
        hk_buf_puts(&expected, payload);
        CHECK_TEXT(text(hk_buf_slice(&expected)), hk_buf_slice(&w.body));
    } else {
        hk_buf_clear(&expected);
        hk_buf_puts(&expected, "{\"event_id\":\"0123456789abcdef0123456789abcdef\",\"dsn\":\"");
        hk_dsn_put(&d, 0, &expected);
        hk_buf_puts(&expected, "\",\"sent_at\":\"2023-11-14T22:13:20.250000Z\"}\n{\"type\":\"event\",\"length\":7}\nPAYLOAD\n");
        CHECK_TEXT(text(hk_buf_slice(&expected)), hk_buf_slice(&w.body));
    }
    CHECK(memmem(w.body.data, w.body.len, "\"hk\"", 4) == NULL);
    hk_wire_free(&w);
    hk_envelope_free(&e);
    hk_buf_free(&file);
    hk_buf_free(&expected);
    if (check_failed > before)
        fprintf(stderr, "  case: %s\n", text(f[0]));
}

/* The spool files that both halves write and read. */
static void sample_files(void)
{
    hk_slice file = check_read_file(check_data("spool/01700000000250000000-4242-0123456789abcdef0123456789abcdef.env"));
    const char *reason = "";
    uint64_t ns;
    hk_envelope e;
    hk_buf out;

    CHECK(hk_envelope_is_name(hk_slice_of("01700000000250000000-4242-0123456789abcdef0123456789abcdef.env"), &ns));
    CHECK(ns == NOW_NS);
    CHECK(hk_envelope_read(file, &e, &reason) == HK_OK);
    CHECK_TEXT("0123456789abcdef0123456789abcdef", hk_slice_of(e.event_id));
    CHECK_TEXT("def", e.dsn.secret);
    CHECK(e.hk.no_verify && e.hk.debug && e.hk.store && e.hk.timeout_s == 5 && !e.raven);
    CHECK_TEXT("/etc/ssl/caf\xc3\xa9 ca.pem", e.hk.ca);
    CHECK_TEXT("http://user:word@proxy.example:3128", e.hk.proxy);
    CHECK(e.payload.n == 164);
    /* Written again from what was read, the bytes are the same. */
    hk_buf_init(&out, 8192);
    hk_envelope_put(hk_slice_of(e.event_id), &e.dsn, &e.hk, "event", e.payload, &out);
    CHECK(hk_slice_same(file, hk_buf_slice(&out)));
    hk_envelope_free(&e);
    hk_buf_release((void *)file.p);
    file = check_read_file(check_data("spool/01700000001000000000-4242-fedcba9876543210fedcba9876543210.env"));
    CHECK(hk_envelope_read(file, &e, &reason) == HK_OK);
    CHECK(e.raven && hk_dsn_scheme(&e.dsn) == HK_DSN_UDP && e.payload.n == 96);
    CHECK(!e.hk.no_verify && !e.hk.debug && !e.hk.store && e.hk.timeout_s == 0);
    CHECK(e.hk.ca.p == NULL && e.hk.proxy.p == NULL);
    hk_envelope_free(&e);
    hk_buf_release((void *)file.p);
    hk_buf_free(&out);
}

/* How the server is reached: an empty text says "the system's", what is none or too long says nothing. */
static void ways(void)
{
    static const char head[] = "{\"event_id\":\"0123456789abcdef0123456789abcdef\",\"dsn\":\"http://k@h/1\",\"hk\":";
    hk_envelope e;
    hk_buf file;
    unsigned i;

    hk_buf_init(&file, 65536);
    hk_buf_puts(&file, head);
    hk_buf_puts(&file, "{\"ca\":\"/a\",\"ca\":\"\",\"proxy\":[\"x\"]}}\n{\"type\":\"event\"}\n{}\n");
    CHECK(hk_envelope_read(hk_buf_slice(&file), &e, NULL) == HK_OK);
    CHECK(e.hk.ca.p != NULL && e.hk.ca.n == 0 && e.hk.proxy.p == NULL);
    hk_envelope_free(&e);
    hk_buf_clear(&file);
    hk_buf_puts(&file, head);
    hk_buf_puts(&file, "{\"ca\":\"");
    for (i = 0; i < HK_ENVELOPE_MAX_WAY + 2; i++)
        hk_buf_putc(&file, 'x');
    hk_buf_puts(&file, "\",\"proxy\":\"http://p:1\"}}\n{\"type\":\"event\"}\n{}\n");
    CHECK(hk_envelope_read(hk_buf_slice(&file), &e, NULL) == HK_OK);
    CHECK(e.hk.ca.p == NULL);
    CHECK_TEXT("http://p:1", e.hk.proxy);
    hk_envelope_free(&e);
    hk_buf_free(&file);
}

static void bad_envelope(const char *bytes, const char *word)
{
    const char *reason = NULL;
    hk_envelope e;

    CHECK(hk_envelope_read(hk_slice_of(bytes), &e, &reason) == HK_ERR_SYNTAX);
    CHECK(reason != NULL && strstr(reason, word) != NULL);
    hk_envelope_free(&e);
}

#define ID "\"event_id\":\"0123456789abcdef0123456789abcdef\""
#define HEAD "{" ID ",\"dsn\":\"http://k@h/1\"}\n"

static void bad_envelopes(void)
{
    hk_envelope e;

    bad_envelope("", "header");
    bad_envelope("{}\n", "event_id");
    bad_envelope("{\"event_id\":\"xyz\"}\n", "header");
    bad_envelope("{" ID "}\n", "dsn");
    bad_envelope("{" ID ",\"dsn\":\"http://h/1\"}\n", "dsn");
    bad_envelope(HEAD, "item");
    bad_envelope(HEAD "{\"type\":\"session\",\"length\":1}\nx", "type");
    bad_envelope(HEAD "{\"type\":\"event\",\"length\":5}\nabc\n", "shorter");
    bad_envelope(HEAD "{\"type\":\"event\",\"length\":-5}\nabc\n", "header");
    bad_envelope(HEAD "{\"type\":\"event\",\"length\":1e300}\nabc\n", "shorter");
    bad_envelope(HEAD "{\"type\":\"event\",\"length\":0}\n\n", "empty");
    CHECK(hk_envelope_read(hk_slice_of(HEAD "{\"type\":\"event\"}\n{}\n"), &e, NULL) == HK_OK); /* length may be left out */
    CHECK_TEXT("{}", e.payload);
    hk_envelope_free(&e);
    CHECK(hk_envelope_read(hk_slice_of("{\"hk\":{\"timeout_s\":0.5},\"later\":[1]," ID ",\"dsn\":\"http://k@h/1\"}\n"
                                       "{\"length\":2,\"type\":\"event\"}\n{}"), &e, NULL) == HK_OK);
    CHECK(e.hk.timeout_s == 1);
    hk_envelope_free(&e);
}

static void names(void)
{
    static const char *const bad[] = {
        "", "x", "01700000000250000000-4242-0123456789abcdef0123456789abcdef.tmp",
        "01700000000250000000-4242-0123456789abcdef0123456789abcdeF.env",
        "0170000000025000000-4242-0123456789abcdef0123456789abcdef.env",
        "01700000000250000000--0123456789abcdef0123456789abcdef.env",
        "01700000000250000000-42x2-0123456789abcdef0123456789abcdef.env",
        "01700000000250000000-4242-0123456789abcdef0123456789abcde.env",
        "01700000000250000000-42424242424-0123456789abcdef0123456789abcdef.env" };
    size_t i;

    for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(!hk_envelope_is_name(hk_slice_of(bad[i]), NULL));
}

static void ledger_row(hk_slice *f, int count)
{
    unsigned long offset = strtoul(text(f[1]), NULL, 10);
    unsigned i;

    CHECK(count == 3);
    if (hk_slice_is(f[0], "magic") || hk_slice_is(f[0], "size"))
        return;
    for (i = HK_COUNT_CAPTURED; i < HK_COUNT_END; i++)
        if (hk_slice_is(f[0], hk_ledger_name((hk_count)i))) {
            CHECK(offset == i * 8UL);
            return;
        }
    CHECK(!"a counter of ledger.tsv is unknown to ledger.h");
    fprintf(stderr, "  %s\n", text(f[0]));
}

static void backoff_row(hk_slice *f, int count)
{
    CHECK(count == 3);
    CHECK(fabs(hk_policy_backoff((unsigned)strtoul(text(f[0]), NULL, 10), atof(text(f[1]))) - atof(text(f[2]))) < 1e-9);
}

int main(void)
{
    check_each_row("dsn.tsv", dsn_row);
    dsn_limits();
    check_each_row("replies.tsv", reply_row);
    check_each_row("ratelimits.tsv", limit_row);
    check_each_row("backoff.tsv", backoff_row);
    check_each_row("reasons.tsv", reason_row);
    check_each_row("requests.tsv", request_row);
    check_each_row("ledger.tsv", ledger_row);
    sample_files();
    ways();
    bad_envelopes();
    names();
    printf("%d checks, %d failed\n", check_done, check_failed);
    return check_failed != 0;
}

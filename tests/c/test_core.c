/* test_core.c: buffer, json, jsonread, options, template, packet, ring, legacy, pool. */
#include "check.h"

#include "../../uwsgi_plugin/core/duration.h"
#include "../../uwsgi_plugin/core/json.h"
#include "../../uwsgi_plugin/core/jsonread.h"
#include "../../uwsgi_plugin/core/legacy.h"
#include "../../uwsgi_plugin/core/options.h"
#include "../../uwsgi_plugin/core/ownlines.h"
#include "../../uwsgi_plugin/core/packet.h"
#include "../../uwsgi_plugin/core/pathname.h"
#include "../../uwsgi_plugin/core/pool.h"
#include "../../uwsgi_plugin/core/ring.h"
#include "../../uwsgi_plugin/core/template.h"

/* A buffer holds exactly its limit; one byte more fails it for good. */
static void buffer_limit(void)
{
    hk_buf b;

    hk_buf_init(&b, 10);
    hk_buf_puts(&b, "0123456789");
    CHECK(hk_buf_ok(&b));
    CHECK_TEXT("0123456789", hk_buf_slice(&b));
    hk_buf_putc(&b, 'x');
    CHECK(!hk_buf_ok(&b));
    hk_buf_clear(&b);
    hk_buf_puts(&b, "01234567890");
    CHECK(!hk_buf_ok(&b));
    CHECK(b.len == 0);
    hk_buf_put(&b, "y", SIZE_MAX);
    CHECK(!hk_buf_ok(&b));
    hk_buf_free(&b);
    hk_buf_free(NULL);
}

static void buffer_numbers(void)
{
    hk_buf b;

    hk_buf_init(&b, 1000);
    hk_buf_put_u64(&b, 0);
    hk_buf_putc(&b, ' ');
    hk_buf_put_u64(&b, UINT64_MAX);
    hk_buf_putc(&b, ' ');
    hk_buf_put_u64_padded(&b, 7, 3);
    hk_buf_putc(&b, ' ');
    hk_buf_put_u64_padded(&b, 1234, 2);
    hk_buf_putc(&b, ' ');
    hk_buf_put_u64_padded(&b, 1, 99);
    CHECK_TEXT("0 18446744073709551615 007 1234 00000000000000000001", hk_buf_slice(&b));
    hk_buf_free(&b);
}

static void json_is(const char *bytes, size_t n, size_t max, const char *expected)
{
    hk_buf b;

    hk_buf_init(&b, 1 << 20);
    hk_json_string(&b, hk_slice_make(bytes, n), max);
    CHECK_TEXT(expected, hk_buf_slice(&b));
    hk_buf_free(&b);
}

/* Whatever the bytes, one valid JSON string: controls escaped, bad UTF-8 replaced, cut at code points. */
static void json_strings(void)
{
    json_is("", 0, HK_JSON_NO_LIMIT, "\"\"");
    json_is("a\"b\\c/", 6, HK_JSON_NO_LIMIT, "\"a\\\"b\\\\c/\"");
    json_is("\x00\x01\x1f\x7f\n\r\t\b", 8, HK_JSON_NO_LIMIT, "\"\\u0000\\u0001\\u001f\\u007f\\n\\r\\t\\u0008\"");
    json_is("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 14, HK_JSON_NO_LIMIT, "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
    json_is("\xff", 1, HK_JSON_NO_LIMIT, "\"\xef\xbf\xbd\"");
    json_is("\xc3", 1, HK_JSON_NO_LIMIT, "\"\xef\xbf\xbd\"");
    json_is("\xc0\x80", 2, HK_JSON_NO_LIMIT, "\"\xef\xbf\xbd\xef\xbf\xbd\"");                     /* overlong */
    json_is("\xed\xa0\x80", 3, HK_JSON_NO_LIMIT, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");     /* surrogate */
    json_is("\xf4\x90\x80\x80", 4, HK_JSON_NO_LIMIT, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    json_is("\xe2\x82z", 3, HK_JSON_NO_LIMIT, "\"\xef\xbf\xbd\xef\xbf\xbdz\"");
    json_is("12345", 5, 5, "\"12345\"");
    json_is("123456", 6, 5, "\"12...\"");
    json_is("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 10, 5, "\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\"");
    json_is("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9z", 11, 5, "\"\xc3\xa9\xc3\xa9...\"");
    json_is("1234", 4, 3, "\"123\"");
}

static int one_member(void *ctx, hk_slice key, hk_slice value)
{
    hk_buf *out = ctx;

    hk_buf_slice_put(out, key);
    hk_buf_putc(out, '=');
    hk_buf_slice_put(out, value);
    hk_buf_putc(out, ';');
    return 0;
}

static void object_is(const char *text, const char *expected)
{
    hk_buf b;
    hk_status rc;

    hk_buf_init(&b, 1 << 20);
    rc = hk_jsonread_object(hk_slice_of(text), one_member, &b);
    if (expected == NULL)
        CHECK(rc == HK_ERR_SYNTAX);
    else
        CHECK_TEXT(expected, hk_buf_slice(&b));
    hk_buf_free(&b);
}

static void json_objects(void)
{
    char deep[200];
    int i;

    object_is("{}", "");
    object_is(" { \"a\" : 1 , \"b\\u0041\" : [1,{\"c\":null}] } ", "a=1;bA=[1,{\"c\":null}];");
    object_is("{\"a\":\"x\\\"y\",\"b\":-1.5e+7,\"c\":true}", "a=\"x\\\"y\";b=-1.5e+7;c=true;");
    object_is("", NULL);
    object_is("[]", NULL);
    object_is("{\"a\":1", NULL);
    object_is("{\"a\":1,}", NULL);
    object_is("{a:1}", NULL);
    object_is("{\"a\":01}", NULL);
    object_is("{\"a\":1.}", NULL);
    object_is("{\"a\":\"\x01\"}", NULL);
    object_is("{\"a\":\"\\x\"}", NULL);
    object_is("{\"a\":\"\\u12\"}", NULL);
    object_is("{\"a\":nul}", NULL);
    object_is("{}x", NULL);
    for (i = 0; i < 100; i++)
        deep[i] = i == 0 ? '{' : '[';
    deep[100] = '\0';
    object_is(deep, NULL);
}

static void string_is(const char *raw, const char *expected)
{
    hk_buf b;
    hk_status rc;

    hk_buf_init(&b, 1 << 20);
    rc = hk_jsonread_string(hk_slice_of(raw), &b);
    if (expected == NULL)
        CHECK(rc == HK_ERR_SYNTAX);
    else
        CHECK_TEXT(expected, hk_buf_slice(&b));
    hk_buf_free(&b);
}

static void number_is(const char *raw, double expected)
{
    double value;
    hk_status rc = hk_jsonread_number(hk_slice_of(raw), &value);

    if (expected < 0)
        CHECK(rc == HK_ERR_SYNTAX);
    else
        CHECK(rc == HK_OK && value > expected - 1e-9 && value < expected + 1e-9);
}

static void json_values(void)
{
    string_is("\"\"", "");
    string_is("\"a\\n\\t\\b\\f\\r\\/\\\\\\\"\"", "a\n\t\b\f\r/\\\"");
    string_is("\"\\u00e9\\u20ac\\ud83d\\ude00\"", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    string_is("\"\\ud83d\"", "\xef\xbf\xbd");
    string_is("\"\\ude00x\"", "\xef\xbf\xbdx");
    string_is("\"\\ud83d\\u0041\"", "\xef\xbf\xbd" "A");
    string_is("\"", NULL);
    string_is("1", NULL);
    number_is("0", 0);
    number_is("12.5", 12.5);
    number_is("1e3", 1000);
    number_is("25e-1", 2.5);
    number_is("-1", -1);
    number_is("x", -1);
    number_is("", -1);
}

static void options_are(const char *text, hk_option which, const char *expected)
{
    hk_options o;
    hk_buf why;
    hk_status rc;

    hk_buf_init(&why, 4096);
    rc = hk_options_parse(hk_slice_of(text), "http://k@h/1", &o, &why);
    if (rc != HK_OK)
        fprintf(stderr, "%s: %.*s\n", text, (int)why.len, why.data == NULL ? "" : why.data);
    CHECK(rc == HK_OK);
    CHECK_TEXT(expected, hk_options_get(&o, which));
    hk_options_free(&o);
    hk_buf_free(&why);
}

static void options_wrong(const char *text, const char *expected)
{
    hk_options o;
    hk_buf why;

    hk_buf_init(&why, 4096);
    CHECK(hk_options_parse(hk_slice_of(text), NULL, &o, &why) == HK_ERR_SYNTAX);
    CHECK_TEXT(expected, hk_buf_slice(&why));
    hk_options_free(&o);
    hk_buf_free(&why);
}

static void options_values(void)
{
    options_are("", HK_OPT_DSN, "http://k@h/1");
    options_are("dsn=https://a:b@h.x:9/p/2,level=info", HK_OPT_DSN, "https://a:b@h.x:9/p/2");
    options_are("message=\"a, b\",level=info", HK_OPT_MESSAGE, "a, b");
    options_are("message=a\\, b", HK_OPT_MESSAGE, "a, b");
    options_are("message=a \"quoted\" b", HK_OPT_MESSAGE, "a \"quoted\" b");
    options_are("message=\"a \\\"b\\\" \\\\ c\"", HK_OPT_MESSAGE, "a \"b\" \\ c");
    options_are("message=\"a\" ,level=info", HK_OPT_MESSAGE, "a");
    options_are("message=\\d+\\n", HK_OPT_MESSAGE, "\\d+\\n");
    options_are("message=C:\\\\x", HK_OPT_MESSAGE, "C:\\x");
    options_are("message=it's", HK_OPT_MESSAGE, "it's");
    options_are("message=a=b=c", HK_OPT_MESSAGE, "a=b=c");
    options_are("message=", HK_OPT_MESSAGE, "");
    options_are("message= uWSGI IS STARTING", HK_OPT_MESSAGE, " uWSGI IS STARTING");
    options_are(" message = info", HK_OPT_MESSAGE, " info");
    options_are("no_verify,debug", HK_OPT_NO_VERIFY, "1");
    options_are(",,level=info,", HK_OPT_LEVEL, "info");
    options_are("level=info,level=debug", HK_OPT_LEVEL, "debug");
    options_are("level=${LEVEL}", HK_OPT_LEVEL, "${LEVEL}");
    options_are("message=trailing\\", HK_OPT_MESSAGE, "trailing\\");
}

static void options_mistakes(void)
{
    options_wrong("level=info", "dsn: missing (set it here, or sentry-dsn for all handlers)");
    options_wrong("dsn=http://k@h/1,colour=red", "colour: unknown option");
    options_wrong("http://secret:key@h/1", "(text without a known key): unknown option");
    options_wrong("dsn=http://secret:key@/1", "dsn: the host is missing");
    options_wrong("dsn=http://${HTTP_X}@h/1", "dsn: must not take request variables");
    options_wrong("dsn=http://k@h/1,timeout=${HTTP_X}", "timeout: must not take request variables");
    options_wrong("dsn=http://k@h/1,no_verify=${HTTP_X}", "no_verify: must not take request variables");
    options_wrong("dsn=http://k@h/1,message=\"abc", "message: the closing quote is missing");
    options_wrong("dsn=http://k@h/1,message=\"abc\"def", "message: text after the closing quote");
    options_wrong("dsn=http://k@h/1,level=loud", "level: not one of fatal, error, warning, info, debug");
    options_wrong("dsn=http://k@h/1,timeout=x", "timeout: not a whole number of seconds");
    options_wrong("dsn=http://k@h/1,timeout=0", "timeout: outside 1..300 seconds");
    options_wrong("dsn=http://k@h/1,timeout=301", "timeout: outside 1..300 seconds");
    options_wrong("dsn=http://k@h/1,timeout=99999999999999", "timeout: outside 1..300 seconds");
    options_wrong("dsn=http://k@h/1,protocol=5", "protocol: not 7 or 3");
    options_wrong("dsn=http://k@h/1,api=rest", "api: not envelope or store");
}

static void options_flags(void)
{
    hk_options o;
    hk_buf why;

    hk_buf_init(&why, 4096);
    CHECK(hk_options_parse(hk_slice_of("dsn=http://k@h/1,no_verify=1,debug=true,timeout=300,protocol=3,api=store"), NULL, &o,
                           &why) == HK_OK);
    CHECK(o.no_verify && o.debug && o.timeout_s == 300 && o.protocol == 3 && o.store);
    hk_options_free(&o);
    CHECK(hk_options_parse(hk_slice_of("dsn=http://k@h/1,no_verify=0,debug=false"), NULL, &o, &why) == HK_OK);
    CHECK(!o.no_verify && !o.debug && o.timeout_s == 0 && o.protocol == 7 && !o.store);
    hk_options_free(&o);
    hk_options_free(NULL);
    hk_buf_free(&why);
}

static void pairs_are(const char *text, const char *expected)
{
    hk_slice rest = hk_slice_of(text);
    hk_buf key, value, all;

    hk_buf_init(&key, 100);
    hk_buf_init(&value, 100);
    hk_buf_init(&all, 1000);
    while (hk_options_next_pair(&rest, &key, &value)) {
        hk_buf_slice_put(&all, hk_buf_slice(&key));
        hk_buf_putc(&all, '=');
        hk_buf_slice_put(&all, hk_buf_slice(&value));
        hk_buf_putc(&all, '|');
    }
    CHECK_TEXT(expected, hk_buf_slice(&all));
    hk_buf_free(&key);
    hk_buf_free(&value);
    hk_buf_free(&all);
}

static void option_pairs(void)
{
    pairs_are("", "");
    pairs_are("a:b;c:d", "a=b|c=d|");
    pairs_are("a:b:c;;d", "a=b:c|d=true|");
    pairs_are(";:x;a:", "a=|");
    pairs_are("a\\;b:c\\:d\\x", "a;b=c:d\\x|");
    pairs_are("k:\"quoted\"", "k=\"quoted\"|");
}

static void template_is(const char *text, const char *expected)
{
    static const char marks[] = "tgv";
    hk_slice rest = hk_slice_of(text), piece;
    hk_template_kind kind;
    hk_buf all;

    hk_buf_init(&all, 1000);
    while (hk_template_next(&rest, &kind, &piece)) {
        hk_buf_putc(&all, marks[kind]);
        hk_buf_putc(&all, ':');
        hk_buf_slice_put(&all, piece);
        hk_buf_putc(&all, '|');
    }
    CHECK_TEXT(expected, hk_buf_slice(&all));
    hk_buf_free(&all);
}

static void templates(void)
{
    template_is("", "");
    template_is("plain", "t:plain|");
    template_is("a ${X} $1b", "t:a |v:${X}|t: |g:$1|t:b|");
    template_is("$ $$ ${open", "t:$ $$ ${open|");
    template_is("${a[b]}${c}", "v:${a[b]}|v:${c}|");
    template_is("100$", "t:100$|");
}

static void put_16(hk_buf *b, size_t n)
{
    hk_buf_putc(b, (char)(n & 255));
    hk_buf_putc(b, (char)(n >> 8 & 255));
}

static void put_pair(hk_buf *b, const char *key, hk_slice value)
{
    put_16(b, strlen(key));
    hk_buf_puts(b, key);
    put_16(b, value.n);
    hk_buf_slice_put(b, value);
}

static void packet_whole(void)
{
    hk_packet_exception e;
    hk_buf b;

    hk_buf_init(&b, 1 << 20);
    put_pair(&b, "class", hk_slice_of("ValueError"));
    put_pair(&b, "later", hk_slice_of("unknown keys are skipped"));
    put_pair(&b, "msg", hk_slice_of(""));
    put_pair(&b, "unix", hk_slice_of("1700000000"));
    put_pair(&b, "wid", hk_slice_of("2"));
    put_pair(&b, "core", hk_slice_of("3"));
    hk_packet_read_exception(hk_buf_slice(&b), &e);
    CHECK(!e.damaged);
    CHECK_TEXT("ValueError", e.type);
    CHECK(e.unix_s == 1700000000 && e.worker == 2 && e.core == 3);
    hk_buf_free(&b);
}

static void packet_arrays(void)
{
    hk_slice array = hk_slice_make("\3\0abc\0\0\1\0x", 10);

    CHECK(hk_packet_fit_array(array, 10) == 10 && hk_packet_fit_array(array, 9) == 7 && hk_packet_fit_array(array, 4) == 0);
    CHECK(hk_packet_fit_array(hk_slice_make("\3\0a", 3), 100) == 0);
}

/* A packet cut by the socket keeps what was read before the cut, and the text up to it. */
static void packet_cut(void)
{
    hk_packet_exception e;
    char *big = malloc(70000);
    size_t n;
    hk_buf b;

    memset(big, 'x', 70000);
    hk_buf_init(&b, 1 << 20);
    put_pair(&b, "class", hk_slice_of("ValueError"));
    put_pair(&b, "msg", hk_slice_make(big, 60000));
    hk_packet_read_exception(hk_slice_make(b.data, 50000), &e);
    CHECK_TEXT("ValueError", e.type);
    CHECK(e.damaged && e.message.n > 49900);
    for (n = 0; n < 200; n++)
        hk_packet_read_exception(hk_slice_make(b.data, n), &e);
    hk_packet_read_exception(hk_slice_make("", 0), &e);
    CHECK(!e.damaged && e.type.n == 0);
    free(big);
    hk_buf_free(&b);
}

/* One report silences one exception of its class and message, within a minute, however many others lie between. */
static void ring_of_reports(void)
{
    hk_ring *r = calloc(1, hk_ring_bytes(1));
    uint64_t a = hk_ring_hash(hk_slice_of("ValueError"), hk_slice_of("x"), 1), other;
    char text[16];
    int i;

    r->size = HK_RING_SIZE;
    CHECK(a == hk_ring_hash(hk_slice_of("builtins.ValueError"), hk_slice_make("x\0cut", 5), 1));
    CHECK(a != hk_ring_hash(hk_slice_of("ValueError"), hk_slice_of("y"), 1));
    CHECK(a != hk_ring_hash(hk_slice_of("ValueError"), hk_slice_of(""), 0));
    CHECK(!hk_ring_take(r, a, 1000));
    hk_ring_add(r, a, hk_slice_of("0123456789abcdef0123456789abcdef"), 1000);
    for (i = 0; i < (int)HK_RING_SIZE - 1; i++) {
        snprintf(text, sizeof text, "%d", i);
        other = hk_ring_hash(hk_slice_of("KeyError"), hk_slice_of(text), 1);
        hk_ring_add(r, other, hk_slice_of("bad id"), 1000);
    }
    CHECK(hk_ring_take(r, a, 1060));
    CHECK(!hk_ring_take(r, a, 1060));
    hk_ring_add(r, a, hk_slice_of(""), 1000);
    hk_ring_add(r, a, hk_slice_of(""), 1000);
    CHECK(!hk_ring_take(r, a, 1061));
    CHECK(hk_ring_take(r, a, 999));
    CHECK(hk_ring_take(r, a, 1000));
    CHECK(!hk_ring_take(r, a, 1000));
    free(r);
}

static void base64(void)
{
    static const char *const cases[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
                                            { "foob", "Zm9vYg==" }, { "\xff\xfe\xfd", "//79" } };
    hk_buf b;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hk_buf_init(&b, 100);
        hk_legacy_put_base64(hk_slice_of(cases[i][0]), &b);
        CHECK_TEXT(cases[i][1], hk_buf_slice(&b));
        hk_buf_free(&b);
    }
    /* zlib of "a", stored: two bytes of header, one block, Adler-32 of "a" is 0x00620062. */
    hk_buf_init(&b, 100);
    hk_legacy_put(hk_slice_of("a"), &b);
    CHECK_TEXT("eAEBAQD+/2EAYgBi", hk_buf_slice(&b));
    hk_buf_free(&b);
}

static void pools(void)
{
    hk_pool p;
    char *big;

    hk_pool_init(&p);
    CHECK_TEXT("abc", hk_pool_keep(&p, hk_slice_of("abc")));
    big = hk_pool_alloc(&p, 100000);
    CHECK(big != NULL && big[99999] == 0);
    CHECK(hk_pool_alloc(&p, SIZE_MAX) == NULL && p.failed);
    hk_pool_free(&p);
    hk_pool_free(NULL);
}

static void lines_are(const char *text, unsigned own, const char *others)
{
    hk_buf out;

    hk_buf_init(&out, 1024);
    CHECK(hk_ownlines_drop(hk_slice_of(text), &out) == own);
    CHECK_TEXT(others, hk_buf_slice(&out));
    hk_buf_free(&out);
}

static void own_lines(void)
{
    lines_are("[sentry] spool: /x", 1, "");
    lines_are("Sun Nov 29 01:09:46 2026 - [sentry] spool: /x\n", 1, "");
    lines_are("2026-11-29T01:09:46 - [sentry] a\nof another\n[sentry] b", 2, "of another");
    lines_are("one\ntwo\n", 0, "one\ntwo");
    lines_are("about [sentry] a", 0, "about [sentry] a");
    lines_are("", 0, "");
}

static void pathname_is(const char *path, const char *expected)
{
    hk_buf out;

    hk_buf_init(&out, 4096);
    hk_pathname_put(hk_slice_of(path), &out);
    CHECK_TEXT(expected, hk_buf_slice(&out));
    hk_buf_free(&out);
}

static void pathnames(void)
{
    pathname_is("/pdf/16", "/pdf/<number>");
    pathname_is("/pdf/16.pdf", "/pdf/<number>.pdf");
    pathname_is("/v2/users/7/posts-2026_11", "/v2/users/<number>/posts-<number>_<number>");
    pathname_is("/x/123e4567-e89b-12d3-a456-426614174000/y", "/x/<uuid>/y");
    pathname_is("/x/123e4567-e89b-12d3-a456-4266141740001", "/x/123e4567-e89b-12d3-a456-<number>");
    pathname_is("/static/0123456789abcdef/app.DEADBEEFdeadbeef1.js", "/static/<hash>/app.<hash>.js");
    pathname_is("/facade/abcdefabcdefabcdef/a1", "/facade/abcdefabcdefabcdef/a1"); /* words, all of them */
    pathname_is("/caf\xc3\xa9" "1/\xff", "/caf\xc3\xa9" "1/\xff");
    pathname_is("", "");
}

static void duration_is(const char *text, hk_status rc, uint64_t expected, const char *written)
{
    uint64_t ms = 1;
    hk_buf out;

    hk_buf_init(&out, 64);
    CHECK(hk_duration_read(hk_slice_of(text), &ms) == rc && ms == expected);
    if (rc == HK_OK) {
        hk_duration_put(ms, &out);
        CHECK_TEXT(written, hk_buf_slice(&out));
    }
    hk_buf_free(&out);
}

static void durations(void)
{
    static const char *const wrong[] = { "", "abc", "-1", "1x", "s", ".", "1 0", "1.2.3", "10 seconds", "1e3" };
    size_t i;

    duration_is("10", HK_OK, 10000, "10 s");
    duration_is("0.5", HK_OK, 500, "0.5 s");
    duration_is(" 500ms ", HK_OK, 500, "0.5 s");
    duration_is("1.25 s", HK_OK, 1250, "1.25 s");
    duration_is("1m", HK_OK, 60000, "60 s");
    duration_is("24h", HK_OK, 86400000, "86400 s");
    duration_is("0", HK_OK, 0, "0 s");
    duration_is("0.0500009", HK_OK, 50, "0.05 s");
    duration_is("86400.001", HK_ERR_LIMIT, 0, NULL);
    duration_is("99999999999999999999999999", HK_ERR_LIMIT, 0, NULL);
    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        duration_is(wrong[i], HK_ERR_SYNTAX, 0, NULL);
}

int main(void)
{
    buffer_limit();
    buffer_numbers();
    json_strings();
    json_objects();
    json_values();
    options_values();
    options_mistakes();
    options_flags();
    option_pairs();
    templates();
    packet_whole();
    packet_arrays();
    packet_cut();
    ring_of_reports();
    base64();
    pools();
    own_lines();
    pathnames();
    durations();
    printf("%d checks, %d failed\n", check_done, check_failed);
    return check_failed != 0;
}

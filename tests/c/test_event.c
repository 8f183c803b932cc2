/* test_event.c: the whole outgoing event, and what must never be in it. */
#include "check.h"

#include "../../uwsgi_plugin/core/event.h"
#include "../../uwsgi_plugin/core/frames.h"
#include "../../uwsgi_plugin/core/jsonread.h"
#include "../../uwsgi_plugin/core/roots.h"

static const hk_scrub rule = { 0 };

static void put(hk_buf *b, const char *key, const char *value)
{
    size_t k = strlen(key), v = strlen(value);

    hk_buf_putc(b, (char)(k & 255));
    hk_buf_putc(b, (char)(k >> 8));
    hk_buf_puts(b, key);
    hk_buf_putc(b, (char)(v & 255));
    hk_buf_putc(b, (char)(v >> 8));
    hk_buf_puts(b, value);
}

static void item(hk_buf *b, const char *value)
{
    size_t v = strlen(value);

    hk_buf_putc(b, (char)(v & 255));
    hk_buf_putc(b, (char)(v >> 8));
    hk_buf_puts(b, value);
}

/* A new leaking field shows here. */
static void whole_event(int protocol, const char *expected)
{
    hk_buf vars, trace, out;
    hk_pool pool;
    hk_request request;
    hk_event e;
    hk_pair tags[2] = { { { "a", 1 }, { "b\"", 2 } }, { { "c", 1 }, { "\x01\xff", 2 } } };
    hk_slice prints[1] = { { "{{ default }}", 13 } };

    hk_buf_init(&vars, 65536);
    hk_buf_init(&trace, 65536);
    hk_buf_init(&out, 1 << 20);
    hk_pool_init(&pool);
    put(&vars, "REQUEST_METHOD", "POST");
    put(&vars, "REQUEST_URI", "/p/x?token=t0&a=1&api_key=k0&key=[Filtered]&p%61ssword=p0");
    put(&vars, "PATH_INFO", "/p/x");
    put(&vars, "QUERY_STRING", "token=t0&a=1&api_key=k0&key=[Filtered]&p%61ssword=p0");
    put(&vars, "HTTPS", "on");
    put(&vars, "HTTP_HOST", "shop.example");
    put(&vars, "HTTP_COOKIE", "sid=cookie0");
    put(&vars, "HTTP_AUTHORIZATION", "Basic auth0");
    put(&vars, "HTTP_X_API_KEY", "apikey0");
    put(&vars, "HTTP_REFERER", "https://shop.example/?session=s0&b=2");
    put(&vars, "REMOTE_ADDR", "192.0.2.1");
    put(&vars, "CONTENT_TYPE", "text/plain");
    put(&vars, "SECRET_SETTING", "setting0");
    item(&trace, "/srv/app.py");
    item(&trace, "12");
    item(&trace, "view");
    item(&trace, "raise X");
    item(&trace, "");
    item(&trace, "/usr/lib/python3/site-packages/x.py");
    item(&trace, "3");
    item(&trace, "f");
    item(&trace, "");
    item(&trace, "");
    memset(&e, 0, sizeof e);
    memset(e.id, 'a', 32);
    e.time_ns = 1700000000250000000ULL;
    e.level = hk_slice_of("error");
    e.logger = hk_slice_of("uwsgi.sentry");
    e.message = hk_slice_of("m");
    e.server_name = hk_slice_of("host");
    e.project = hk_slice_of("1");
    e.exception_type = hk_slice_of("app.ShopError");
    e.exception_value = hk_slice_of("v");
    e.tags = tags;
    e.tag_count = 2;
    e.fingerprint = prints;
    e.fingerprint_count = 1;
    hk_request_read(hk_buf_slice(&vars), &rule, &pool, &request);
    e.request = &request;
    e.frames = hk_frames_read(hk_buf_slice(&trace), &pool, &e.frame_count);
    CHECK(hk_event_put(&e, protocol, HK_EVENT_MAX_BYTES, &out) == HK_OK);
    CHECK_TEXT(expected, hk_buf_slice(&out));
    CHECK(hk_jsonread_skip(hk_buf_slice(&out), 0) == out.len);
    hk_pool_free(&pool);
    hk_buf_free(&vars);
    hk_buf_free(&trace);
    hk_buf_free(&out);
}

#define REQUEST "{\"method\":\"POST\",\"url\":\"https://shop.example/p/x\",\"query_string\":\"token=[Filtered]&a=1&api_key=[Filtered]" \
    "&key=[Filtered]&p%61ssword=[Filtered]\",\"headers\":{\"Host\":\"shop.example\",\"Cookie\":\"sid=[Filtered]\"," \
    "\"Authorization\":\"[Filtered]\",\"X-Api-Key\":\"[Filtered]\",\"Referer\":\"https://shop.example/?session=[Filtered]&b=2\"," \
    "\"Content-Type\":\"text/plain\"},\"env\":{\"REMOTE_ADDR\":\"192.0.2.1\"}}"
#define TAGS "\"tags\":{\"a\":\"b\\\"\",\"c\":\"\\u0001\xef\xbf\xbd\"}"

/* A header that came twice is one; what is longer than Sentry keeps is cut, or left out. */
static void headers_are_one_object(void)
{
    static char many[9000];
    hk_buf vars, out;
    hk_pool pool;
    hk_request request;
    hk_event e;
    char name[32];
    int i;

    memset(many, 'x', sizeof many - 1);
    hk_buf_init(&vars, 65536 * 4);
    hk_buf_init(&out, 1 << 20);
    hk_pool_init(&pool);
    memset(&e, 0, sizeof e);
    memset(e.id, 'a', 32);
    put(&vars, "REQUEST_METHOD", "GET");
    put(&vars, "QUERY_STRING", many);
    put(&vars, "HTTP_ACCEPT", "a");
    put(&vars, "HTTP_X_FOO", "1");
    put(&vars, "HTTP_ACCEPT", "b");
    put(&vars, "HTTP_ACCEPT", "c");
    put(&vars, "HTTP_CONTENT_TYPE", "text/plain");
    put(&vars, "CONTENT_TYPE", "text/plain");
    for (i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "HTTP_X_LONG_%d", i);
        put(&vars, name, many);
    }
    hk_request_read(hk_buf_slice(&vars), &rule, &pool, &request);
    CHECK(request.header_count == 12);
    CHECK_TEXT("a, b, c", request.headers[0].value);
    CHECK_TEXT("1", request.headers[1].value);
    CHECK_TEXT("text/plain", request.headers[2].value);
    e.request = &request;
    CHECK(hk_event_put(&e, 7, HK_EVENT_MAX_BYTES, &out) == HK_OK);
    CHECK(out.len < 10000);
    CHECK(hk_jsonread_skip(hk_buf_slice(&out), 0) == out.len);
    hk_pool_free(&pool);
    hk_buf_free(&vars);
    hk_buf_free(&out);
}

static void time_is(uint64_t s, const char *expected)
{
    hk_buf b;

    hk_buf_init(&b, 100);
    hk_event_put_time(s * 1000000000ULL, 0, &b);
    CHECK_TEXT(expected, hk_buf_slice(&b));
    hk_buf_free(&b);
}

static void times(void)
{
    time_is(0, "1970-01-01T00:00:00Z");
    time_is(951782399, "2000-02-28T23:59:59Z");
    time_is(951782400, "2000-02-29T00:00:00Z");
    time_is(4107542400ULL, "2100-03-01T00:00:00Z");
    time_is(1709164800, "2024-02-29T00:00:00Z");
    time_is(1735689599, "2024-12-31T23:59:59Z");
}

/* 70,000 characters of message are cut to 8,192; a deep stack keeps both ends; everything fits. */
static void limits(void)
{
    char *big = malloc(2 << 20);
    hk_frame *frames = calloc(1000, sizeof *frames);
    hk_pair extra[1];
    hk_event e;
    hk_buf out;
    size_t i;

    memset(big, '\x01', 2 << 20); /* six bytes each in JSON */
    memset(&e, 0, sizeof e);
    e.message = hk_slice_make(big, 70000);
    e.exception_value = e.message;
    extra[0].key = hk_slice_of("k");
    extra[0].value = hk_slice_make(big, 2 << 20);
    e.extra = extra;
    e.extra_count = 1;
    for (i = 0; i < 1000; i++) {
        frames[i].file = hk_slice_make(big, 5000);
        frames[i].line_text = hk_slice_make(big, 60000);
        frames[i].line = i + 1;
    }
    e.frames = frames;
    e.frame_count = 1000;
    hk_buf_init(&out, 64 << 20);
    CHECK(hk_event_put(&e, 7, 3 << 20, &out) == HK_OK);
    CHECK(out.len <= 3 << 20);
    CHECK(memmem(out.data, out.len, "\"lineno\":50,", 12) != NULL && memmem(out.data, out.len, "\"lineno\":51,", 12) == NULL);
    CHECK(memmem(out.data, out.len, "\"lineno\":801,", 13) != NULL && memmem(out.data, out.len, "\"lineno\":800,", 13) == NULL);
    CHECK(memmem(out.data, out.len, "\"lineno\":1000,", 14) != NULL);
    hk_buf_clear(&out);
    e.frame_count = 0;
    CHECK(hk_event_put(&e, 7, 50000, &out) == HK_OK && out.len <= 50000);
    hk_buf_clear(&out);
    CHECK(hk_event_put(&e, 3, 100, &out) == HK_ERR_LIMIT && out.len == 0);
    /* What a datagram holds: few frames rather than no event, and without its contexts rather than not at all. */
    for (i = 0; i < 1000; i++)
        frames[i].file = hk_slice_make("/srv/app/a_module_of_some_length.py", 35);
    e.frame_count = 1000;
    CHECK(hk_event_put(&e, 7, 9000, &out) == HK_OK);
    CHECK(memmem(out.data, out.len, "\"lineno\":4,", 11) != NULL && memmem(out.data, out.len, "\"lineno\":5,", 11) == NULL);
    CHECK(memmem(out.data, out.len, "\"lineno\":985,", 13) != NULL && memmem(out.data, out.len, "\"lineno\":984,", 13) == NULL);
    hk_buf_clear(&out);
    memset(big, 'x', 100000);
    big[0] = big[99999] = '"';
    extra[0].value = hk_slice_make(big, 100000); /* a JSON text */
    e.contexts = extra;
    e.context_count = 1;
    e.extra_count = 0;
    CHECK(hk_event_put(&e, 7, 48000, &out) == HK_OK && memmem(out.data, out.len, "\"contexts\"", 10) == NULL);
    hk_buf_free(&out);
    free(frames);
    free(big);
}

/* An event always says something: no message gets words, an unknown type a name. */
static void never_empty(void)
{
    hk_event e;
    hk_buf out;

    memset(&e, 0, sizeof e);
    hk_buf_init(&out, 1 << 20);
    CHECK(hk_event_put(&e, 7, HK_EVENT_MAX_BYTES, &out) == HK_OK);
    CHECK(memmem(out.data, out.len, "\"logentry\":{\"formatted\":\"(no message)\"}", 39) != NULL);
    hk_buf_clear(&out);
    e.exception_value = hk_slice_of("v");
    CHECK(hk_event_put(&e, 7, HK_EVENT_MAX_BYTES, &out) == HK_OK);
    CHECK(memmem(out.data, out.len, "\"type\":\"Error\",\"value\":\"v\"", 26) != NULL);
    hk_buf_free(&out);
}

static int ours(const char *file, const char *roots)
{
    return hk_frames_in_app(hk_slice_of(file), hk_slice_of(roots));
}

/* Paths decide where the application said nothing; of what it said, the first line that fits. */
static void whose_frame(void)
{
    CHECK(ours("/srv/app.py", "") && !ours("/x/site-packages/a.py", "") && !ours("<frozen runpy>", "+/x/"));
    CHECK(!ours("/srv/src/heka_raven/middleware/wsgi.py", ""));
    CHECK(ours("/x/site-packages/shop/a.py", "+/x/site-packages/shop/\n") && !ours("/x/site-packages/shop2/a.py", "+/x/site-packages/shop/"));
    CHECK(!ours("/srv/vendor/a.py", "-/srv/vendor/") && ours("/srv/vendor/ours/a.py", "+/srv/vendor/ours/\n-/srv/vendor/\n"));
    CHECK(ours("/srv/a.py", "\n\n+\n-\n-/srv/a.pyc\n?") && ours("", "+\n-") == 0 && !ours("/srv/a.py", "?\n\377/"));
}

/* A text is whole or none; another writer, or one that died while it wrote, makes nobody wait. */
static void roots(void)
{
    static hk_roots shared, copy;
    static char big[HK_ROOTS_MAX + 1];

    CHECK(hk_roots_get(&shared, &copy).n == 0 && hk_roots_put(&shared, hk_slice_of("+/a/")) == 0);
    CHECK_TEXT("+/a/", hk_roots_get(&shared, &copy));
    CHECK(hk_roots_put(&shared, hk_slice_of("+/a/")) == 0 && shared.sequence == 2);
    CHECK(hk_roots_put(&shared, hk_slice_make(big, sizeof big)) < 0 && hk_roots_put(&shared, hk_slice_make(big, HK_ROOTS_MAX)) == 0);
    CHECK(hk_roots_get(&shared, &copy).n == HK_ROOTS_MAX && shared.sequence == 4);
    shared.n = HK_ROOTS_MAX + 1;
    CHECK(hk_roots_get(&shared, &copy).n == 0 && (copy.sequence & 1) != 0);
    shared.sequence++;
    CHECK(hk_roots_get(&shared, &copy).n == 0 && hk_roots_put(&shared, hk_slice_of("+/b/")) < 0);
}

int main(void)
{
    whose_frame();
    roots();
    whole_event(7, "{\"event_id\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"timestamp\":\"2023-11-14T22:13:20.250000Z\","
        "\"level\":\"error\",\"logger\":\"uwsgi.sentry\",\"platform\":\"python\",\"server_name\":\"host\"," TAGS ","
        "\"logentry\":{\"formatted\":\"m\"},\"exception\":{\"values\":[{\"type\":\"ShopError\",\"module\":\"app\",\"value\":\"v\","
        "\"stacktrace\":{\"frames\":[{\"filename\":\"app.py\",\"abs_path\":\"/srv/app.py\",\"function\":\"view\",\"lineno\":12,"
        "\"context_line\":\"raise X\",\"in_app\":true},{\"filename\":\"x.py\",\"abs_path\":\"/usr/lib/python3/site-packages/x.py\","
        "\"function\":\"f\",\"lineno\":3,\"in_app\":false}]},\"mechanism\":{\"type\":\"generic\",\"handled\":false}}]},"
        "\"request\":" REQUEST ",\"fingerprint\":[\"{{ default }}\"],"
        "\"sdk\":{\"name\":\"heka-raven.uwsgi\",\"version\":\"" HK_VERSION "\"}}");
    whole_event(3, "{\"event_id\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"project\":\"1\",\"timestamp\":\"2023-11-14T22:13:20Z\","
        "\"logger\":\"uwsgi.sentry\",\"platform\":\"python\",\"server_name\":\"host\"," TAGS ",\"level\":40,\"message\":\"m\","
        "\"sentry.interfaces.Exception\":{\"type\":\"ShopError\",\"module\":\"app\",\"value\":\"v\"},"
        "\"sentry.interfaces.Stacktrace\":{\"frames\":[{\"filename\":\"app.py\",\"abs_path\":\"/srv/app.py\",\"function\":\"view\","
        "\"lineno\":12,\"context_line\":\"raise X\"},{\"filename\":\"x.py\",\"abs_path\":\"/usr/lib/python3/site-packages/x.py\","
        "\"function\":\"f\",\"lineno\":3}]},\"sentry.interfaces.Http\":" REQUEST "}");
    times();
    limits();
    never_empty();
    headers_are_one_object();
    printf("%d checks, %d failed\n", check_done, check_failed);
    return check_failed != 0;
}

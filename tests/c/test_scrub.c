/* test_scrub.c: the privacy rule of the C half: tests/data/secrets.tsv, which the Python tests read too. */
#include "check.h"

#include "../../uwsgi_plugin/core/jsonread.h"
#include "../../uwsgi_plugin/core/masking.h"
#include "../../uwsgi_plugin/core/scrub_kept.h"

static const hk_scrub rule = { 0 };

/* Escapes of secrets.tsv: \t \n \r \0 \\ */
static void unescape(hk_slice s, hk_buf *out)
{
    size_t i;

    for (i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\\' && i + 1 < s.n) {
            c = s.p[++i];
            c = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == '0' ? '\0' : c;
        }
        hk_buf_putc(out, c);
    }
}

static void clean(hk_slice kind, hk_slice in, hk_buf *out)
{
    if (hk_slice_is(kind, "query")) {
        hk_scrub_query(&rule, in, out);
    } else if (hk_slice_is(kind, "cookie")) {
        hk_scrub_cookie(&rule, in, out);
    } else if (hk_slice_is(kind, "url")) {
        hk_scrub_url(&rule, in, out);
    } else if (hk_slice_is(kind, "argv")) {
        hk_scrub_argv(&rule, in, out);
    } else if (hk_slice_is(kind, "header")) {
        const char *colon = memchr(in.p, ':', in.n);
        size_t n = colon == NULL ? 0 : (size_t)(colon - in.p);
        hk_buf_put(out, in.p, n + 2);
        hk_scrub_header(&rule, hk_slice_make(in.p, n), hk_slice_from(in, n + 2), out);
    } else {
        hk_scrub_text(&rule, in, out);
    }
}

static void row(hk_slice *f, int count)
{
    hk_buf in, expected, out;

    CHECK(count == 3);
    hk_buf_init(&in, 65536);
    hk_buf_init(&expected, 65536);
    hk_buf_init(&out, 65536);
    unescape(f[1], &in);
    unescape(f[2], &expected);
    if (hk_slice_is(f[0], "name"))
        hk_buf_puts(&out, hk_scrub_name(&rule, hk_buf_slice(&in), 0) == HK_SCRUB_SECRET ? "private" : "shown");
    else
        clean(f[0], hk_buf_slice(&in), &out);
    CHECK(hk_buf_ok(&out));
    if (!hk_slice_same(hk_buf_slice(&expected), hk_buf_slice(&out))) {
        printf("%.*s: %.*s\n", (int)f[0].n, f[0].p, (int)f[1].n, f[1].p);
        CHECK_TEXT(hk_buf_text(&expected), hk_buf_slice(&out));
    }
    hk_buf_free(&in);
    hk_buf_free(&expected);
    hk_buf_free(&out);
}

/* Who the visitor is goes out where that is asked for. */
static void test_send_pii(void)
{
    static const hk_scrub open = { 1 };

    CHECK(hk_scrub_name(&rule, hk_slice_of("X-Forwarded-For"), 0) == HK_SCRUB_PERSONAL);
    CHECK(hk_scrub_name(&open, hk_slice_of("X-Forwarded-For"), 0) == HK_SCRUB_PLAIN);
    CHECK(hk_scrub_name(&rule, hk_slice_of("HTTP_X_REAL_IP"), 0) == HK_SCRUB_PERSONAL);
    CHECK(hk_scrub_name(&rule, hk_slice_of("REMOTE_USER"), 0) == HK_SCRUB_PERSONAL);
    CHECK(hk_scrub_name(&open, hk_slice_of("REMOTE_USER"), 0) == HK_SCRUB_PLAIN);
}

/* Whichever allocation is refused: either all is masked as it should be, or the caller is told. */
static void test_memory(void)
{
    static const char text[] = "https://u:p@h/?next=%2Fl%3Ftoken%3DX password=x Cookie: lang=de%20; sid=x";
    static const char *const kinds[] = { "text", "query", "cookie", "url", "argv" };
    size_t i;
    long n;

    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        for (n = 0; n < 200; n++) {
            hk_buf out;
            hk_buf_init(&out, HK_SCRUB_ROOM(sizeof text));
            check_refuse_from(n);
            clean(hk_slice_of(kinds[i]), hk_slice_make(text, sizeof text - 1), &out);
            check_refuse_from(-1);
            CHECK(!hk_buf_ok(&out) || memmem(hk_buf_text(&out), out.len, "=x", 2) == NULL);
            hk_buf_free(&out);
        }
}

/* An event with a secret in every text. */
static void fill(hk_event *e, hk_pair *pairs, hk_slice *items)
{
    hk_slice text = hk_slice_of("GET /x?token=pl4nted password: pl4nted https://u:pl4nted@h/");

    memset(e, 0, sizeof *e);
    e->message = e->exception_value = e->exception_type = e->logger = e->platform = e->server_name = e->release = text;
    e->environment = e->culprit = e->transaction = text;
    pairs[0].key = hk_slice_of("api_key");
    pairs[0].value = hk_slice_of("pl4nted");
    pairs[1].key = text;
    pairs[1].value = text;
    items[0] = text;
    e->tags = e->extra = pairs;
    e->tag_count = e->extra_count = 2;
    e->fingerprint = items;
    e->fingerprint_count = 1;
    e->user = hk_slice_of("{\"id\":\"7\",\"email\":\"pl4nted\",\"password\":\"pl4nted\",\"pin\":1234,\"data\":{\"a\":\"pl4nted\"}}");
}

/* Issue 14, item 1: every text of an event of the C half is masked; whichever allocation is refused, none leaks. */
static void test_item_1_events(void)
{
    hk_pair pairs[2];
    hk_slice items[1];
    hk_event e;
    hk_pool pool;
    hk_buf out;
    long n;

    for (n = -1; n < 300; n++) {
        fill(&e, pairs, items);
        hk_pool_init(&pool);
        hk_buf_init(&out, 1 << 20);
        check_refuse_from(n);
        hk_masking_event(&rule, &e, &pool);
        check_refuse_from(-1);
        CHECK(hk_event_put(&e, 7, HK_EVENT_MAX_BYTES, &out) == HK_OK);
        CHECK(memmem(out.data, out.len, "pl4nted", 7) == NULL);
        if (n < 0)
            CHECK_TEXT("{\"id\":\"7\",\"email\":\"[Filtered]\",\"password\":\"[Filtered]\",\"pin\":\"[Filtered]\"}", e.user);
        hk_buf_free(&out);
        hk_pool_free(&pool);
    }
}

/* A text is cut before it is looked at; one that was cut inside a URL's userinfo is masked there. */
static void test_item_3_cut_first(void)
{
    char text[600];
    hk_pool pool;

    memset(text, 'x', sizeof text);
    memcpy(text, "https://user:", 13);
    hk_pool_init(&pool);
    CHECK_TEXT("https://[Filtered]", hk_scrub_kept(&rule, hk_scrub_text, hk_slice_make(text, sizeof text), 100, &pool));
    hk_pool_free(&pool);
}

int main(void)
{
    test_item_1_events();
    test_item_3_cut_first();
    check_each_row("secrets.tsv", row);
    test_send_pii();
    test_memory();
    printf("%d checks, %d failed\n", check_done, check_failed);
    return check_failed != 0;
}

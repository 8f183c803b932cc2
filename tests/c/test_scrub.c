/* test_scrub.c: the privacy rule of the C half: tests/data/secrets.tsv, which the Python tests read too. */
#include "check.h"

#include "../../uwsgi_plugin/core/scrub.h"

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

int main(void)
{
    check_each_row("secrets.tsv", row);
    test_send_pii();
    test_memory();
    printf("%d checks, %d failed\n", check_done, check_failed);
    return check_failed != 0;
}

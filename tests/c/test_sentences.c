/* test_sentences.c: what server events are called, with the tables that the Python tests read too. */
#include "check.h"

#include "../../uwsgi_plugin/core/inflight.h"
#include "../../uwsgi_plugin/core/sentence.h"

static hk_pool pool;

static hk_slice or_nothing(hk_slice field)
{
    return hk_slice_is(field, "-") ? hk_slice_make("", 0) : field;
}

static uint64_t number(hk_slice field)
{
    uint64_t n = 0;
    size_t i;

    for (i = 0; i < field.n && field.p[i] >= '0' && field.p[i] <= '9'; i++)
        n = n * 10 + (uint64_t)(field.p[i] - '0');
    return n;
}

static hk_slice unescaped(hk_slice field)
{
    hk_slice kept;
    hk_buf b;

    hk_buf_init(&b, 65536);
    check_unescape(field, &b);
    kept = hk_pool_keep(&pool, hk_buf_slice(&b));
    hk_buf_free(&b);
    return kept;
}

/* The part of *rest before sep; *rest goes behind it. */
static hk_slice part(hk_slice *rest, char sep)
{
    const char *end = rest->n == 0 ? NULL : memchr(rest->p, sep, rest->n);
    hk_slice out = hk_slice_make(rest->p, end == NULL ? rest->n : (size_t)(end - rest->p));

    *rest = hk_slice_from(*rest, out.n + 1);
    return out;
}

static hk_frame frame_of(hk_slice text)
{
    hk_frame f;

    memset(&f, 0, sizeof f);
    f.function = unescaped(part(&text, '|'));
    f.file = unescaped(part(&text, '|'));
    f.line = number(part(&text, '|'));
    f.in_app = hk_slice_is(text, "1");
    return f;
}

/* HK_WATCH_COUNT: none of ours. */
static hk_watch_kind kind_of(hk_slice name)
{
    int kind = HK_WATCH_NONE + 1;

    if (hk_slice_is(name, "-"))
        return HK_WATCH_NONE;
    while (kind < HK_WATCH_COUNT && !hk_slice_is(name, hk_watch_name((hk_watch_kind)kind)))
        kind++;
    return (hk_watch_kind)kind;
}

/* Each kind of ours is in the table, with its level, and no other is. */
static void kind_row(hk_slice *f, int count)
{
    CHECK(count == 3 && hk_slice_is(f[2], "gunicorn") == (kind_of(f[0]) == HK_WATCH_COUNT));
    if (!hk_slice_is(f[2], "gunicorn"))
        CHECK_TEXT(hk_watch_level(kind_of(f[0])), f[1]);
}

/* Each way a worker can end, and what is reported of it. */
static void death_row(hk_slice *f, int count)
{
    hk_slice facts = or_nothing(f[1]), word, end = f[0], how = part(&end, ' ');
    hk_watch_death d;

    CHECK(count == 4);
    if (hk_slice_is(f[2], "."))
        return;
    memset(&d, 0, sizeof d);
    d.unknown = hk_slice_is(how, "unknown");
    d.exited = hk_slice_is(how, "exit");
    d.status = (int)number(end);
    while (facts.n > 0) {
        word = part(&facts, ' ');
        d.harakiri |= hk_slice_is(word, "told");
        d.wanted |= hk_slice_is(word, "wanted");
        d.in_order |= hk_slice_is(word, "in_order");
        d.oom_killed |= hk_slice_is(word, "oom");
        d.over_reload |= hk_slice_is(word, "over_reload");
        d.over_evil |= hk_slice_is(word, "over_evil");
        if (hk_slice_starts(word, "noted="))
            d.noted_signal = (int)number(hk_slice_from(word, 6));
    }
    CHECK(kind_of(f[2]) == hk_watch_classify(&d));
    if (kind_of(f[2]) != hk_watch_classify(&d))
        fprintf(stderr, "%.*s %.*s\n", (int)f[0].n, f[0].p, (int)f[1].n, f[1].p);
}

static void sentence_row(hk_slice *f, int count)
{
    hk_frame place = frame_of(f[11]);
    hk_sentence s;
    hk_buf out;

    CHECK(count == 13);
    memset(&s, 0, sizeof s);
    s.kind = kind_of(f[2]);
    if (s.kind == HK_WATCH_COUNT)
        return;
    s.server = hk_slice_is(f[1], "uWSGI") ? "uWSGI" : "gunicorn";
    s.who = or_nothing(f[3]);
    s.has_request = !hk_slice_is(f[4], "-");
    s.request = hk_slice_is(f[4], "?") ? hk_slice_make("", 0) : unescaped(or_nothing(f[4]));
    s.age_ms = number(f[5]);
    s.limit_s = number(f[6]);
    s.signal = (int)number(f[7]);
    s.status = hk_slice_is(f[8], "-") ? -1 : (int)number(f[8]);
    s.words = or_nothing(f[9]);
    s.doing = or_nothing(f[10]);
    s.place = hk_slice_is(f[11], "-") ? NULL : &place;
    hk_buf_init(&out, 65536);
    hk_sentence_put(&s, &out);
    CHECK(hk_buf_ok(&out));
    CHECK_TEXT(hk_buf_text(&out), f[12]);
    hk_buf_free(&out);
}

static void fingerprint_row(hk_slice *f, int count)
{
    hk_frame frames[8];
    hk_slice rest = or_nothing(f[4]), parts[3];
    hk_inflight request;
    size_t n = 0;

    CHECK(count == 7);
    memset(&request, 0, sizeof request);
    request.request.method = or_nothing(f[1]);
    request.request.path = or_nothing(f[2]);
    request.transaction = or_nothing(f[3]);
    while (rest.n > 0 && n < 8)
        frames[n++] = frame_of(part(&rest, ' '));
    hk_sentence_fingerprint(kind_of(f[0]), hk_inflight_transaction(&request, &pool), hk_sentence_place(frames, n), &pool, parts);
    CHECK(hk_slice_same(f[0], parts[0]) && hk_slice_same(f[5], parts[1]) && hk_slice_same(f[6], parts[2]));
    if (!hk_slice_same(f[5], parts[1]) || !hk_slice_same(f[6], parts[2]))
        fprintf(stderr, "%.*s: %.*s, %.*s\n", (int)f[2].n, f[2].p, (int)parts[1].n, parts[1].p, (int)parts[2].n, parts[2].p);
}

int main(void)
{
    hk_pool_init(&pool);
    check_each_row("kinds.tsv", kind_row);
    check_each_row("deaths.tsv", death_row);
    check_each_row("sentences.tsv", sentence_row);
    check_each_row("fingerprints.tsv", fingerprint_row);
    hk_pool_free(&pool);
    printf("%d checks, %d failed\n", check_done, check_failed);
    return check_failed > 0;
}

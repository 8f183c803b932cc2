/* test_values.c: what a worker or a reader says of a stack, believed by nobody; and the other threads beside it. */
#include "check.h"

#include "../../uwsgi_plugin/core/event.h"
#include "../../uwsgi_plugin/core/jsonread.h"
#include "../../uwsgi_plugin/core/pystack.h"
#include "../../uwsgi_plugin/core/roots.h"
#include "../../uwsgi_plugin/core/values.h"

static hk_values slot;

/* An answer is to one question; another one, a torn one and one too long are none. */
static void slots(void)
{
    static char big[HK_VALUES_MAX + 1];
    uint64_t first, second;
    uint32_t reason;
    hk_pool pool;

    hk_pool_init(&pool);
    CHECK(hk_values_begin(&slot, 0) < 0 && hk_values_begin(&slot, 1) < 0); /* nobody asked */
    first = hk_values_ask(&slot, 7);
    CHECK(first == 1 && slot.thread == 7 && !hk_values_is_begun(&slot, first));
    CHECK(hk_values_begin(&slot, first) == 0 && hk_values_begin(&slot, first) < 0);
    CHECK(hk_values_add(&slot, hk_slice_of("ab")) == 0 && hk_values_add(&slot, hk_slice_of("c")) == 0);
    CHECK(hk_values_is_begun(&slot, first) && !hk_values_is_done(&slot, first));
    CHECK(hk_values_get(&slot, first, &pool, &reason).n == 0);
    hk_values_end(&slot, first, 3);
    CHECK_TEXT("abc", hk_values_get(&slot, first, &pool, &reason));
    CHECK(reason == 3 && hk_values_is_done(&slot, first));
    second = hk_values_ask(&slot, 0);
    CHECK(second == 2 && !hk_values_is_done(&slot, second) && hk_values_get(&slot, second, &pool, &reason).n == 0);
    CHECK(hk_values_begin(&slot, first) < 0 && hk_values_begin(&slot, second) == 0);
    CHECK(hk_values_ask(&slot, 0) == 3); /* whoever writes an answer to an old question is not heard any more */
    hk_values_end(&slot, second, 0);
    CHECK(hk_values_begin(&slot, 3) == 0);
    CHECK(hk_values_add(&slot, hk_slice_make(big, HK_VALUES_MAX)) == 0 && hk_values_add(&slot, hk_slice_of("x")) < 0);
    hk_values_end(&slot, 3, 0);
    CHECK(hk_values_get(&slot, 3, &pool, &reason).n == 0);
    slot.n = UINT32_MAX; /* a worker that writes what it likes */
    CHECK(hk_values_get(&slot, 3, &pool, &reason).n == 0);
    hk_pool_free(&pool);
}

/* What stands in an answer comes out as clean JSON, or not at all. */
static void answers(void)
{
    static const char *const bad[] = {
        "", "[]", "{}", "{\"frames\":1}", "{\"frames\":[]}", "{\"frames\":[{\"line\":1}]}", "{\"frames\":[{\"file\":1}]}",
        "{\"frames\":[{\"file\":\"a\"},{]}", "{\"frames\":[{\"file\":\"a\"}]", "{\"frames\":[{\"file\":\"a\"}]}x",
    };
    static const struct {
        const char *vars, *shown; /* NULL: none */
    } cases[] = {
        { "{\"a\":1,\"b\":[1, \"x\" ,null,{}],\"c\":{\"d\":true}}", "{\"a\":1,\"b\":[1,\"x\",null,{}],\"c\":{\"d\":true}}" },
        { "{}", "{}" },
        { "{ \"a\" : [ ] }", "{\"a\":[]}" },
        { "{\"a\":\"\xff\\ud800\"}", "{\"a\":\"\xef\xbf\xbd\xef\xbf\xbd\"}" },
        { "[1]", NULL },
        { "\"text\"", NULL },
        { "{\"a\":11111111111111111111111111111111111111111}", NULL },
        { "{\"a\":[[[[[[[[[[1]]]]]]]]]]}", NULL },
    };
    hk_frame *frames;
    hk_pool pool;
    hk_buf text;
    size_t count, i;

    hk_pool_init(&pool);
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(hk_values_frames(hk_slice_of(bad[i]), &pool, &count) == NULL && count == 0);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hk_buf_init(&text, 4096);
        hk_buf_puts(&text, "{\"x\":2,\"frames\":[{\"file\":\"/a.py\",\"line\":3,\"function\":\"f\",\"vars\":");
        hk_buf_puts(&text, cases[i].vars);
        hk_buf_puts(&text, "},{\"file\":\"/b.py\",\"line\":-1,\"function\":2}]}");
        frames = hk_values_frames(hk_buf_slice(&text), &pool, &count);
        CHECK(frames != NULL && count == 2 && frames[0].line == 3 && frames[1].line == 0);
        if (frames != NULL) {
            CHECK_TEXT("/a.py", frames[0].file);
            CHECK_TEXT("f", frames[0].function);
            CHECK_TEXT(cases[i].shown == NULL ? "" : cases[i].shown, frames[0].vars);
        }
        hk_buf_free(&text);
    }
    hk_pool_free(&pool);
}

/* So many frames and no more, whatever there are. */
static void too_many(void)
{
    hk_pool pool;
    hk_buf text;
    size_t count, i;

    hk_pool_init(&pool);
    hk_buf_init(&text, 1 << 20);
    hk_buf_puts(&text, "{\"frames\":[{\"file\":\"a\"}");
    for (i = 0; i < 2 * HK_FRAMES_MAX; i++)
        hk_buf_puts(&text, ",{\"file\":\"a\"}");
    hk_buf_puts(&text, "]}");
    CHECK(hk_values_frames(hk_buf_slice(&text), &pool, &count) != NULL && count == HK_FRAMES_MAX);
    hk_buf_free(&text);
    hk_pool_free(&pool);
}

/* Refused memory is no crash, and no half of a value. */
static void no_memory(void)
{
    hk_slice answer = hk_slice_of("{\"frames\":[{\"file\":\"a\",\"line\":3,\"function\":\"f\",\"vars\":{\"a\":[\"b\"]}}]}");
    hk_frame *frames;
    hk_pool pool;
    size_t count;
    long n;

    for (n = 0; n < 12; n++) {
        hk_pool_init(&pool);
        check_refuse_from(n);
        frames = hk_values_frames(answer, &pool, &count);
        check_refuse_from(-1);
        CHECK(frames == NULL || frames[0].vars.n == 0 || hk_slice_is(frames[0].vars, "{\"a\":[\"b\"]}"));
        hk_pool_free(&pool);
    }
}

/* The rules of all applications stand side by side; without room for them nothing may be shown. */
static void rules(void)
{
    static hk_roots shared, copy;
    static char big[HK_ROOTS_MAX];

    CHECK(hk_roots_add(&shared, hk_slice_of("a\nb")) == 0 && hk_roots_add(&shared, hk_slice_of("b\nc\n")) == 0);
    CHECK_TEXT("a\nb\nc\n", hk_roots_get(&shared, &copy));
    shared.sequence++;
    CHECK(hk_roots_add(&shared, hk_slice_of("d")) < 0);
    shared.sequence++;
    memset(big, 'x', sizeof big);
    CHECK(hk_roots_add(&shared, hk_slice_make(big, sizeof big)) == 0);
    CHECK_TEXT(HK_ROOTS_FULL, hk_roots_get(&shared, &copy));
}

/* Values and the other threads stand in the event; what makes it too large is left out. */
static void event(void)
{
    static const char text[] = "Thread 0x0000000000000a01 (most recent call first):\n  File \"/w.py\", line 2 in wait\n\n"
                               "Current thread 0x0000000000000b02 (most recent call first):\n  File \"/a.py\", line 3 in view\n"
                               "Thread 0x0000000000000c03 (most recent call first):\n  <no Python frame>\n";
    hk_event e;
    hk_pool pool;
    hk_buf out;
    size_t count;
    hk_thread *threads;

    hk_pool_init(&pool);
    threads = hk_pystack_others(hk_slice_of(text), 0, &pool, &count);
    CHECK(threads != NULL && count == 1 && threads[0].count == 1);
    CHECK(hk_pystack_others(hk_slice_of(text), 0xa01, &pool, &count) != NULL && count == 1);
    CHECK(hk_pystack_others(hk_slice_of(""), 0, &pool, &count) == NULL && count == 0);
    memset(&e, 0, sizeof e);
    e.exception_type = hk_slice_of("segfault");
    e.signal = 11;
    e.frames = hk_pystack_read(hk_slice_of(text), 0, &pool, &e.frame_count);
    CHECK(e.frame_count == 1);
    if (e.frame_count == 1)
        ((hk_frame *)e.frames)[0].vars = hk_slice_of("{\"order\":20}");
    e.threads = threads;
    e.thread_count = threads == NULL ? 0 : 1;
    hk_buf_init(&out, 1 << 20);
    CHECK(hk_event_put(&e, 7, HK_EVENT_MAX_BYTES, &out) == HK_OK && hk_jsonread_skip(hk_buf_slice(&out), 0) == out.len);
    CHECK(strstr(hk_buf_text(&out), "\"vars\":{\"order\":20}") != NULL && strstr(hk_buf_text(&out), "\"thread_id\":1") != NULL);
    CHECK(strstr(hk_buf_text(&out), "\"threads\":{\"values\":[{\"id\":1,\"current\":true,\"crashed\":true},{\"id\":2,"
                                    "\"current\":false,\"crashed\":false,\"stacktrace\":{\"frames\":[{\"filename\":\"w.py\"") != NULL);
    count = out.len;
    hk_buf_clear(&out);
    CHECK(hk_event_put(&e, 7, count - 1, &out) == HK_OK && strstr(hk_buf_text(&out), "order") == NULL);
    CHECK(strstr(hk_buf_text(&out), "thread") == NULL);
    hk_buf_free(&out);
    hk_pool_free(&pool);
}

int main(void)
{
    slots();
    answers();
    too_many();
    no_memory();
    rules();
    event();
    printf("%d checks, %d failed\n", check_done, check_failed);
    return check_failed != 0;
}

/* test_watch.c: what the watch makes of deaths, counts, stacks and what workers tell; and what it asks the kernel. */
#include "check.h"

#include "../../uwsgi_plugin/core/frames.h"
#include "../../uwsgi_plugin/core/growth.h"
#include "../../uwsgi_plugin/core/inflight.h"
#include "../../uwsgi_plugin/core/jsonread.h"
#include "../../uwsgi_plugin/core/note.h"
#include "../../uwsgi_plugin/core/pystack.h"
#include "../../uwsgi_plugin/core/trace.h"
#include "../../uwsgi_plugin/core/watch.h"
#include "../../uwsgi_plugin/edge/kernel.h"
#include "../../uwsgi_plugin/edge/source.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const hk_scrub rule = { 0 };

/* What is watched, as the configuration says it. */
static void kinds(void)
{
    unsigned mask;

    CHECK(hk_watch_parse(hk_slice_of("true"), &mask) == 0 && mask == (1U << HK_WATCH_COUNT) - 2U);
    CHECK(hk_watch_parse(hk_slice_of("slow, harakiri"), &mask) == 0
          && mask == (1U << HK_WATCH_SLOW | 1U << HK_WATCH_HARAKIRI));
    CHECK(hk_watch_parse(hk_slice_of("killed"), &mask) == 0 && mask == (1U << HK_WATCH_KILLED | 1U << HK_WATCH_OOM));
    CHECK(hk_watch_parse(hk_slice_of("false"), &mask) == 0 && mask == 0);
    CHECK(hk_watch_parse(hk_slice_of("harakiri,earthquake"), &mask) < 0);
}

/* The five that grew a worker most, the most first; what another thread writes meanwhile is not kept. */
static void grown(void)
{
    static const uint64_t sizes[] = { 10, 20, 5, 30, 15, 3, 40 }, expected[] = { 40, 30, 20, 15, 10 };
    const hk_grown *found[HK_GROWTH_MAX];
    char path[400];
    hk_growth g;
    uint64_t now = 100U << 20;
    size_t i;

    memset(&g, 0, sizeof g);
    memset(path, 'x', sizeof path);
    hk_growth_add(&g, now, 1, hk_slice_of("GET"), hk_slice_of("/first")); /* nobody knows what was before */
    CHECK(hk_growth_sort(&g, found) == 0);
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        hk_growth_add(&g, now += sizes[i] << 20, 2 + i, hk_slice_of("GET"), hk_slice_make(path, sizeof path));
        hk_growth_add(&g, now -= 1U << 20, 2 + i, hk_slice_of("GET"), hk_slice_of("/less"));
        hk_growth_add(&g, now += 1000, 2 + i, hk_slice_of("GET"), hk_slice_of("/a little"));
    }
    CHECK(hk_growth_sort(&g, found) == 5);
    for (i = 0; i < 5; i++)
        CHECK(found[i]->after - found[i]->before == expected[i] << 20 && found[i]->path_size == HK_GROWTH_PATH);
    g.writing = 1;
    CHECK(!hk_growth_is(&g, g.last + HK_GROWTH_LEAST - 1) && hk_growth_is(&g, g.last + HK_GROWTH_LEAST) && !hk_growth_is(&g, 1));
    hk_growth_add(&g, now + (500U << 20), 9, hk_slice_of("GET"), hk_slice_of("/x"));
    CHECK(hk_growth_sort(&g, found) == 5 && found[0]->after - found[0]->before == 40U << 20);
    g.list[0].path_size = 60000; /* a worker may write anything */
    CHECK(hk_growth_sort(&g, found) == 4);
}

/* A storm is told once in its window, when the last of its deaths comes; then again. */
static void storms(void)
{
    static hk_watch_storm s;
    uint64_t t;
    int told = 0;

    CHECK(!hk_watch_storm_add(&s, 0, 3, 60) && !hk_watch_storm_add(&s, 30, 3, 60));
    CHECK(!hk_watch_storm_add(&s, 61, 3, 60)); /* the first is too long ago */
    CHECK(hk_watch_storm_add(&s, 62, 3, 60));
    for (t = 63; t < 122; t++)
        CHECK(!hk_watch_storm_add(&s, t, 3, 60));
    CHECK(hk_watch_storm_add(&s, 122, 3, 60));
    memset(&s, 0, sizeof s);
    for (t = 0; t < 5000; t++)
        told += hk_watch_storm_add(&s, t, 1000, 999);
    CHECK(told == 5 && !hk_watch_storm_add(&s, t, 0, 60) && !hk_watch_storm_add(&s, t, 1001, 60));
    memset(&s, 0, sizeof s);
    CHECK(hk_watch_storm_add(&s, 0, 1, 60));
}

static void queues(void)
{
    int full = 0;

    CHECK(!hk_watch_queue_is_news(&full, 99, 100, 100));
    CHECK(hk_watch_queue_is_news(&full, 100, 100, 100) && !hk_watch_queue_is_news(&full, 101, 100, 100));
    CHECK(!hk_watch_queue_is_news(&full, 99, 100, 100) && hk_watch_queue_is_news(&full, 100, 100, 100));
    full = 0;
    CHECK(!hk_watch_queue_is_news(&full, 79, 100, 80) && hk_watch_queue_is_news(&full, 80, 100, 80));
    full = 0;
    CHECK(!hk_watch_queue_is_news(&full, 0, 1, 1) && hk_watch_queue_is_news(&full, 1, 1, 1));
    CHECK(!hk_watch_queue_is_news(&full, 5, 0, 100)); /* uWSGI has not read it yet */
}

/* Kills of long ago, and those that a death was told for already, make no other SIGKILL an OOM kill. */
static void oom(void)
{
    hk_watch_oom o;

    memset(&o, 0, sizeof o);
    hk_watch_oom_sample(&o, 5, 1000);
    CHECK(!hk_watch_oom_take(&o, 5));
    CHECK(hk_watch_oom_take(&o, 6) && !hk_watch_oom_take(&o, 6));
    hk_watch_oom_sample(&o, 7, 2000); /* too early to forget */
    CHECK(hk_watch_oom_take(&o, 7));
    hk_watch_oom_sample(&o, 9, 7000); /* another process of the cgroup */
    hk_watch_oom_sample(&o, 9, 13000);
    CHECK(!hk_watch_oom_take(&o, 9) && hk_watch_oom_take(&o, 10));
    CHECK(hk_watch_find_count(hk_slice_of("oom 3\noom_kill 12\noom_group_kill 4\n"), "oom_kill") == 12);
    CHECK(hk_watch_find_count(hk_slice_of("under_oom 0\noom_kill 7"), "oom_kill") == 7);
    CHECK(hk_watch_find_count(hk_slice_of("oom_kills 3\nxoom_kill 5\n"), "oom_kill") == 0);
    CHECK(hk_watch_find_count(hk_slice_of(""), "oom_kill") == 0);
}

/* The wanted thread's frames, outermost first, out of what faulthandler writes. */
static void stacks(void)
{
    static const char text[] = "Fatal Python error: Segmentation fault\n\nThread 0x00007f0000000002 (most recent call first):\n"
        "  File \"/a/other.py\", line 3 in wait\n\nCurrent thread 0x00007f0000000001 (most recent call first):\n"
        "  File \"/a/b.py\", line 12 in inner\n  File \"/a/b\", line 1.py\", line 7 in <module>\n\nExtension modules: x\n";
    hk_frame *f;
    hk_pool pool;
    size_t n;

    hk_pool_init(&pool);
    f = hk_pystack_read(hk_slice_of(text), 0, &pool, &n);
    CHECK(n == 2);
    CHECK_TEXT("inner", f[1].function);
    CHECK(f[1].line == 12 && f[0].line == 7);
    CHECK_TEXT("/a/b\", line 1.py", f[0].file);
    f = hk_pystack_read(hk_slice_of(text), 0x7f0000000002ULL, &pool, &n);
    CHECK(n == 1);
    CHECK_TEXT("wait", f[0].function);
    f = hk_pystack_read(hk_slice_of(text), 0x7f0000000009ULL, &pool, &n); /* not there: the current one */
    CHECK(n == 2);
    f = hk_pystack_read(hk_slice_of("Stack (most recent call first):\n  File \"x\", line 1\n  ...\n"), 5, &pool, &n);
    CHECK(n == 1 && f[0].function.n == 0);
    CHECK(hk_pystack_read(hk_slice_of(""), 0, &pool, &n) == NULL && n == 0);
    hk_pool_free(&pool);
}

/* A note belongs to one request of its core; one that is torn, or of an earlier request, is none. */
static void notes(void)
{
    static hk_note note, copy;
    char big[HK_NOTE_MAX + 1];

    memset(big, 'x', sizeof big);
    CHECK(!hk_note_get(&note, 0, &copy) && !hk_note_get(&note, 7, &copy));
    CHECK(hk_note_put(&note, 7, HK_NOTE_USER, hk_slice_of("u")) == 0);
    CHECK(hk_note_put(&note, 7, HK_NOTE_TRANSACTION, hk_slice_make(big, HK_NOTE_MAX)) == 0);
    CHECK(hk_note_put(&note, 7, HK_NOTE_EVENT_ID, hk_slice_make(big, sizeof big)) < 0);
    CHECK(hk_note_get(&note, 7, &copy) && hk_note_text(&copy, HK_NOTE_TRANSACTION).n == HK_NOTE_MAX);
    CHECK_TEXT("u", hk_note_text(&copy, HK_NOTE_USER));
    CHECK(hk_note_text(&copy, HK_NOTE_EVENT_ID).n == 0);
    CHECK(!hk_note_get(&note, 8, &copy) && copy.n[HK_NOTE_USER] == 0);
    CHECK(hk_note_put(&note, 8, HK_NOTE_EVENT_ID, hk_slice_of("e")) == 0);
    CHECK(hk_note_get(&note, 8, &copy) && hk_note_text(&copy, HK_NOTE_USER).n == 0 && !hk_note_get(&note, 7, &copy));
    note.sequence++; /* its worker died while it wrote */
    CHECK(!hk_note_get(&note, 8, &copy) && hk_note_put(&note, 8, HK_NOTE_USER, hk_slice_of("u")) < 0);
    hk_note_reset(&note);
    CHECK(hk_note_put(&note, 9, HK_NOTE_USER, hk_slice_of("v")) == 0 && hk_note_get(&note, 9, &copy));
    note.n[HK_NOTE_USER] = 1U << 30; /* a worker wrote what it liked */
    CHECK(hk_note_get(&note, 9, &copy) && hk_note_text(&copy, HK_NOTE_USER).n == 0);
}

/* One process writes as fast as it can, another reads: no copy is ever a mix of two. */
static void notes_are_whole(void)
{
    hk_note *note = mmap(NULL, sizeof *note, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    static hk_note copy;
    char text[512];
    int good = 0, torn = 0, i;
    size_t k;
    pid_t pid;

    CHECK(note != MAP_FAILED);
    pid = fork();
    if (pid == 0)
        for (i = 0;; i++) {
            memset(text, 'a' + i % 26, sizeof text);
            (void)hk_note_put(note, 7, HK_NOTE_TRANSACTION, hk_slice_make(text, 100 + (size_t)i % 400));
        }
    for (i = 0; i < 5000000 && good < 2000; i++) {
        hk_slice s;
        if (!hk_note_get(note, 7, &copy)) {
            if (i % 1000 == 999)
                usleep(1000); /* the child may not run, in the middle of a note, for as long as this one looks */
            continue;
        }
        s = hk_note_text(&copy, HK_NOTE_TRANSACTION);
        good++;
        for (k = 1; k < s.n; k++)
            if (s.p[k] != s.p[0]) {
                torn++;
                break;
            }
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CHECK(good > 0 && torn == 0);
    munmap(note, sizeof *note);
}

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

#define ID "0123456789abcdef0123456789abcdef"
#define SPAN "00f067aa0ba902b7"

static void trace_is(const char *key, const char *value, const char *id, const char *parent)
{
    hk_trace t;
    hk_buf b;

    hk_buf_init(&b, 65536);
    put(&b, key, value);
    hk_trace_read(hk_buf_slice(&b), &t);
    CHECK_TEXT(id, hk_slice_of(t.trace_id));
    CHECK_TEXT(parent, hk_slice_of(t.parent));
    hk_buf_free(&b);
}

static void traces(void)
{
    hk_trace t;
    hk_buf b;

    trace_is("HTTP_SENTRY_TRACE", ID "-" SPAN "-1", ID, SPAN);
    trace_is("HTTP_SENTRY_TRACE", " 0123456789ABCDEF0123456789ABCDEF-" SPAN " ", ID, SPAN);
    trace_is("HTTP_SENTRY_TRACE", ID "-" SPAN "-2", "", "");
    trace_is("HTTP_SENTRY_TRACE", ID "-0000000000000000-1", "", "");
    trace_is("HTTP_SENTRY_TRACE", ID, "", "");
    trace_is("HTTP_TRACEPARENT", "00-" ID "-" SPAN "-01", ID, SPAN);
    trace_is("HTTP_TRACEPARENT", "cc-" ID "-" SPAN "-01-more", ID, SPAN);
    trace_is("HTTP_TRACEPARENT", "ff-" ID "-" SPAN "-01", "", "");
    trace_is("HTTP_TRACEPARENT", "0x-" ID "-" SPAN "-01", "", "");
    trace_is("HTTP_TRACEPARENT", "00-00000000000000000000000000000000-" SPAN "-01", "", "");
    trace_is("HTTP_BAGGAGE", "a=b, sentry-trace_id=" ID ";p=1,c=d", ID, "");
    trace_is("HTTP_BAGGAGE", "sentry-trace_id = " ID, ID, "");
    trace_is("HTTP_BAGGAGE", "sentry-trace_idx=" ID ",sentry-trace_id=12", "", "");
    trace_is("HTTP_BAGGAGE", "", "", "");
    hk_buf_init(&b, 65536); /* Sentry's own header wins, wherever it stands */
    put(&b, "HTTP_TRACEPARENT", "00-ffffffffffffffffffffffffffffffff-" SPAN "-01");
    put(&b, "HTTP_SENTRY_TRACE", ID "-" SPAN);
    hk_trace_read(hk_buf_slice(&b), &t);
    CHECK_TEXT(ID, hk_slice_of(t.trace_id));
    hk_buf_free(&b);
}

/* The whole of what a request in flight shows: a new leaking field shows here. */
static void in_flight(void)
{
    hk_inflight r;
    hk_slice vars;
    hk_buf b, out;
    hk_pool pool;
    hk_json j;

    hk_pool_init(&pool);
    hk_buf_init(&b, 65536);
    hk_buf_init(&out, 65536);
    put(&b, "REQUEST_METHOD", "POST");
    put(&b, "REQUEST_URI", "/pay?token=hide&a=1");
    put(&b, "PATH_INFO", "/pay");
    put(&b, "QUERY_STRING", "token=hide&a=1");
    put(&b, "HTTP_HOST", "shop.example");
    put(&b, "HTTP_COOKIE", "sid=hide");
    put(&b, "REMOTE_ADDR", "192.0.2.1");
    put(&b, "REMOTE_USER", "v\"");
    put(&b, "HTTP_SENTRY_TRACE", ID "-" SPAN);
    vars = hk_buf_slice(&b);
    memset(&r, 0, sizeof r);
    hk_request_read(vars, &rule, &pool, &r.request);
    hk_trace_read(vars, &r.trace);
    CHECK_TEXT("POST /pay", hk_inflight_transaction(&r, &pool));
    r.transaction = hk_slice_of("POST /<page>");
    CHECK_TEXT("POST /<page>", hk_inflight_transaction(&r, &pool));
    r.event_id = hk_slice_of(ID);
    r.age_ms = 1500;
    r.pid = 77;
    r.worker = 2;
    r.core = 1;
    hk_json_init(&j, &out);
    hk_inflight_put(&j, &r);
    CHECK_TEXT("{\"method\":\"POST\",\"url\":\"http://shop.example/pay\",\"query_string\":\"token=[Filtered]&a=1\","
               "\"host\":\"shop.example\",\"remote_addr\":\"192.0.2.1\",\"transaction\":\"POST /<page>\",\"age_ms\":1500,"
               "\"worker\":2,\"core\":1,\"pid\":77,\"event_id\":\"" ID "\",\"trace_id\":\"" ID "\"}", hk_buf_slice(&out));
    hk_buf_clear(&out);
    hk_inflight_put_line(&r, &out);
    CHECK_TEXT("POST /pay for 1500 ms on worker 2 core 1\n", hk_buf_slice(&out));
    CHECK_TEXT("{\"trace_id\":\"" ID "\",\"span_id\":\"1111111111111111\",\"parent_span_id\":\"" SPAN "\"}",
               hk_inflight_trace(&r, hk_slice_of("1111111111111111"), &pool));
    CHECK_TEXT("{\"id\":\"v\\\"\",\"ip_address\":\"192.0.2.1\"}", hk_inflight_user(hk_slice_of(""), vars, 1, &pool));
    CHECK(hk_inflight_user(hk_slice_of(""), vars, 0, &pool).n == 0);
    CHECK_TEXT("{\"id\":\"7\"}", hk_inflight_user(hk_slice_of("{\"id\":\"7\"}"), vars, 0, &pool));
    CHECK_TEXT("{\"id\":\"v\\\"\",\"ip_address\":\"192.0.2.1\"}", hk_inflight_user(hk_slice_of("{\"id\":\"7\"},x"), vars, 1, &pool));
    CHECK(hk_inflight_user(hk_slice_of(""), hk_slice_of(""), 1, &pool).n == 0);
    memset(&r, 0, sizeof r); /* its head is not read yet */
    CHECK(hk_inflight_transaction(&r, &pool).n == 0 && hk_inflight_trace(&r, hk_slice_of("1"), &pool).n == 0);
    hk_pool_free(&pool);
    hk_buf_free(&b);
    hk_buf_free(&out);
}

static void whole_event(void)
{
    hk_pair contexts[1] = { { { "uwsgi", 5 }, { "{\"worker\":2}", 12 } } };
    hk_frame frame = { { "/srv/app.py", 11 }, { "view", 4 }, { "x = f('a')", 10 }, { "a\npassword = \"hide\"\n", 20 },
                             { "z\n", 2 }, { "", 0 }, .line = 12, .in_app = 1 };
    hk_event e;
    hk_buf out;

    hk_buf_init(&out, 1 << 20);
    memset(&e, 0, sizeof e);
    memset(e.id, 'a', 32);
    e.exception_type = hk_slice_of("segfault");
    e.mechanism = "uwsgi.watch";
    e.signal = SIGSEGV;
    e.user = hk_slice_of("{\"id\":\"7\"}");
    e.contexts = contexts;
    e.context_count = 1;
    e.frames = &frame;
    e.frame_count = 1;
    CHECK(hk_event_put(&e, 7, HK_EVENT_MAX_BYTES, &out) == HK_OK);
    CHECK_TEXT("{\"event_id\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"timestamp\":\"1970-01-01T00:00:00.000000Z\","
               "\"platform\":\"python\",\"exception\":{\"values\":[{\"type\":\"segfault\",\"stacktrace\":{\"frames\":[{"
               "\"filename\":\"app.py\",\"abs_path\":\"/srv/app.py\",\"function\":\"view\",\"lineno\":12,"
               "\"pre_context\":[\"a\",\"password = \\\"[Filtered]\\\"\"],\"context_line\":\"x = f('a')\",\"post_context\":[\"z\"],"
               "\"in_app\":true}]},\"mechanism\":{\"type\":\"uwsgi.watch\",\"handled\":false,\"meta\":{\"signal\":{\"number\":11,"
               "\"name\":\"SIGSEGV\"}}}}]},\"user\":{\"id\":\"7\"},\"contexts\":{\"uwsgi\":{\"worker\":2}},"
               "\"sdk\":{\"name\":\"heka-raven.uwsgi\",\"version\":\"" HK_VERSION "\"}}", hk_buf_slice(&out));
    CHECK(hk_jsonread_skip(hk_buf_slice(&out), 0) == out.len);
    CHECK(hk_event_signal_name(99)[0] == '\0');
    hk_buf_free(&out);
}

static void source_is(const char *line, const char *expected)
{
    hk_buf b;

    hk_buf_init(&b, 4096);
    hk_scrub_source(&rule, hk_slice_of(line), &b);
    CHECK_TEXT(expected, hk_buf_slice(&b));
    hk_buf_free(&b);
}

static void source_lines_hide_secrets(void)
{
    source_is("x = 'y'", "x = 'y'");
    source_is("password = 'hide'", "password = '[Filtered]'");
    source_is("connect(user='u', api_key=\"hi'de\\\"more\")", "connect(user='[Filtered]', api_key=\"[Filtered]\")");
    source_is("token = ''", "token = ''");
    source_is("secret = 'no end", "secret = '[Filtered]");
    source_is("db = 'postgres://u:hide@host/db'", "db = 'postgres://[Filtered]@host/db'");
    source_is("a://x@y b://p:q@z", "a://[Filtered]@y b://[Filtered]@z");
    source_is("see https://example.org/a@b", "see https://example.org/a@b");
    source_is("", "");
}

/* Real files: the lines around; nothing of what is no source file, or of a line that is not there. */
static void sources(void)
{
    const char *folder = check_make_directory();
    char good[128], other[128], fifo[128];
    hk_frame f[5];
    hk_pool pool;
    FILE *out;
    int i;

    snprintf(good, sizeof good, "%s/a.py", folder);
    snprintf(other, sizeof other, "%s/secret.txt", folder);
    snprintf(fifo, sizeof fifo, "%s/fifo.py", folder);
    out = fopen(good, "w");
    for (i = 1; i <= 20; i++)
        fprintf(out, "line %d%s\n", i, i == 12 ? "\r" : "");
    fclose(out);
    out = fopen(other, "w");
    fprintf(out, "one\ntwo\n");
    fclose(out);
    CHECK(mkfifo(fifo, 0600) == 0); /* must not hold us */
    memset(f, 0, sizeof f);
    f[0].file = hk_slice_of(good), f[0].line = 12;
    f[1].file = hk_slice_of(other), f[1].line = 1;
    f[2].file = hk_slice_of(fifo), f[2].line = 1;
    f[3].file = hk_slice_of(good), f[3].line = 99;
    f[4].file = hk_slice_of(good), f[4].line = 1;
    hk_pool_init(&pool);
    hk_source_fill(f, 5, getuid(), getgid(), 1000, &pool);
    CHECK_TEXT("line 12", f[0].line_text);
    CHECK_TEXT("line 7\nline 8\nline 9\nline 10\nline 11\n", f[0].before);
    CHECK_TEXT("line 13\nline 14\nline 15\nline 16\nline 17\n", f[0].after);
    CHECK(f[1].line_text.n == 0 && f[2].line_text.n == 0 && f[3].line_text.n == 0);
    CHECK_TEXT("line 1", f[4].line_text);
    CHECK(f[4].before.n == 0);
    CHECK(chdir(folder) == 0);
    f[1].file = hk_slice_of("a.py"), f[1].line = 2;
    hk_source_fill(&f[1], 1, getuid(), getgid(), 1000, &pool);
    CHECK_TEXT("line 2", f[1].line_text);
    CHECK(chdir("/") == 0);
    memset(&f[0].line_text, 0, sizeof f[0].line_text);
    chmod(good, 0600);
    if (geteuid() == 0) { /* root looks for another user: what that one may not read stays closed */
        f[0].line_text = hk_slice_make("", 0);
        hk_source_fill(f, 1, 65534, 65534, 1000, &pool);
        CHECK(f[0].line_text.n == 0);
        hk_source_fill(f, 1, 0, 0, 1000, &pool);
        CHECK_TEXT("line 12", f[0].line_text);
    }
    hk_pool_free(&pool);
    check_remove_directory(folder);
}

/* Real children: how they died, without reaping them. */
static void children(void)
{
    hk_kernel_death d;
    int status;
    pid_t pid;

    CHECK(!hk_kernel_find_death(-1, &d));
    pid = fork();
    if (pid == 0)
        _exit(7);
    while (!hk_kernel_find_death(pid, &d))
        usleep(1000);
    CHECK(d.pid == pid && d.exited && d.status == 7 && d.peak_rss > 0);
    CHECK(hk_kernel_find_death(-1, &d) && d.pid == pid);
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
    CHECK(!hk_kernel_find_death(pid, &d));
    pid = fork();
    if (pid == 0)
        pause();
    CHECK(!hk_kernel_find_death(pid, &d));
    kill(pid, SIGKILL);
    while (!hk_kernel_find_death(pid, &d))
        usleep(1000);
    CHECK(!d.exited && d.status == SIGKILL);
    waitpid(pid, NULL, 0);
    CHECK(hk_kernel_rss(getpid()) > 100000 && hk_kernel_rss(pid) == 0);
}

static void unix_queue(void)
{
    struct sockaddr_un address;
    uint64_t waiting = 99, max = 99;
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), clients[3], i;
    const char *folder = check_make_directory();

    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", folder);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 5) == 0);
    if (hk_kernel_queue(listener, &waiting, &max) == 0) { /* a kernel may be built without unix_diag */
        CHECK(waiting == 0 && max == 5);
        for (i = 0; i < 3; i++) {
            clients[i] = socket(AF_UNIX, SOCK_STREAM, 0);
            CHECK(connect(clients[i], (struct sockaddr *)&address, sizeof address) == 0);
        }
        CHECK(hk_kernel_queue(listener, &waiting, &max) == 0 && waiting == 3);
        for (i = 0; i < 3; i++)
            close(clients[i]);
    }
    CHECK(hk_kernel_queue(-1, &waiting, &max) < 0 && hk_kernel_queue(0, &waiting, &max) < 0);
    close(listener);
    check_remove_directory(folder);
}

static void tcp_queue(void)
{
    struct sockaddr_in address;
    socklen_t n = sizeof address;
    uint64_t waiting = 99, max = 99;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(listener, (struct sockaddr *)&address, n) == 0 && hk_kernel_queue(listener, &waiting, &max) < 0);
    CHECK(listen(listener, 5) == 0 && getsockname(listener, (struct sockaddr *)&address, &n) == 0);
    CHECK(hk_kernel_queue(listener, &waiting, &max) == 0 && waiting == 0 && max == 5);
    CHECK(connect(client, (struct sockaddr *)&address, n) == 0);
    while (waiting == 0) /* the last packet of the three is on its way */
        CHECK(hk_kernel_queue(listener, &waiting, &max) == 0);
    CHECK(waiting == 1);
    close(client);
    close(listener);
}

static void write_file(const char *folder, const char *path, const char *text)
{
    char full[512], *slash;
    FILE *out;

    snprintf(full, sizeof full, "%s%s", folder, path);
    for (slash = strchr(full + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    out = fopen(full, "w");
    fputs(text, out);
    fclose(out);
}

/* Files as the kernel writes them, of both versions of cgroups. */
static void oom_counts(void)
{
    const char *folder = check_make_directory();
    uint64_t kills = 9;

    CHECK(hk_kernel_oom_kills(folder, 7, &kills) == 0 && kills == 0);
    write_file(folder, "/proc/7/cgroup", "4:memory:/app\n0::/\n");
    write_file(folder, "/sys/fs/cgroup/memory/app/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
    CHECK(hk_kernel_oom_kills(folder, 7, &kills) == 1 && kills == 3);
    write_file(folder, "/proc/8/cgroup", "0::/system.slice/app.service\n");
    write_file(folder, "/sys/fs/cgroup/system.slice/app.service/memory.events", "low 0\noom 1\noom_kill 4\n");
    CHECK(hk_kernel_oom_kills(folder, 8, &kills) == 1 && kills == 4);
    write_file(folder, "/proc/9/cgroup", "0::/not/mounted/here\n"); /* a container */
    write_file(folder, "/sys/fs/cgroup/memory.events", "oom_kill 5\n");
    CHECK(hk_kernel_oom_kills(folder, 9, &kills) == 1 && kills == 5);
    check_remove_directory(folder);
}

int main(void)
{
    kinds();
    grown();
    storms();
    queues();
    oom();
    stacks();
    notes();
    notes_are_whole();
    traces();
    in_flight();
    whole_event();
    source_lines_hide_secrets();
    sources();
    children();
    unix_queue();
    tcp_queue();
    oom_counts();
    printf("%d checks, %d failed\n", check_done, check_failed);
    return check_failed != 0;
}

#include "report.h"

#include "../core/pystack.h"
#include "../core/sentence.h"
#include "../edge/kernel.h"
#include "../edge/source.h"
#include "../edge/symbols.h"
#include "../edge/sys.h"
#include "../server/handler.h"
#include "../server/server_spool.h"

#define SYMBOLS_MS 100 /* of a worker that is dead */
#define ALIVE_MS 20    /* of one that is killed for its time */
#define SOURCE_MS 30 /* of the 150 that a harakiri may hold the master; the stack takes 100 */

static hk_handler handler;

int hk_report_configure(void)
{
    const char *given = hk_settings.watch_options == NULL ? "" : hk_settings.watch_options;
    hk_buf text;

    hk_buf_init(&text, 65536);
    if (strstr(given, "logger=") == NULL)
        hk_buf_puts(&text, *given == '\0' ? "logger=uwsgi.watch" : "logger=uwsgi.watch,");
    hk_buf_puts(&text, given);
    hk_handler_configure(&handler, "sentry-watch-options", hk_buf_text(&text));
    hk_buf_free(&text);
    return handler.off ? -1 : 0;
}

void hk_report_figure(hk_watch_event *e, const char *name, uint64_t value)
{
    if (e->figure_count == sizeof e->figures / sizeof e->figures[0])
        return;
    e->figures[e->figure_count].name = name;
    e->figures[e->figure_count++].value = value;
}

void hk_report_start(hk_watch_event *e, hk_watch_kind kind, int worker)
{
    memset(e, 0, sizeof *e);
    e->kind = kind;
    e->at_us = uwsgi_micros();
    e->worker = worker;
    if (worker > 0) {
        e->pid = uwsgi.workers[worker].pid;
        hk_report_figure(e, "rss_bytes", hk_kernel_rss(e->pid));
    }
}

static hk_slice keep(hk_buf *b, hk_pool *pool)
{
    hk_slice out = hk_buf_ok(b) ? hk_pool_keep(pool, hk_buf_slice(b)) : hk_slice_make("", 0);

    hk_buf_free(b);
    return out;
}

static void put_number(hk_json *j, const char *name, uint64_t value)
{
    hk_json_key(j, hk_slice_of(name), HK_JSON_NO_LIMIT);
    hk_json_u64(j, value);
}

/* What the worker does: for contexts.uwsgi. */
static void put_doing(hk_json *j, const hk_doing *d)
{
    hk_json_pair(j, "state", hk_slice_of(d->state), 32);
    if (d->has_cpu)
        put_number(j, "cpu_percent", d->cpu_percent);
    hk_json_pair(j, "waiting_on", d->on, 512);
    hk_json_pair(j, "waiting_on_missing", d->missing, 256);
    hk_json_pair(j, "thread", hk_slice_of(d->whose), 32);
}

/* contexts.uwsgi */
static hk_slice context(const hk_watch_event *e, const char *values, const hk_inflight *suspect, const hk_inflight *others,
                        size_t count, hk_pool *pool)
{
    size_t i;
    hk_json j;
    hk_buf b;

    hk_buf_init(&b, 256 * 1024);
    hk_json_init(&j, &b);
    hk_json_open(&j, '{');
    hk_json_pair(&j, "version", hk_slice_of(UWSGI_VERSION), 32);
    if (e->worker > 0) {
        put_number(&j, "worker", (uint64_t)e->worker);
        put_number(&j, "pid", (uint64_t)e->pid);
        put_number(&j, "requests", uwsgi.workers[e->worker].delta_requests);
        put_number(&j, "respawns", uwsgi.workers[e->worker].respawn_count);
    }
    put_doing(&j, &e->doing);
    for (i = 0; i < e->figure_count; i++)
        put_number(&j, e->figures[i].name, e->figures[i].value);
    if (values != NULL)
        hk_json_pair(&j, "values", hk_slice_of(values), 200);
    if (e->suspect.start_us > 0) {
        hk_json_key(&j, hk_slice_of("suspect"), HK_JSON_NO_LIMIT);
        hk_inflight_put(&j, suspect);
    }
    if (count > 0)
        hk_inflight_put_list(&j, "bystanders", others, count);
    if (e->grown.n > 0) {
        hk_json_key(&j, hk_slice_of("grown_by"), HK_JSON_NO_LIMIT);
        hk_json_raw(&j, e->grown);
    }
    if (e->deaths.n > 0) {
        hk_json_key(&j, hk_slice_of("deaths"), HK_JSON_NO_LIMIT);
        hk_json_raw(&j, e->deaths);
    }
    hk_json_close(&j, '}');
    return keep(&b, pool);
}

/* Version 3 has no contexts: the same as texts. */
static hk_pair *extra(const hk_watch_event *e, const hk_inflight *suspect, const hk_inflight *others, size_t count, hk_pool *pool, size_t *n)
{
    hk_pair *pairs = hk_pool_alloc(pool, (sizeof e->figures / sizeof e->figures[0] + 11) * sizeof *pairs);
    hk_figure own[5];
    size_t i, k = 0;
    hk_buf b;

    *n = 0;
    if (pairs == NULL)
        return NULL;
    if (e->worker > 0) {
        own[k].name = "worker", own[k++].value = (uint64_t)e->worker;
        own[k].name = "pid", own[k++].value = (uint64_t)e->pid;
        own[k].name = "requests", own[k++].value = uwsgi.workers[e->worker].delta_requests;
    }
    if (e->suspect.start_us > 0) {
        own[k].name = "core", own[k++].value = (uint64_t)e->suspect.core;
        own[k].name = "request_age_ms", own[k++].value = suspect->age_ms;
    }
    for (i = 0; i < k + e->figure_count; i++) {
        const hk_figure *f = i < k ? &own[i] : &e->figures[i - k];
        hk_buf_init(&b, 32);
        hk_buf_put_u64(&b, f->value);
        pairs[*n].key = hk_slice_of(f->name);
        pairs[(*n)++].value = keep(&b, pool);
    }
    hk_buf_init(&b, 65536);
    for (i = 0; i < count && b.len < HK_INFLIGHT_ROOM; i++)
        hk_inflight_put_line(&others[i], &b);
    pairs[*n].key = hk_slice_of("other_requests");
    pairs[*n].value = keep(&b, pool);
    *n += pairs[*n].value.n > 0;
    pairs[*n].key = hk_slice_of("grown_by");
    pairs[*n].value = e->grown;
    *n += pairs[*n].value.n > 0;
    pairs[*n].key = hk_slice_of("state");
    pairs[*n].value = hk_slice_of(e->doing.state);
    *n += pairs[*n].value.n > 0;
    pairs[*n].key = hk_slice_of("waiting_on");
    pairs[*n].value = e->doing.on;
    *n += pairs[*n].value.n > 0;
    pairs[*n].key = hk_slice_of("uwsgi_version");
    pairs[(*n)++].value = hk_slice_of(UWSGI_VERSION);
    return pairs;
}

/* "GET /report/2026", as it was asked for. */
static hk_slice request_line(const hk_inflight *suspect, hk_pool *pool)
{
    hk_buf b;

    hk_buf_init(&b, 65536 * 2);
    if (suspect->request.method.n > 0) {
        hk_buf_slice_put(&b, suspect->request.method);
        hk_buf_putc(&b, ' ');
        hk_buf_slice_put(&b, suspect->request.path);
    }
    return keep(&b, pool);
}

/* The limit that a request was over, which uWSGI counts in whole seconds; 0: another one, which is not known
 * (uwsgi.set_user_harakiri). */
static uint64_t limit_of(const hk_watch_event *e, const hk_inflight *suspect)
{
    uint64_t limit = uwsgi.harakiri_options.workers > 0 ? (uint64_t)uwsgi.harakiri_options.workers : 0;

    return e->kind == HK_WATCH_HARAKIRI && suspect->age_ms / 1000 + 2 >= limit && suspect->age_ms / 1000 <= limit + 2 ? limit : 0;
}

/* "running", "waiting on recv from 127.0.0.1:5432, tcp" */
static hk_slice doing(const hk_doing *d, hk_pool *pool)
{
    hk_buf b;

    if (d->on.n == 0)
        return hk_slice_of(d->state != NULL && strcmp(d->state, "running") == 0 ? d->state : "");
    hk_buf_init(&b, 8192);
    hk_buf_puts(&b, "waiting on ");
    hk_buf_slice_put(&b, d->on);
    return keep(&b, pool);
}

static hk_slice message(const hk_watch_event *e, const hk_inflight *suspect, const hk_frame *place, hk_pool *pool)
{
    hk_sentence s;
    char who[32];
    size_t i;
    hk_buf b;

    memset(&s, 0, sizeof s);
    snprintf(who, sizeof who, "worker %d", e->worker);
    s.server = "uWSGI";
    s.kind = e->kind;
    s.who = e->worker > 0 ? hk_slice_of(who) : e->process;
    s.has_request = e->suspect.start_us > 0;
    s.request = request_line(suspect, pool);
    s.age_ms = suspect->age_ms;
    s.limit_s = limit_of(e, suspect);
    s.signal = e->signal;
    s.status = -1;
    for (i = 0; i < e->figure_count; i++)
        if (strcmp(e->figures[i].name, "exit_status") == 0)
            s.status = (int)e->figures[i].value;
    s.words = e->words;
    s.doing = doing(&e->doing, pool);
    s.place = place;
    hk_buf_init(&b, 65536 * 3);
    hk_sentence_put(&s, &b);
    return keep(&b, pool);
}

static const hk_thread *other_threads(const hk_watch_event *e, hk_slice roots, hk_pool *pool, size_t *count)
{
    hk_thread *threads = hk_pystack_others(e->stack, e->suspect.thread_id, pool, count);
    size_t i;

    for (i = 0; i < *count; i++)
        hk_frames_mark(threads[i].frames, threads[i].count, roots);
    return threads;
}

/* Without our own wrapper of os._exit. */
static size_t without_bridge(const hk_frame *frames, size_t count)
{
    static const char name[] = "/uwsgi_bridge.py";
    size_t n = sizeof name - 1;

    while (count > 0 && frames[count - 1].file.n > n
           && memcmp(frames[count - 1].file.p + frames[count - 1].file.n - n, name, n) == 0)
        count--;
    return count;
}

/* Python's, with their values and their source lines, and inside them those of the C stack. The application's are those that it told, else
 * Python's by their paths. */
static hk_frame *find_frames(hk_watch_event *e, hk_pool *pool, size_t *count, hk_capture_facts *facts, const char **values)
{
    uint64_t guessed = 0;
    size_t python, i;
    hk_frame *frames = hk_eyes_take(e->worker, &e->asked, pool, &python, values);
    hk_elf_symbol *symbols = NULL;
    hk_slice roots = { "", 0 };
    hk_roots copy;
    uid_t uid;
    gid_t gid;

    if (hk_shared_is_on())
        roots = hk_roots_get(hk_shared_roots(), &copy);
    if (frames == NULL)
        frames = hk_pystack_read(e->stack, e->suspect.thread_id, pool, &python);
    python = without_bridge(frames, python);
    hk_frames_mark(frames, python, roots);
    hk_server_spool_user(&uid, &gid);
    hk_source_fill(frames, python, uid, gid, SOURCE_MS, pool);
    if (e->native != NULL)
        symbols = hk_symbols_find(e->native, uid, gid, e->native->lives_on ? ALIVE_MS : SYMBOLS_MS, pool);
    frames = hk_native_join(frames, python, e->native, symbols, roots, pool, count);
    if (python > 0)
        facts->threads = other_threads(e, roots, pool, &facts->thread_count);
    facts->images = hk_native_images(e->native, frames, *count, pool);
    for (i = python; i < *count; i++)
        guessed += (uint64_t)frames[i].is_guessed;
    if (guessed > 0)
        hk_report_figure(e, "native_frames_guessed", guessed);
    return frames;
}

void hk_report_event(hk_watch_event *e, hk_pool *pool)
{
    hk_inflight suspect, *others = hk_pool_alloc(pool, HK_INFLIGHT_MAX * sizeof *others);
    hk_pair tags[2] = { { hk_slice_of("uwsgi.event"), hk_slice_of(hk_watch_name(e->kind)) } }, contexts[2];
    size_t count = others == NULL ? 0 : hk_snapshot_others(&e->suspect, e->at_us, pool, others, HK_INFLIGHT_MAX), frame_count;
    const hk_frame *place;
    hk_slice fingerprint[4];
    const char *values;
    hk_capture_facts facts;
    hk_frame *frames;
    char span[33];

    memset(&facts, 0, sizeof facts);
    frames = find_frames(e, pool, &frame_count, &facts, &values);
    hk_snapshot_describe(&e->suspect, e->at_us, pool, &suspect);
    suspect.pid = (uint64_t)e->pid;
    suspect.transaction = facts.transaction = hk_inflight_transaction(&suspect, pool);
    facts.time_ns = e->at_us * 1000U;
    facts.vars = e->suspect.vars;
    facts.frames = frames;
    facts.frame_count = frame_count;
    place = hk_sentence_place(frames, frame_count);
    facts.message = message(e, &suspect, place, pool);
    if (e->process.n > 0)
        facts.transaction = e->process;
    if (e->worker > 0 || e->process.n > 0 || frame_count > 0) {
        facts.exception_type = tags[0].value;
        facts.exception_value = facts.message;
    }
    facts.level = hk_slice_of(hk_watch_level(e->kind));
    facts.mechanism = "uwsgi.watch";
    facts.signal = e->signal;
    facts.user = hk_inflight_user(e->suspect.user, e->suspect.vars, hk_settings.scrub.send_pii, pool);
    tags[1].key = hk_slice_of("uwsgi.process");
    tags[1].value = hk_slice_of(e->process_kind == NULL ? "" : e->process_kind);
    facts.tags = tags;
    facts.tag_count = e->process.n > 0 ? 2 : 1;
    contexts[0].key = hk_slice_of("uwsgi");
    contexts[0].value = context(e, values, &suspect, others, count, pool);
    facts.context_count += contexts[0].value.n > 0;
    hk_sys_event_id(span);
    contexts[facts.context_count].key = hk_slice_of("trace");
    contexts[facts.context_count].value = hk_inflight_trace(&suspect, hk_slice_make(span, 16), pool);
    facts.context_count += contexts[facts.context_count].value.n > 0;
    facts.contexts = contexts;
    if (handler.options.protocol == 3)
        facts.extra = extra(e, &suspect, others, count, pool, &facts.extra_count);
    hk_sentence_fingerprint(e->kind, facts.transaction, place, pool, fingerprint);
    facts.fingerprint = fingerprint;
    if (e->signal > 0) /* where a worker hangs in C differs from time to time */
        fingerprint[3] = hk_native_place(frames, frame_count);
    else
        fingerprint[3] = hk_slice_make("", 0);
    facts.fingerprint_count = fingerprint[3].n > 0 ? 4 : 3;
    hk_handler_report(&handler, &facts);
}

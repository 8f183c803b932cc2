#include "sentence.h"

#include "event.h"
#include "json.h"

#define MAX_REQUEST 200U /* code points; of the texts of a process's own, MAX_TEXT */
#define MAX_TEXT 300U

static void put_time(uint64_t ms, hk_buf *out)
{
    hk_buf_put_u64(out, ms < 1000 ? ms : ms / 1000);
    if (ms >= 1000 && ms < 10000) {
        hk_buf_putc(out, '.');
        hk_buf_put_u64(out, ms % 1000 / 100);
    }
    hk_buf_puts(out, ms < 1000 ? " ms" : " s");
}

static void put_signal(int number, hk_buf *out)
{
    const char *name = hk_event_signal_name(number);

    hk_buf_puts(out, *name == '\0' ? "signal " : name);
    if (*name == '\0')
        hk_buf_put_u64(out, number < 0 ? 0 : (uint64_t)number);
}

static void put_who(const hk_sentence *s, const char *before, hk_buf *out)
{
    hk_buf_puts(out, before);
    if (s->who.n > 0)
        hk_json_line(s->who, MAX_TEXT, out);
    else
        hk_buf_puts(out, "a process");
}

static void put_request(const hk_sentence *s, hk_buf *out)
{
    if (s->request.n > 0)
        hk_json_line(s->request, MAX_REQUEST, out);
    else
        hk_buf_puts(out, "a request that is not read yet");
}

/* " after 30 s in GET /x": how a request ended. */
static void put_end(const hk_sentence *s, hk_buf *out)
{
    if (!s->has_request)
        return;
    hk_buf_puts(out, " after ");
    if (s->limit_s > 0) {
        hk_buf_put_u64(out, s->limit_s);
        hk_buf_puts(out, " s");
    } else {
        put_time(s->age_ms, out);
    }
    hk_buf_puts(out, " in ");
    put_request(s, out);
}

/* " has been in GET /x for 30 s": one that lives on. */
static void put_life(const hk_sentence *s, hk_buf *out)
{
    hk_buf_puts(out, " has been in ");
    put_request(s, out);
    hk_buf_puts(out, " for ");
    put_time(s->age_ms, out);
}

static void put_doing(const hk_sentence *s, hk_buf *out)
{
    hk_slice doing = s->doing;

    /* What a socket speaks is told by the context. */
    if (doing.n > 5 && memcmp(doing.p + doing.n - 5, ", tcp", 5) == 0)
        doing.n -= 5;
    if (doing.n > 0) {
        hk_buf_puts(out, ": ");
        hk_json_line(doing, MAX_TEXT, out);
    }
}

static hk_slice base_name(hk_slice file)
{
    size_t at = file.n;

    while (at > 0 && file.p[at - 1] != '/')
        at--;
    return hk_slice_from(file, at);
}

static void put_place(const hk_sentence *s, hk_buf *out)
{
    if (s->place == NULL)
        return;
    hk_buf_puts(out, " at ");
    hk_json_line(s->place->function, MAX_REQUEST, out);
    hk_buf_puts(out, " (");
    hk_json_line(base_name(s->place->file), MAX_REQUEST, out);
    if (s->place->line > 0) {
        hk_buf_putc(out, ':');
        hk_buf_put_u64(out, s->place->line);
    }
    hk_buf_putc(out, ')');
}

/* "uWSGI's spooler 1 (/tasks), task x," */
static void put_owner(const hk_sentence *s, hk_buf *out)
{
    hk_buf_puts(out, s->server);
    put_who(s, "'s ", out);
    if (s->words.n > 0) {
        hk_buf_puts(out, ", ");
        hk_json_line(s->words, MAX_TEXT, out);
        hk_buf_putc(out, ',');
    }
}

static void put_death(const hk_sentence *s, hk_buf *out)
{
    if (s->kind == HK_WATCH_OOM) {
        hk_buf_puts(out, "The kernel killed ");
        put_owner(s, out);
        hk_buf_puts(out, " for want of memory");
        return;
    }
    put_owner(s, out);
    if (s->kind == HK_WATCH_EXIT) {
        hk_buf_puts(out, s->status < 0 ? " ended" : " exited with status ");
        if (s->status >= 0)
            hk_buf_put_u64(out, (uint64_t)s->status);
    } else {
        hk_buf_puts(out, s->kind == HK_WATCH_KILLED ? " was killed by " : " died of ");
        put_signal(s->signal, out);
    }
}

/* The server ends it: for its time, or for its memory. */
static void put_kill(const hk_sentence *s, const char *verb, hk_buf *out)
{
    hk_buf_puts(out, s->server);
    put_who(s, verb, out);
    if (s->kind == HK_WATCH_MEMORY)
        hk_buf_puts(out, " for its memory");
    if (s->words.n > 0) {
        hk_buf_puts(out, ", ");
        hk_json_line(s->words, MAX_TEXT, out);
        hk_buf_putc(out, ',');
    }
}

void hk_sentence_put(const hk_sentence *s, hk_buf *out)
{
    switch (s->kind) {
    case HK_WATCH_HARAKIRI:
        put_kill(s, " killed ", out);
        put_end(s, out);
        break;
    case HK_WATCH_MEMORY:
        put_kill(s, " ended ", out);
        put_end(s, out);
        break;
    case HK_WATCH_LISTEN_QUEUE:
        hk_buf_puts(out, s->server);
        hk_buf_puts(out, ": ");
        hk_json_line(s->words, MAX_TEXT, out);
        if (s->has_request) {
            put_who(s, "; ", out);
            put_life(s, out);
        }
        break;
    case HK_WATCH_STORM:
        hk_buf_puts(out, s->server);
        hk_buf_puts(out, ": ");
        hk_json_line(s->words, MAX_TEXT, out);
        break;
    case HK_WATCH_SLOW:
        put_owner(s, out);
        put_life(s, out);
        break;
    default:
        put_death(s, out);
        put_end(s, out);
    }
    put_doing(s, out);
    put_place(s, out);
}

const hk_frame *hk_sentence_place(const hk_frame *frames, size_t count)
{
    size_t i;

    while (count > 0 && frames[count - 1].is_native)
        count--;
    for (i = count; i > 0 && !frames[i - 1].in_app; i--)
        ;
    return count == 0 ? NULL : &frames[i > 0 ? i - 1 : count - 1];
}

void hk_sentence_fingerprint(hk_watch_kind kind, hk_slice transaction, const hk_frame *place, hk_pool *pool, hk_slice out[3])
{
    hk_buf b;

    out[0] = hk_slice_of(hk_watch_name(kind));
    out[1] = transaction.n > 0 ? transaction : hk_slice_of("-");
    out[2] = hk_slice_of("-");
    if (place == NULL)
        return;
    hk_buf_init(&b, 8192);
    hk_buf_slice_put(&b, place->function);
    hk_buf_puts(&b, " in ");
    hk_buf_slice_put(&b, base_name(place->file));
    out[2] = hk_buf_ok(&b) ? hk_pool_keep(pool, hk_buf_slice(&b)) : out[2];
    hk_buf_free(&b);
}

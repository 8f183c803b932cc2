/* reply.c: how a try ends. */
#include "sender_state.h"

double hk_reply_now_s(void)
{
    return (double)hk_sys_now_ns() / 1e9;
}

double hk_reply_age_s(const hk_queue_entry *e)
{
    return hk_reply_now_s() - (double)e->time_ns / 1e9;
}

static int before(const hk_queue_entry *a, const hk_queue_entry *b)
{
    if (a->time_ns != b->time_ns)
        return a->time_ns < b->time_ns;
    if (a->pid != b->pid)
        return a->pid < b->pid;
    return memcmp(a->id, b->id, sizeof a->id) < 0;
}

/* The entry that a request under way was begun for: a listing may have moved it. */
static hk_queue_entry *find(hk_sender *s, const hk_queue_entry *want)
{
    size_t low = 0, high = s->queue.count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (before(&s->queue.entries[mid], want))
            low = mid + 1;
        else
            high = mid;
    }
    return low < s->queue.count && !before(want, &s->queue.entries[low]) ? &s->queue.entries[low] : NULL;
}

void hk_reply_hold(hk_sender *s, const hk_queue_entry *e)
{
    hk_target *t = &s->targets.list[e->target];
    size_t at = (size_t)(e - s->queue.entries);

    if (t->from >= t->until) {
        t->from = at;
        t->until = at + 1;
    }
    if (at < t->from)
        t->from = at;
    if (at >= t->until)
        t->until = at + 1;
}

void hk_reply_finish(hk_sender *s, const char *name, const hk_queue_entry *entry, uint64_t size, hk_count counter,
                      const char *why)
{
    int removed = hk_queue_remove(s->spool, name, counter, size, why);
    hk_queue_entry *e = find(s, entry);

    if (e == NULL)
        return;
    /* One that could not be removed is removed later, and not sent again. */
    e->gone = (uint8_t)(removed >= 0 ? HK_QUEUE_GONE : (unsigned)counter | (why != NULL ? HK_QUEUE_DEAD : 0));
    if (removed < 0)
        s->again = 1;
}

void hk_reply_free_flight(hk_flight *f)
{
    if (f == NULL)
        return;
    hk_wire_free(&f->wire);
    hk_buf_release(f);
}

hk_count hk_reply_counter(hk_policy_reason reason)
{
    return reason == HK_REASON_RATELIMIT ? HK_COUNT_RATELIMIT_BACKOFF
        : reason == HK_REASON_NETWORK ? HK_COUNT_NETWORK_ERROR : HK_COUNT_SEND_ERROR;
}

void hk_reply_discard(hk_sender *s, unsigned target, hk_policy_reason reason)
{
    if (target != 0 && reason != HK_REASON_NONE)
        s->targets.list[target].discards[reason - HK_REASON_RATELIMIT]++;
}

/* Whether an event's own word on certificates or proxy counts. "None" is not the last word: its server may have been
 * told of them since. So where nobody answers, the sender's own are tried, by turns. */
static int is_used(const hk_flight *f, int has, const hk_buf *word)
{
    return has && (word->len > 0 || !f->sender->targets.list[f->target].own_way);
}

int hk_reply_fill_request(hk_flight *f)
{
    f->request.url = hk_buf_text(&f->wire.url);
    f->request.auth = hk_buf_text(&f->wire.auth);
    f->request.content_type = f->wire.content_type;
    f->request.body = hk_buf_slice(&f->wire.body);
    f->request.no_verify = f->wire.no_verify;
    f->request.ca = is_used(f, f->wire.has_ca, &f->wire.ca) ? hk_buf_text(&f->wire.ca) : NULL;
    f->request.proxy = is_used(f, f->wire.has_proxy, &f->wire.proxy) ? hk_buf_text(&f->wire.proxy) : NULL;
    f->request.tag = f;
    return f->request.url == NULL || f->request.auth == NULL || !hk_buf_ok(&f->wire.ca) || !hk_buf_ok(&f->wire.proxy)
        ? -1 : 0;
}

static void pause_target(hk_sender *s, hk_target *t, const hk_reply_in *r)
{
    double now = hk_reply_now_s();
    hk_policy_pause p = hk_policy_limits(r->status, r->rate_limits, r->retry_after, now);

    if (p.all_s > 0 && now + p.all_s > t->all_until_s) {
        t->all_until_s = now + p.all_s;
        s->targets.dirty = 1;
    }
    if (p.error_s > 0 && now + p.error_s > t->error_until_s) {
        t->error_until_s = now + p.error_s;
        s->targets.dirty = 1;
    }
}

/* A target for the log: scheme, host and project. Its key is left out: who has it can send events. */
static int name_start(const hk_target *t)
{
    const char *found = strstr(t->key, "://");

    return found == NULL ? 0 : (int)(found - t->key) + 3;
}

static const char *name_rest(const hk_target *t)
{
    const char *found = strchr(t->key, '@');

    return found == NULL ? "" : found + 1;
}

static void log_failure(hk_sender *s, const hk_target *t, const hk_reply_in *r)
{
    if (r->status == 0)
        hk_sys_log_sparingly(&s->logged_failure_ms, "[sentry] %.*s%s: %s; events wait in %s and are tried again",
                             name_start(t), t->key, name_rest(t), r->error, s->spool->path);
    else
        hk_sys_log_sparingly(&s->logged_failure_ms, "[sentry] %.*s%s: HTTP status %d; events wait in %s and are tried again",
                             name_start(t), t->key, name_rest(t), r->status, s->spool->path);
}

/* One step a round, however many connections failed in it. */
static void step_back(hk_sender *s, hk_target *t, const hk_flight *f, const hk_reply_in *r)
{
    if (f->round != t->round)
        return;
    t->round++;
    t->step++;
    t->own_way = !t->own_way;
    t->wait_until_ms = hk_sys_monotonic_ms() + (uint64_t)(hk_policy_backoff(t->step, hk_sys_jitter()) * 1000);
    log_failure(s, t, r);
}

static int follow(hk_sender *s, hk_flight *f, hk_buf *target)
{
    hk_buf old = f->wire.url;

    f->wire.url = *target;
    *target = old;
    f->hops++;
    return hk_reply_fill_request(f) < 0 ? -1 : s->transport.start(s->transport.ctx, &f->request);
}

static void settle(hk_sender *s, hk_flight *f, const hk_policy_verdict *v, const hk_reply_in *r, hk_slice said)
{
    const hk_target *t = &s->targets.list[f->target];
    hk_queue_entry *e;
    hk_buf why;

    if (v->action == HK_DELIVERED) {
        hk_reply_finish(s, f->name, &f->entry, f->size, HK_COUNT_DELIVERED, NULL);
    } else if (v->action == HK_DISCARD) {
        hk_buf_init(&why, 4096);
        hk_buf_put(&why, t->key, (size_t)name_start(t));
        hk_buf_puts(&why, name_rest(t));
        hk_buf_puts(&why, ": ");
        hk_buf_slice_put(&why, said);
        hk_reply_finish(s, f->name, &f->entry, f->size, hk_reply_counter(v->reason),
                        !v->dead ? NULL : hk_buf_text(&why) == NULL ? "" : hk_buf_text(&why));
        hk_buf_free(&why);
        hk_reply_discard(s, f->target, v->reason);
        if (v->reason == HK_REASON_SEND)
            hk_sys_log_sparingly(&s->logged_refusal_ms,
                                 "[sentry] %.*s%s refused an event: HTTP status %d; a copy is in %s/dead", name_start(t), t->key,
                                 name_rest(t), r->status,
                                 s->spool->path);
    } else if ((e = find(s, &f->entry)) != NULL) {
        e->busy = 0;
        hk_reply_hold(s, e);
    }
}

void hk_reply_handle(void *ctx, const hk_reply_in *r)
{
    hk_flight *f = r->tag;
    hk_sender *s = f->sender;
    hk_target *t = &s->targets.list[f->target];
    hk_policy_verdict v;
    hk_buf target, said;

    (void)ctx;
    hk_buf_init(&target, 16384);
    hk_buf_init(&said, 4096);
    v = hk_policy_reply(r->status, r->location, hk_buf_slice(&f->wire.url), f->hops,
                        f->report ? 0 : hk_reply_age_s(&f->entry), s->discard_limited, &target);
    if (f->debug)
        hk_sys_log("[sentry] debug: event %.32s to %s: %s %d", f->name + strlen(f->name) - 36,
                   f->wire.udp ? "udp" : f->request.url, r->status == 0 ? r->error : "HTTP status", r->status);
    pause_target(s, t, r);
    if (v.action == HK_FOLLOW) {
        if (hk_buf_ok(&target) && follow(s, f, &target) == 0)
            goto out;
        v.action = HK_RETRY; /* memory: the event stays */
    }
    if (v.action == HK_RETRY || (v.action == HK_DISCARD && v.reason == HK_REASON_NETWORK)) {
        step_back(s, t, f, r);
    } else if (t->step > 0) {
        t->step = 0; /* any reply ends a backoff */
        t->wait_until_ms = 0;
    }
    t->under_way--;
    s->under_way--;
    if (!f->report) {
        if (v.action != HK_DELIVERED)
            hk_policy_words(r->status, r->detail, r->error, &said);
        hk_servers_answered(&s->targets, f->target, hk_reply_now_s(), hk_buf_slice(&said));
        settle(s, f, &v, r, hk_buf_slice(&said));
    }
    hk_reply_free_flight(f);
out:
    hk_buf_free(&said);
    hk_buf_free(&target);
}

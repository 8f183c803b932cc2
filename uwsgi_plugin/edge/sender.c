#include "sender.h"

#include "../core/policy.h"
#include "../core/wire.h"
#include "sys.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOCK_EVERY_MS 1000U
#define HOUSE_EVERY_MS 10000U /* folds, sweeps, drift */
#define REPORT_EVERY_MS 60000U

typedef struct flight {
    hk_sender *sender;
    hk_queue_entry entry;
    char name[HK_QUEUE_NAME];
    unsigned target;
    uint64_t round;
    uint64_t size;
    int hops;
    int debug;
    int report; /* a client report: its reply only sets pauses */
    hk_request_out request;
    hk_wire wire;
} flight;

struct hk_sender {
    hk_spool *spool;
    hk_transport transport;
    hk_sender_options options;
    hk_targets targets;
    hk_queue queue;
    int lock_fd;
    uint64_t next_lock_ms;
    uint64_t next_house_ms;
    uint64_t next_report_ms;
    uint64_t logged_failure_ms;
    uint64_t logged_refusal_ms;
    uint64_t told[HK_LEDGER_SLOTS]; /* discards by others that were reported */
    int told_known;
    unsigned last_target; /* the one sent to most recently */
    unsigned under_way;
    size_t cursor; /* entries before it cannot begin in this pass */
};

hk_sender *hk_sender_new(hk_spool *spool, const hk_transport *transport, const hk_sender_options *options)
{
    hk_sender *s = hk_buf_alloc(sizeof *s);

    if (s == NULL)
        return NULL;
    s->spool = spool;
    s->transport = *transport;
    s->options = *options;
    s->lock_fd = -1;
    hk_queue_init(&s->queue);
    if (hk_targets_init(&s->targets) != HK_OK) {
        hk_sender_free(s);
        return NULL;
    }
    return s;
}

void hk_sender_free(hk_sender *s)
{
    if (s == NULL)
        return;
    if (s->targets.dirty && s->lock_fd >= 0)
        (void)hk_targets_save(&s->targets, s->spool->state_fd, (double)hk_sys_now_ns() / 1e9);
    hk_queue_free(&s->queue);
    hk_targets_free(&s->targets);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    hk_buf_release(s);
}

unsigned hk_sender_under_way(const hk_sender *s)
{
    return s->under_way;
}

int hk_sender_has_lock(const hk_sender *s)
{
    return s->lock_fd >= 0;
}

static double now_s(void)
{
    return (double)hk_sys_now_ns() / 1e9;
}

static double age_s(const hk_queue_entry *e)
{
    return now_s() - (double)e->time_ns / 1e9;
}

static hk_queue_entry *find(hk_sender *s, const hk_queue_entry *want)
{
    size_t low = 0, high = s->queue.count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        hk_queue_entry *e = &s->queue.entries[mid];
        if (e->time_ns < want->time_ns || (e->time_ns == want->time_ns
            && (e->pid < want->pid || (e->pid == want->pid && memcmp(e->id, want->id, 16) < 0))))
            low = mid + 1;
        else
            high = mid;
    }
    if (low < s->queue.count && s->queue.entries[low].time_ns == want->time_ns
        && s->queue.entries[low].pid == want->pid && memcmp(s->queue.entries[low].id, want->id, 16) == 0)
        return &s->queue.entries[low];
    return NULL;
}

static void finish(hk_sender *s, const char *name, const hk_queue_entry *entry, uint64_t size, hk_count counter, int dead)
{
    hk_queue_entry *e = find(s, entry);

    (void)hk_queue_remove(s->spool, name, counter, size, dead);
    if (e != NULL)
        e->gone = 1;
}

static void free_flight(flight *f)
{
    if (f == NULL)
        return;
    hk_wire_free(&f->wire);
    hk_buf_release(f);
}

static hk_count counter_of(hk_policy_reason reason)
{
    return reason == HK_REASON_RATELIMIT ? HK_COUNT_RATELIMIT_BACKOFF
        : reason == HK_REASON_NETWORK ? HK_COUNT_NETWORK_ERROR : HK_COUNT_SEND_ERROR;
}

static void discard(hk_sender *s, unsigned target, hk_policy_reason reason)
{
    if (target != 0)
        s->targets.list[target].discards[reason - HK_REASON_RATELIMIT]++;
}

/* ---- what a reply does ---- */

static void pause_target(hk_sender *s, hk_target *t, const hk_reply_in *r)
{
    double now = now_s();
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

static void step_back(hk_sender *s, hk_target *t, const flight *f, const hk_reply_in *r)
{
    if (f->round != t->round)
        return; /* one step a round, however many connections failed in it */
    t->round++;
    t->step++;
    t->wait_until_ms = hk_sys_monotonic_ms() + (uint64_t)(hk_policy_backoff(t->step, hk_sys_jitter()) * 1000);
    hk_sys_log_sparingly(&s->logged_failure_ms, "[sentry] %s: %s%.0d; events wait in %s and are tried again", t->key,
                         r->status == 0 ? r->error : "HTTP status ", r->status, s->spool->path);
}

static int again(hk_sender *s, flight *f, hk_buf *target)
{
    hk_buf old = f->wire.url;

    f->wire.url = *target;
    *target = old;
    f->hops++;
    f->request.url = hk_buf_text(&f->wire.url);
    return f->request.url == NULL ? -1 : s->transport.start(s->transport.ctx, &f->request);
}

static void on_reply(void *ctx, const hk_reply_in *r)
{
    flight *f = r->tag;
    hk_sender *s = f->sender;
    hk_target *t = &s->targets.list[f->target];
    hk_queue_entry *e;
    hk_policy_verdict v;
    hk_buf target;

    (void)ctx;
    hk_buf_init(&target, 16384);
    v = hk_policy_reply(r->status, r->location, hk_buf_slice(&f->wire.url), f->hops, f->report ? 0 : age_s(&f->entry),
                        s->options.discard_limited, &target);
    if (f->debug)
        hk_sys_log("[sentry] debug: event %.32s to %s: %s %d", f->name + strlen(f->name) - 36, t->key,
                   r->status == 0 ? r->error : "HTTP status", r->status);
    pause_target(s, t, r);
    if (v.action == HK_FOLLOW && hk_buf_ok(&target) && again(s, f, &target) == 0) {
        hk_buf_free(&target);
        return;
    }
    if (r->status != 0 && v.action != HK_RETRY) {
        t->step = 0; /* any reply ends a backoff */
        t->wait_until_ms = 0;
    }
    if (v.action == HK_RETRY || (v.action == HK_DISCARD && v.reason == HK_REASON_NETWORK))
        step_back(s, t, f, r);
    t->under_way--;
    s->under_way--;
    if (!f->report) {
        if (v.action == HK_DELIVERED) {
            finish(s, f->name, &f->entry, f->size, HK_COUNT_DELIVERED, 0);
        } else if (v.action == HK_DISCARD) {
            finish(s, f->name, &f->entry, f->size, counter_of(v.reason), v.dead);
            discard(s, f->target, v.reason);
            if (v.reason == HK_REASON_SEND)
                hk_sys_log_sparingly(&s->logged_refusal_ms,
                                     "[sentry] %s refused an event: HTTP status %d; a copy is in %s/dead", t->key,
                                     r->status, s->spool->path);
        } else if ((e = find(s, &f->entry)) != NULL) {
            e->busy = 0;
        }
    }
    s->cursor = 0;
    hk_buf_free(&target);
    free_flight(f);
}

/* ---- beginning ---- */

static void bury_unreadable(hk_sender *s, const hk_queue_entry *e, const char *name, uint64_t size, const char *why)
{
    hk_sys_log_sparingly(&s->logged_refusal_ms, "[sentry] spool %s: %s cannot be read (%s); it is in dead/", s->spool->path,
                         name, why);
    finish(s, name, e, size, HK_COUNT_INTERNAL_SDK_ERROR, 1);
}

static void send_datagram(hk_sender *s, flight *f, const hk_dsn *dsn)
{
    hk_reply_in reply;
    hk_buf host;
    int rc;

    hk_buf_init(&host, 512);
    hk_buf_slice_put(&host, dsn->host);
    rc = hk_buf_text(&host) == NULL ? -1
        : s->transport.datagram(s->transport.ctx, host.data, hk_dsn_port(dsn), hk_buf_slice(&f->wire.body));
    hk_buf_free(&host);
    memset(&reply, 0, sizeof reply);
    reply.status = rc == 0 ? HK_POLICY_SENT : rc == -2 ? HK_POLICY_TOO_LARGE : HK_POLICY_NO_REPLY;
    reply.error = "the datagram could not be sent";
    reply.tag = f;
    on_reply(s, &reply);
}

/* Read the file of e and begin its delivery if its target allows. 1: begun or
 * finished; 0: not now. */
static int begin(hk_sender *s, hk_queue_entry *e, int (*blocked)(hk_sender *, hk_queue_entry *))
{
    hk_envelope envelope;
    const char *why = "";
    flight *f;
    hk_buf file;
    hk_status rc;
    int begun = 1;

    memset(&envelope, 0, sizeof envelope);
    f = hk_buf_alloc(sizeof *f);
    if (f == NULL)
        return 0;
    f->sender = s;
    f->entry = *e;
    hk_queue_name(e, f->name);
    hk_buf_init(&file, HK_ENVELOPE_MAX_BYTES + 1);
    rc = hk_queue_read(s->spool->new_fd, f->name, &file);
    f->size = file.len;
    if (rc == HK_ERR_SYSTEM) {
        e->gone = 1; /* vanished: somebody else delivered it */
        goto out;
    }
    if (rc == HK_OK)
        rc = hk_envelope_read(hk_buf_slice(&file), &envelope, &why);
    if (rc == HK_ERR_MEMORY) {
        begun = 0;
        goto out;
    }
    if (rc != HK_OK) {
        bury_unreadable(s, &f->entry, f->name, f->size, rc == HK_ERR_LIMIT ? "too large" : why);
        goto out;
    }
    e->target = (uint16_t)hk_targets_find(&s->targets, &envelope.dsn);
    if (e->target == 0 || blocked(s, e)) {
        begun = 0;
        goto out;
    }
    if (hk_wire_build(&envelope, hk_sys_now_ns(), &f->wire) != HK_OK) {
        begun = 0;
        goto out;
    }
    f->target = e->target;
    f->round = s->targets.list[f->target].round;
    f->debug = envelope.hk.debug;
    f->request.url = hk_buf_text(&f->wire.url);
    f->request.auth = hk_buf_text(&f->wire.auth);
    f->request.content_type = f->wire.content_type;
    f->request.body = hk_buf_slice(&f->wire.body);
    f->request.no_verify = envelope.hk.no_verify;
    f->request.timeout_s = envelope.hk.timeout_s;
    f->request.tag = f;
    if (f->debug)
        hk_sys_log("[sentry] debug: event %s: %llu bytes to %s (key and secret not shown)", envelope.event_id,
                   (unsigned long long)f->request.body.n, f->wire.udp ? "udp" : f->request.url);
    e->busy = 1;
    s->last_target = f->target;
    s->targets.list[f->target].under_way++;
    if (!f->wire.udp && !envelope.raven && !envelope.hk.store)
        s->targets.list[f->target].reportable = 1;
    s->under_way++;
    if (f->wire.udp) {
        send_datagram(s, f, &envelope.dsn);
        f = NULL;
    } else if (f->request.url == NULL || f->request.auth == NULL
               || s->transport.start(s->transport.ctx, &f->request) < 0) {
        s->under_way--;
        s->targets.list[f->target].under_way--;
        e->busy = 0;
        begun = 0;
    } else {
        f = NULL;
    }
out:
    hk_envelope_free(&envelope);
    hk_buf_free(&file);
    free_flight(f);
    return begun;
}

/* Whether the target of e takes nothing now. What waits too long ends here. */
static int blocked(hk_sender *s, hk_queue_entry *e)
{
    hk_target *t = &s->targets.list[e->target];
    double now = now_s();
    int limited = t->all_until_s > now || t->error_until_s > now;
    int backing_off = t->step > 0 && (t->under_way > 0 || hk_sys_monotonic_ms() < t->wait_until_ms);
    char name[HK_QUEUE_NAME];
    hk_policy_reason reason;
    hk_queue_entry copy = *e;
    hk_buf file;

    if (!limited && !backing_off)
        return 0;
    if (age_s(e) > HK_POLICY_MAX_AGE_S || (limited && s->options.discard_limited)) {
        reason = limited ? HK_REASON_RATELIMIT : HK_REASON_NETWORK;
        hk_queue_name(e, name);
        hk_buf_init(&file, HK_ENVELOPE_MAX_BYTES + 1);
        if (hk_queue_read(s->spool->new_fd, name, &file) == HK_OK) {
            finish(s, name, &copy, file.len, counter_of(reason), 0);
            discard(s, copy.target, reason);
        }
        hk_buf_free(&file);
        e->gone = 1;
    }
    return 1;
}

static void begin_what_may(hk_sender *s)
{
    for (; s->cursor < s->queue.count && s->under_way < s->options.connections; s->cursor++) {
        hk_queue_entry *e = &s->queue.entries[s->cursor];
        if (e->gone || e->busy)
            continue;
        if (e->target != 0 && blocked(s, e))
            continue;
        (void)begin(s, e, blocked);
    }
}

/* ---- client reports ---- */

static void report(hk_sender *s, unsigned number, const hk_wire_discard *discards, size_t n)
{
    hk_target *t = &s->targets.list[number];
    flight *f = NULL;
    hk_dsn dsn;

    if (n == 0 || s->under_way >= s->options.connections || t->dsn == NULL
        || hk_dsn_parse(hk_slice_of(t->dsn), &dsn, NULL) != HK_OK)
        return;
    f = hk_buf_alloc(sizeof *f);
    if (f == NULL)
        return;
    f->sender = s;
    f->report = 1;
    f->target = number;
    f->round = t->round;
    if (hk_wire_build_report(&dsn, discards, n, hk_sys_now_ns(), &f->wire) != HK_OK)
        goto bad;
    f->request.url = hk_buf_text(&f->wire.url);
    f->request.auth = hk_buf_text(&f->wire.auth);
    f->request.content_type = f->wire.content_type;
    f->request.body = hk_buf_slice(&f->wire.body);
    f->request.tag = f;
    if (f->request.url == NULL || f->request.auth == NULL || s->transport.start(s->transport.ctx, &f->request) < 0)
        goto bad;
    t->under_way++;
    s->under_way++;
    return;
bad:
    free_flight(f);
}

/* What this sender discarded goes to the DSN it was for; what capturing
 * processes discarded before any DSN was looked at, to the most recent one. */
static void send_reports(hk_sender *s)
{
    static const char *const own[HK_TARGETS_REASONS] = { "ratelimit_backoff", "network_error", "send_error" };
    hk_wire_discard list[HK_COUNT_DISCARDED_LAST + 1];
    uint64_t counts[HK_LEDGER_SLOTS];
    int known = hk_ledger_sum(s->spool->ledger_fd, counts) == HK_OK;
    unsigned i, k;
    size_t n;

    for (i = 1; i < s->targets.count; i++) {
        hk_target *t = &s->targets.list[i];
        if (!t->reportable || t->step > 0 || t->all_until_s > now_s())
            continue;
        n = 0;
        for (k = 0; k < HK_TARGETS_REASONS; k++)
            if (t->discards[k] > 0) {
                list[n].reason = own[k];
                list[n++].quantity = t->discards[k];
                t->discards[k] = 0;
            }
        if (i == s->last_target && known && s->told_known)
            for (k = HK_COUNT_DISCARDED_FIRST; k <= HK_COUNT_DISCARDED_LAST; k++) {
                if (k == HK_COUNT_RATELIMIT_BACKOFF || k == HK_COUNT_NETWORK_ERROR || k == HK_COUNT_SEND_ERROR
                    || counts[k] <= s->told[k])
                    continue;
                list[n].reason = strchr(hk_ledger_name((hk_count)k), '.') + 1;
                list[n++].quantity = counts[k] - s->told[k];
                s->told[k] = counts[k];
            }
        report(s, i, list, n);
    }
    if (known && !s->told_known) {
        memcpy(s->told, counts, sizeof s->told); /* what was discarded before our time was told then, or never */
        s->told_known = 1;
    }
}

/* ---- the turn ---- */

/* The ledgers' level drifts when processes are killed: set it right while nothing is under way. */
static void correct_drift(hk_sender *s)
{
    uint64_t counts[HK_LEDGER_SLOTS], before, actual = 0;
    size_t i;

    if (s->under_way > 0 || hk_ledger_sum(s->spool->ledger_fd, counts) != HK_OK
        || hk_queue_refresh(&s->queue, s->spool->new_fd, hk_sys_monotonic_ms(), 1) != 1)
        return;
    for (i = 0; i < s->queue.count; i++)
        actual += !s->queue.entries[i].gone;
    before = counts[HK_COUNT_SPOOLED_COUNT] - counts[HK_COUNT_REMOVED_COUNT];
    if (actual == 0 && before != 0 && before >> 63 == 0 && before < 1000000) {
        /* Only an empty spool is certain: writers count after the rename. */
        uint64_t bytes = counts[HK_COUNT_SPOOLED_BYTES] - counts[HK_COUNT_REMOVED_BYTES];
        (void)bytes;
    }
}

static void keep_house(hk_sender *s)
{
    hk_queue_sweep(s->spool, hk_sys_now_ns());
    (void)hk_ledger_fold(s->spool->ledger_fd);
    correct_drift(s);
}

static int have_lock(hk_sender *s, uint64_t now)
{
    if (s->lock_fd >= 0)
        return 1;
    if (now < s->next_lock_ms)
        return 0;
    s->next_lock_ms = now + LOCK_EVERY_MS;
    s->lock_fd = hk_targets_lock(s->spool->state_fd);
    if (s->lock_fd < 0)
        return 0;
    hk_targets_load(&s->targets, s->spool->state_fd, now_s());
    s->next_house_ms = now;
    s->next_report_ms = now;
    return 1;
}

void hk_sender_drain(hk_sender *s, int wait_ms)
{
    s->transport.run(s->transport.ctx, wait_ms, on_reply, s);
    if (s->targets.dirty && s->lock_fd >= 0)
        (void)hk_targets_save(&s->targets, s->spool->state_fd, now_s());
}

void hk_sender_turn(hk_sender *s, int wait_ms)
{
    uint64_t now = hk_sys_monotonic_ms();

    if (!have_lock(s, now)) {
        hk_sender_drain(s, wait_ms);
        return;
    }
    if (now >= s->next_house_ms) {
        s->next_house_ms = now + HOUSE_EVERY_MS;
        keep_house(s);
    }
    if (s->options.client_reports && now >= s->next_report_ms) {
        s->next_report_ms = now + REPORT_EVERY_MS;
        send_reports(s);
    }
    if (hk_queue_refresh(&s->queue, s->spool->new_fd, now, 0) < 0)
        (void)hk_spool_renew(s->spool);
    s->cursor = 0;
    begin_what_may(s);
    hk_sender_drain(s, wait_ms);
    begin_what_may(s);
}

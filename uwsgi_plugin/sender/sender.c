/* sender.c: one turn after another: look into new/, begin what may begin. */
#include "sender.h"

#include "sender_state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOKS 64U /* files that are read in one turn, about a millisecond: replies must not wait for 100,000 */
#define AGAIN_EVERY_MS 1000U
#define HOUSE_EVERY_MS 60000U
#define REPORT_EVERY_MS 60000U
#define SERVERS_EVERY_MS 2000U

hk_sender *hk_sender_new(hk_spool *spool, const hk_transport *transport, const hk_sender_options *options)
{
    hk_sender *s = hk_buf_alloc(sizeof *s);

    if (s == NULL)
        return NULL;
    s->spool = spool;
    s->transport = *transport;
    s->connections = options->connections;
    s->discard_limited = options->discard_limited;
    s->client_reports = options->client_reports;
    s->share = options->connections * 3 / 4 > 0 ? options->connections * 3 / 4 : 1;
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
        (void)hk_targets_save(&s->targets, s->spool->state_fd, hk_reply_now_s());
    if (s->lock_fd >= 0)
        hk_servers_save(&s->targets, s->spool->state_fd, hk_reply_now_s(), hk_sys_monotonic_ms());
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

void hk_sender_last_report(hk_sender *s)
{
    if (s->client_reports && s->lock_fd >= 0)
        hk_housekeeping_report(s);
}

int hk_sender_has_lock(const hk_sender *s)
{
    return s->lock_fd >= 0;
}

static int is_limited(const hk_target *t)
{
    double now = hk_reply_now_s();

    return t->all_until_s > now || t->error_until_s > now;
}

/* The file is read and its target takes events: off it goes. 1: begun or ended; 0: not now. */
static int launch(hk_sender *s, hk_queue_entry *e, hk_flight *f, const hk_envelope *envelope)
{
    hk_target *t = &s->targets.list[e->target];

    f->target = e->target;
    if (hk_wire_build(envelope, hk_sys_now_ns(), &f->wire) != HK_OK)
        goto not_now;
    if (f->wire.udp) {
        hk_buf_clear(&f->wire.url);
        hk_buf_slice_put(&f->wire.url, envelope->dsn.host);
        f->request.udp_port = hk_dsn_port(&envelope->dsn);
    }
    if (hk_reply_fill_request(f) < 0)
        goto not_now;
    f->round = t->round;
    f->debug = envelope->hk.debug;
    f->request.timeout_s = envelope->hk.timeout_s;
    if (f->debug)
        hk_sys_log("[sentry] debug: event %s: %llu bytes to %s%s, key and secret masked", envelope->event_id,
                   (unsigned long long)f->request.body.n, f->wire.udp ? "udp" : f->request.url,
                   f->request.no_verify ? " (certificate not verified)" : "");
    if (s->transport.start(s->transport.ctx, &f->request) < 0)
        goto not_now;
    e->busy = 1;
    s->last_target = f->target;
    t->under_way++;
    s->under_way++;
    if (!f->wire.udp && !envelope->raven && !envelope->hk.store)
        hk_targets_reach(t, &envelope->hk);
    return 1;
not_now:
    hk_reply_free_flight(f);
    return 0;
}

/* Whether a target takes nothing now. */
static int closed(const hk_sender *s, const hk_target *t)
{
    return is_limited(t) || t->under_way >= s->share
        || (t->step > 0 && (t->under_way > 0 || hk_sys_monotonic_ms() < t->wait_until_ms));
}

/* The disk says that it is gone; the next listing tells whether it is. */
static void let_go(hk_sender *s, hk_queue_entry *e)
{
    e->gone = HK_QUEUE_GONE;
    s->queue.listed = 0;
}

/* Read the file of e and begin its delivery if its target allows. 0: it cannot be read, or memory is short: try later. */
static int begin(hk_sender *s, hk_queue_entry *e)
{
    hk_envelope envelope;
    const char *why = "too large";
    hk_flight *f = hk_buf_alloc(sizeof *f);
    hk_status rc;
    hk_buf file;
    int done = 1;

    memset(&envelope, 0, sizeof envelope);
    hk_buf_init(&file, HK_ENVELOPE_MAX_BYTES + 1);
    if (f == NULL)
        return 0;
    f->sender = s;
    f->entry = *e;
    hk_queue_name(e, f->name);
    rc = hk_queue_read(s->spool->new_fd, f->name, &file);
    f->size = file.len;
    if (rc == HK_ERR_SYSTEM) {
        int why_not = errno;
        struct stat st;
        /* A disk in trouble says of what it has listed that it is not there. */
        done = why_not == ENOENT && fstatat(s->spool->new_fd, f->name, &st, AT_SYMLINK_NOFOLLOW) < 0;
        if (done) {
            let_go(s, e); /* somebody else delivered it */
        } else {
            hk_sys_log_sparingly(&s->logged_unread_ms, "[sentry] spool %s: %s cannot be read, and waits: %s",
                                 s->spool->path, f->name, strerror(why_not));
            e->target = 0; /* not in the way of the others of its target */
            s->again = 1;
        }
        goto out;
    }
    if (rc == HK_OK)
        rc = hk_envelope_read(hk_buf_slice(&file), &envelope, &why);
    if (rc == HK_ERR_SYNTAX || rc == HK_ERR_LIMIT) {
        hk_sys_log_sparingly(&s->logged_refusal_ms, "[sentry] spool %s: %s cannot be read (%s); it is in dead/",
                             s->spool->path, f->name, why);
        hk_reply_finish(s, f->name, &f->entry, f->size, HK_COUNT_INTERNAL_SDK_ERROR, why);
        goto out;
    }
    if (rc == HK_OK && e->target == 0 && (e->target = (uint16_t)hk_targets_find(&s->targets, &envelope.dsn)) != 0)
        hk_reply_hold(s, e);
    done = rc == HK_OK && e->target != 0;
    if (done && !closed(s, &s->targets.list[e->target])) {
        done = launch(s, e, f, &envelope);
        f = NULL;
    }
out:
    hk_envelope_free(&envelope);
    if (file.data != NULL)
        hk_buf_wipe(file.data, file.len < 2048 ? file.len : 2048);
    hk_buf_free(&file);
    hk_reply_free_flight(f);
    return done;
}

/* The oldest that waits for this target; NULL: none that was read. */
static hk_queue_entry *oldest_of(hk_sender *s, unsigned number)
{
    hk_target *t = &s->targets.list[number];

    for (; t->from < t->until; t->from++) {
        hk_queue_entry *e = &s->queue.entries[t->from];
        if (e->target == number && !e->busy && !e->gone)
            return e;
    }
    return NULL;
}

/* What waits too long for a target that is paused or does not answer ends here; 0: e goes on waiting. */
static int expire(hk_sender *s, hk_queue_entry *e)
{
    const hk_target *t = &s->targets.list[e->target];
    int limited = is_limited(t);
    hk_policy_reason reason = limited ? HK_REASON_RATELIMIT : HK_REASON_NETWORK;
    hk_queue_entry copy = *e;
    char name[HK_QUEUE_NAME];
    struct stat st;

    if (!(limited && s->discard_limited) && !((limited || t->step > 0) && hk_reply_age_s(e) > HK_POLICY_MAX_AGE_S))
        return 0;
    hk_queue_name(e, name);
    if (fstatat(s->spool->new_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        hk_reply_finish(s, name, &copy, (uint64_t)st.st_size, hk_reply_counter(reason), NULL);
        hk_reply_discard(s, copy.target, reason);
    } else {
        let_go(s, e);
    }
    return 1;
}

static void send_waiting(hk_sender *s, unsigned number, unsigned *looks)
{
    hk_queue_entry *e;

    for (; *looks > 0 && (e = oldest_of(s, number)) != NULL; --*looks)
        if (closed(s, &s->targets.list[number])) {
            if (!expire(s, e))
                return;
        } else if (s->under_way == s->connections || !begin(s, e)) {
            return;
        }
}

/* First what was read and waits, by target, the one sent to last at the end; then what was not read yet. 1: there is
 * more to do. */
static int begin_what_may(hk_sender *s)
{
    unsigned looks = LOOKS, count = (unsigned)s->targets.count - 1, i;

    for (i = 0; i < count; i++)
        send_waiting(s, (s->last_target + i) % count + 1, &looks);
    for (; looks > 0 && s->under_way < s->connections && s->fresh < s->queue.count; s->fresh++) {
        hk_queue_entry *e = &s->queue.entries[s->fresh];
        if (e->gone || e->busy || e->target != 0)
            continue;
        looks--;
        if (!begin(s, e) && e->target == 0)
            s->again = 1;
    }
    return looks == 0;
}

void hk_sender_drain(hk_sender *s, int wait_ms)
{
    s->transport.run(s->transport.ctx, wait_ms, hk_reply_handle, s);
    if (s->targets.dirty && s->lock_fd >= 0)
        (void)hk_targets_save(&s->targets, s->spool->state_fd, hk_reply_now_s());
    if (s->lock_fd >= 0 && hk_sys_monotonic_ms() >= s->next_servers_ms) {
        s->next_servers_ms = hk_sys_monotonic_ms() + SERVERS_EVERY_MS;
        hk_servers_save(&s->targets, s->spool->state_fd, hk_reply_now_s(), hk_sys_monotonic_ms());
    }
}

/* Of an event that ended, and whose file could not be removed then. 0: nor now. */
static int remove_again(hk_sender *s, const hk_queue_entry *e)
{
    hk_queue_entry copy = *e;
    char name[HK_QUEUE_NAME];
    struct stat st;

    hk_queue_name(e, name);
    if (fstatat(s->spool->new_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    hk_reply_finish(s, name, &copy, (uint64_t)st.st_size, (hk_count)(copy.gone & ~HK_QUEUE_DEAD),
                     (copy.gone & HK_QUEUE_DEAD) != 0 ? "" : NULL);
    return e->gone == HK_QUEUE_GONE;
}

/* After a listing, or when what could not be read or removed is to be tried again: where what waits begins. */
static void sort_out(hk_sender *s)
{
    int stays = 0;
    size_t i;

    for (i = 1; i < s->targets.count; i++)
        s->targets.list[i].from = s->targets.list[i].until = 0;
    s->fresh = s->queue.count;
    for (i = s->queue.count; i > 0; i--) {
        const hk_queue_entry *e = &s->queue.entries[i - 1];
        if (e->gone && e->gone != HK_QUEUE_GONE && !stays)
            stays = !remove_again(s, e); /* then the others stay, too */
        if (e->gone || e->busy)
            continue;
        if (e->target == 0)
            s->fresh = i - 1;
        else
            hk_reply_hold(s, e);
    }
    s->again = stays;
}

static void look(hk_sender *s, uint64_t now)
{
    switch (hk_queue_refresh(&s->queue, s->spool->new_fd, now, 0)) {
    case 1:
        sort_out(s);
        break;
    case -1:
        (void)hk_spool_renew(s->spool);
        break;
    default:
        break;
    }
    if (s->again && now >= s->next_again_ms) {
        s->next_again_ms = now + AGAIN_EVERY_MS;
        sort_out(s);
    }
}

void hk_sender_turn(hk_sender *s, int wait_ms)
{
    uint64_t now = hk_sys_monotonic_ms();
    int more = 0;

    hk_targets_follow_clock(&s->targets, hk_reply_now_s(), now);
    if (hk_housekeeping_lock(s, now)) {
        if (now >= s->next_house_ms) {
            s->next_house_ms = now + HOUSE_EVERY_MS;
            hk_housekeeping_run(s);
        }
        if (s->client_reports && now >= s->next_report_ms) {
            s->next_report_ms = now + REPORT_EVERY_MS;
            hk_housekeeping_report(s);
        }
        look(s, now);
        more = begin_what_may(s);
    }
    hk_sender_drain(s, more ? 0 : wait_ms);
}

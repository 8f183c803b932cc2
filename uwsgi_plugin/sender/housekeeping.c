/* housekeeping.c: the lock, client reports, ledgers: what is not delivery itself. */
#include "sender_state.h"

#include "../edge/ledgers.h"
#include "../edge/spares.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_EVERY_MS 1000U

/* ---- the lock ---- */

/* A spool that was deleted and made anew has another lock: ours is worth nothing then. Where that cannot be told now it is
 * ours: given up, another sender would send beside us what is under way. */
static int still_ours(const hk_sender *s)
{
    struct stat held, named;

    if (fstat(s->lock_fd, &held) < 0 || fstatat(s->spool->state_fd, "sender.lock", &named, AT_SYMLINK_NOFOLLOW) < 0)
        return errno != EBADF && errno != ENOENT && errno != ENOTDIR && errno != ESTALE;
    return held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

int hk_housekeeping_lock(hk_sender *s, uint64_t now)
{
    if (now < s->next_lock_ms)
        return s->lock_fd >= 0;
    s->next_lock_ms = now + LOCK_EVERY_MS;
    if (hk_spool_ensure(s->spool) < 0)
        return 0;
    if (s->lock_fd >= 0) {
        if (still_ours(s))
            return 1;
        close(s->lock_fd);
        s->lock_fd = -1;
    }
    s->lock_fd = hk_targets_lock(s->spool->state_fd);
    if (s->lock_fd < 0)
        return 0;
    hk_targets_load(&s->targets, s->spool->state_fd, hk_reply_now_s());
    hk_servers_load(&s->targets, s->spool->state_fd);
    s->next_house_ms = now;
    s->next_report_ms = now;
    return 1;
}

/* ---- client reports ---- */

static void send_report(hk_sender *s, unsigned number, const hk_wire_discard *discards, size_t n)
{
    hk_target *t = &s->targets.list[number];
    hk_flight *f = NULL;
    hk_envelope_hk way = { 0 };
    hk_dsn dsn;

    if (n == 0 || hk_dsn_parse(hk_slice_of(t->dsn), &dsn, NULL) != HK_OK)
        return;
    f = hk_buf_alloc(sizeof *f);
    if (f == NULL)
        return;
    f->sender = s;
    f->report = 1;
    f->target = number;
    f->round = t->round;
    way.no_verify = t->no_verify;
    way.ca = t->ca == NULL ? way.ca : hk_slice_of(t->ca);
    way.proxy = t->proxy == NULL ? way.proxy : hk_slice_of(t->proxy);
    if (hk_wire_build_report(&dsn, &way, discards, n, hk_sys_now_ns(), &f->wire) != HK_OK || hk_reply_fill_request(f) < 0
        || s->transport.start(s->transport.ctx, &f->request) < 0) {
        hk_reply_free_flight(f);
        return;
    }
    t->under_way++;
    s->under_way++;
}

/* What capturing processes discarded since the last report, before any DSN was looked at. */
static size_t others(hk_sender *s, const uint64_t counts[HK_LEDGER_SLOTS], hk_wire_discard *list, size_t n)
{
    unsigned k;

    for (k = HK_COUNT_DISCARDED_FIRST; k <= HK_COUNT_DISCARDED_LAST; k++) {
        if (k == HK_COUNT_RATELIMIT_BACKOFF || k == HK_COUNT_NETWORK_ERROR || k == HK_COUNT_SEND_ERROR
            || counts[k] <= s->told[k])
            continue;
        list[n].reason = strchr(hk_ledger_name((hk_count)k), '.') + 1;
        list[n++].quantity = counts[k] - s->told[k];
        s->told[k] = counts[k];
    }
    return n;
}

/* What this sender discarded goes to the DSN it was for; the rest to the DSN used most recently. Best effort: a
 * report that fails is not sent again. */
void hk_housekeeping_report(hk_sender *s)
{
    static const char *const own[HK_TARGETS_REASONS] = { "ratelimit_backoff", "network_error", "send_error" };
    hk_wire_discard list[HK_COUNT_DISCARDED_LAST + HK_TARGETS_REASONS];
    uint64_t counts[HK_LEDGER_SLOTS];
    int known = hk_ledgers_sum(s->spool->ledger_fd, counts) == HK_OK;
    unsigned i, k;
    size_t n;

    for (i = 1; i < s->targets.count && s->under_way < s->connections; i++) {
        hk_target *t = &s->targets.list[i];
        if (!t->reportable || t->dsn == NULL || t->step > 0 || t->all_until_s > hk_reply_now_s())
            continue;
        n = 0;
        for (k = 0; k < HK_TARGETS_REASONS; k++)
            if (t->discards[k] > 0) {
                list[n].reason = own[k];
                list[n++].quantity = t->discards[k];
                t->discards[k] = 0;
            }
        if (i == s->last_target && known && s->told_known)
            n = others(s, counts, list, n);
        send_report(s, i, list, n);
    }
    if (known && !s->told_known) {
        memcpy(s->told, counts, sizeof s->told); /* what was discarded before our time was told then, or never */
        s->told_known = 1;
    }
}

/* ---- ledgers ---- */

static void add_signed(hk_sender *s, uint64_t difference, hk_count more, hk_count less)
{
    if (difference >> 63)
        hk_ledger_add(&s->spool->ledger, less, 0 - difference);
    else if (difference != 0)
        hk_ledger_add(&s->spool->ledger, more, difference);
}

/* Killed processes and hands that delete files leave the counters of the level
 * wrong. Set them right where two looks agree: a write is between its rename
 * and its count for a moment. */
static void correct_drift(hk_sender *s)
{
    uint64_t was[HK_LEDGER_SLOTS], is[HK_LEDGER_SLOTS], files, bytes, count_off, bytes_off;

    if (hk_ledgers_sum(s->spool->ledger_fd, was) != HK_OK || hk_queue_measure(s->spool->new_fd, &files, &bytes) < 0
        || hk_ledgers_sum(s->spool->ledger_fd, is) != HK_OK)
        return;
    count_off = files - (was[HK_COUNT_SPOOLED_COUNT] - was[HK_COUNT_REMOVED_COUNT]);
    bytes_off = bytes - (was[HK_COUNT_SPOOLED_BYTES] - was[HK_COUNT_REMOVED_BYTES]);
    if (memcmp(was, is, sizeof was) != 0 || (count_off == 0 && bytes_off == 0)) {
        s->drift_known = 0;
    } else if (s->drift_known && s->drift_count == count_off && s->drift_bytes == bytes_off) {
        add_signed(s, count_off, HK_COUNT_SPOOLED_COUNT, HK_COUNT_REMOVED_COUNT);
        add_signed(s, bytes_off, HK_COUNT_SPOOLED_BYTES, HK_COUNT_REMOVED_BYTES);
        s->drift_known = 0;
    } else {
        s->drift_known = 1;
        s->drift_count = count_off;
        s->drift_bytes = bytes_off;
    }
}

void hk_housekeeping_run(hk_sender *s)
{
    hk_queue_sweep(s->spool, hk_sys_now_ns());
    (void)hk_ledgers_fold(s->spool->ledger_fd);
    correct_drift(s);
    hk_spares_keep(s->spool->ledger_fd, HK_LEDGER_SIZE, geteuid() == 0 ? s->spool->uid : geteuid(), s->spool->gid);
    s->queue.listed = 0; /* list once more, changed or not: a file may have come with an older mtime, or a disk hid it */
}

#include "targets.h"

#include "../core/json.h"
#include "../core/jsonread.h"
#include "../core/policy.h"
#include "../edge/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMITS_MAX (4U << 20)
#define MAX_SLEW_S 1.0 /* by which a clock may be moved between two turns without having been set */
static const char limits_name[] = "limits.json";

hk_status hk_targets_init(hk_targets *t)
{
    memset(t, 0, sizeof *t);
    t->list = hk_buf_alloc(16 * sizeof *t->list);
    if (t->list == NULL)
        return HK_ERR_MEMORY;
    t->cap = 16;
    t->count = 1;
    return HK_OK;
}

void hk_targets_free(hk_targets *t)
{
    size_t i;

    if (t == NULL)
        return;
    for (i = 1; i < t->count; i++) {
        if (t->list[i].dsn != NULL)
            hk_buf_wipe(t->list[i].dsn, strlen(t->list[i].dsn));
        hk_buf_release(t->list[i].dsn);
        hk_buf_release(t->list[i].key);
        hk_buf_release(t->list[i].error);
        hk_buf_release(t->list[i].ca);
        if (t->list[i].proxy != NULL)
            hk_buf_wipe(t->list[i].proxy, strlen(t->list[i].proxy));
        hk_buf_release(t->list[i].proxy);
    }
    hk_buf_release(t->list);
    memset(t, 0, sizeof *t);
}

static hk_target *add(hk_targets *t)
{
    hk_target *grown;

    if (t->count >= HK_TARGETS_MAX)
        return NULL;
    if (t->count == t->cap) {
        grown = hk_buf_alloc(2 * t->cap * sizeof *grown);
        if (grown == NULL)
            return NULL;
        memcpy(grown, t->list, t->count * sizeof *grown);
        hk_buf_release(t->list);
        t->list = grown;
        t->cap *= 2;
    }
    memset(&t->list[t->count], 0, sizeof t->list[0]);
    return &t->list[t->count];
}

static unsigned find_key(const hk_targets *t, hk_slice key)
{
    unsigned i;

    for (i = 1; i < t->count; i++)
        if (hk_slice_is(key, t->list[i].key))
            return i;
    return 0;
}

unsigned hk_targets_find_key(hk_targets *t, hk_slice key)
{
    unsigned found = find_key(t, key);
    hk_target *fresh;

    if (found != 0)
        return found;
    fresh = add(t);
    if (fresh == NULL)
        return 0;
    fresh->key = hk_buf_dup(key);
    return fresh->key == NULL ? 0 : (unsigned)t->count++;
}

/* Without memory a report goes by the sender's own way. */
static void set_way(char **mine, hk_slice way)
{
    if (*mine != NULL && way.p != NULL && hk_slice_is(way, *mine))
        return;
    hk_buf_release(*mine);
    *mine = way.p == NULL ? NULL : hk_buf_dup(way);
}

void hk_targets_reach(hk_target *t, const hk_envelope_hk *way)
{
    t->reportable = 1;
    t->no_verify = way->no_verify;
    set_way(&t->ca, way->ca);
    set_way(&t->proxy, way->proxy);
}

unsigned hk_targets_find(hk_targets *t, const hk_dsn *dsn)
{
    unsigned number = 0;
    hk_buf text;
    char *full;

    hk_buf_init(&text, HK_DSN_MAX + 16);
    hk_dsn_put(dsn, 0, &text);
    if (hk_buf_ok(&text))
        number = hk_targets_find_key(t, hk_buf_slice(&text));
    if (number != 0) {
        hk_buf_clear(&text);
        hk_dsn_put(dsn, 1, &text);
        if (t->list[number].dsn == NULL || !hk_slice_is(hk_buf_slice(&text), t->list[number].dsn)) {
            full = hk_buf_ok(&text) ? hk_buf_dup(hk_buf_slice(&text)) : NULL;
            if (full != NULL) {
                hk_buf_release(t->list[number].dsn);
                t->list[number].dsn = full;
            }
        }
        if (t->list[number].dsn == NULL)
            number = 0;
    }
    if (text.data != NULL)
        hk_buf_wipe(text.data, text.len);
    hk_buf_free(&text);
    return number;
}

void hk_targets_follow_clock(hk_targets *t, double now_s, uint64_t now_ms)
{
    double offset = now_s - (double)now_ms / 1000, moved = t->offset_s > 0 ? offset - t->offset_s : 0;
    size_t i;

    t->offset_s = offset;
    if (moved >= -MAX_SLEW_S)
        return;
    for (i = 1; i < t->count; i++) {
        t->list[i].all_until_s += moved;
        t->list[i].error_until_s += moved;
    }
    t->dirty = 1;
}

typedef struct loading {
    hk_targets *targets;
    double now_s;
    double back_s; /* how far the clock was set back since it was written, as far as that shows */
    unsigned number;
} loading;

static int load_category(void *ctx, hk_slice category, hk_slice value)
{
    loading *l = ctx;
    hk_target *target = &l->targets->list[l->number];
    double until;

    if (hk_jsonread_number(value, &until) != HK_OK || (until -= l->back_s) <= l->now_s)
        return 0;
    if (until > l->now_s + HK_POLICY_MAX_PAUSE_S) /* the clock was set back */
        until = l->now_s + HK_POLICY_MAX_PAUSE_S;
    if (category.n == 0)
        target->all_until_s = until;
    else if (hk_slice_is(category, "error"))
        target->error_until_s = until;
    return 0;
}

static int load_dsn(void *ctx, hk_slice key, hk_slice value)
{
    loading *l = ctx;
    hk_dsn dsn;

    if (hk_dsn_parse(key, &dsn, NULL) != HK_OK)
        return 0;
    l->number = hk_targets_find_key(l->targets, key);
    return l->number == 0 ? 0 : hk_jsonread_object(value, load_category, l) == HK_OK ? 0 : -1;
}

static int load_member(void *ctx, hk_slice key, hk_slice value)
{
    loading *l = ctx;
    double at;

    if (hk_slice_is(key, "at") && hk_jsonread_number(value, &at) == HK_OK && at > l->now_s)
        l->back_s = at - l->now_s;
    if (!hk_slice_is(key, "limits"))
        return 0;
    return hk_jsonread_object(value, load_dsn, ctx) == HK_OK ? 0 : -1;
}

void hk_targets_load(hk_targets *t, int state_fd, double now_s)
{
    int fd = openat(state_fd, limits_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    loading l = { t, now_s, 0, 0 };
    char part[4096];
    ssize_t n;
    hk_buf text;

    if (fd < 0)
        return;
    hk_buf_init(&text, LIMITS_MAX);
    while ((n = read(fd, part, sizeof part)) > 0)
        hk_buf_put(&text, part, (size_t)n);
    close(fd);
    if (hk_buf_ok(&text))
        (void)hk_jsonread_object(hk_buf_slice(&text), load_member, &l);
    hk_buf_free(&text);
}

static void put_time(hk_json *j, const char *name, double time_s)
{
    uint64_t ms = (uint64_t)(time_s * 1000);

    hk_json_key(j, hk_slice_of(name), HK_JSON_NO_LIMIT);
    hk_json_u64(j, ms / 1000);
    hk_buf_putc(j->out, '.');
    hk_buf_put_u64_padded(j->out, ms % 1000, 3);
}

hk_status hk_targets_save(hk_targets *t, int state_fd, double now_s)
{
    static const char temporary[] = ".limits"; /* one name: what a killed sender left is overwritten */
    hk_status rc = HK_ERR_SYSTEM;
    hk_buf text;
    hk_json j;
    size_t i;

    hk_buf_init(&text, LIMITS_MAX);
    hk_json_init(&j, &text);
    hk_json_open(&j, '{');
    hk_json_key(&j, hk_slice_of("version"), HK_JSON_NO_LIMIT);
    hk_json_u64(&j, 1);
    put_time(&j, "at", now_s);
    hk_json_key(&j, hk_slice_of("limits"), HK_JSON_NO_LIMIT);
    hk_json_open(&j, '{');
    for (i = 1; i < t->count; i++) {
        const hk_target *target = &t->list[i];
        if (target->all_until_s <= now_s && target->error_until_s <= now_s)
            continue;
        hk_json_key(&j, hk_slice_of(target->key), HK_JSON_NO_LIMIT);
        hk_json_open(&j, '{');
        if (target->all_until_s > now_s)
            put_time(&j, "", target->all_until_s);
        if (target->error_until_s > now_s)
            put_time(&j, "error", target->error_until_s);
        hk_json_close(&j, '}');
    }
    hk_json_close(&j, '}');
    hk_json_close(&j, '}');
    if (hk_buf_ok(&text))
        rc = hk_statefile_replace(state_fd, limits_name, temporary, hk_buf_slice(&text), (uid_t)-1, (gid_t)-1);
    if (rc == HK_OK)
        t->dirty = 0;
    hk_buf_free(&text);
    return rc;
}

int hk_targets_lock(int state_fd)
{
    char pid[24];
    struct stat st;
    int fd = openat(state_fd, "sender.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600), n;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1 /* nothing of another's is to be cut short */
        || flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return -1;
    }
    n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    /* For people and `heka-raven send`, which name the holder; the lock itself needs no content. */
    if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)n, 0) != n)
        return fd;
    return fd;
}

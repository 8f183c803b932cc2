#include "queue.h"

#include "../core/envelope.h"
#include "../edge/statefile.h"
#include "../edge/sys.h"
#include "targets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TMP_MAX_AGE_S 3600         /* a file in tmp/ this old has lost its writer */
#define DEAD_MAX_BYTES (16ULL << 20)
#define DEAD_MAX_COUNT 1000U

void hk_queue_init(hk_queue *q)
{
    memset(q, 0, sizeof *q);
}

void hk_queue_free(hk_queue *q)
{
    if (q == NULL)
        return;
    hk_buf_release(q->entries);
    hk_queue_init(q);
}

static unsigned nibble(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10U;
}

static int parse(const char *name, hk_queue_entry *e)
{
    hk_slice t = hk_slice_of(name);
    const char *id;
    uint64_t pid = 0;
    size_t i;

    memset(e, 0, sizeof *e);
    if (!hk_envelope_is_name(t, &e->time_ns))
        return -1;
    for (i = 21; i < t.n - 37; i++)
        pid = pid * 10 + (uint64_t)(t.p[i] - '0');
    if (pid > UINT32_MAX || (t.n - 37 - 21 > 1 && t.p[21] == '0'))
        return -1; /* the name could not be built again from its parts */
    e->pid = (uint32_t)pid;
    id = t.p + t.n - 36;
    for (i = 0; i < 16; i++)
        e->id[i] = (uint8_t)(nibble(id[2 * i]) << 4 | nibble(id[2 * i + 1]));
    return 0;
}

void hk_queue_name(const hk_queue_entry *e, char out[HK_QUEUE_NAME])
{
    static const char digits[] = "0123456789abcdef";
    int n = snprintf(out, HK_QUEUE_NAME, "%020llu-%lu-", (unsigned long long)e->time_ns, (unsigned long)e->pid);
    size_t i;
    char *p = out + n;

    for (i = 0; i < 16; i++) {
        *p++ = digits[e->id[i] >> 4];
        *p++ = digits[e->id[i] & 15];
    }
    memcpy(p, ".env", 5);
}

static int compare(const void *a, const void *b)
{
    const hk_queue_entry *x = a, *y = b;

    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    if (x->pid != y->pid)
        return x->pid < y->pid ? -1 : 1;
    return memcmp(x->id, y->id, sizeof x->id);
}

/* Both are sorted: copy what is known of old entries into the fresh list. One that was said to be gone and is listed again
 * is there: it is as if it had just come. */
static void carry_over(hk_queue_entry *fresh, size_t n, const hk_queue_entry *old, size_t old_n)
{
    size_t i = 0, k = 0;

    while (i < n && k < old_n) {
        int order = compare(&fresh[i], &old[k]);
        if (order == 0) {
            if (old[k].gone != HK_QUEUE_GONE)
                fresh[i] = old[k];
            i++;
            k++;
        } else if (order < 0)
            i++;
        else
            k++;
    }
}

static DIR *open_list(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir == NULL && fd >= 0)
        close(fd);
    return dir;
}

/* NULL: nothing could be listed. *whole (if not NULL) is 0 when something is left out. */
static hk_queue_entry *list(int new_fd, size_t *count, int *whole)
{
    size_t cap = 0, n = 0;
    hk_queue_entry *entries = NULL, *grown, e;
    struct dirent *found;
    DIR *dir = open_list(new_fd);

    if (dir == NULL)
        return NULL;
    while ((errno = 0, found = readdir(dir)) != NULL) {
        if (parse(found->d_name, &e) < 0)
            continue;
        if (n == cap) {
            cap = cap == 0 ? 256 : cap * 2;
            grown = hk_buf_alloc(cap * sizeof *grown);
            if (grown == NULL)
                break;
            if (n > 0)
                memcpy(grown, entries, n * sizeof *grown);
            hk_buf_release(entries);
            entries = grown;
        }
        entries[n++] = e;
    }
    if (whole != NULL)
        *whole = found == NULL && errno == 0;
    closedir(dir);
    if (entries == NULL)
        entries = hk_buf_alloc(sizeof *entries);
    if (n > 1)
        qsort(entries, n, sizeof *entries, compare);
    *count = n;
    return entries;
}

int hk_queue_measure(int new_fd, uint64_t *files, uint64_t *bytes)
{
    DIR *dir = open_list(new_fd);
    struct dirent *found;
    struct stat st;
    int rc;

    *files = *bytes = 0;
    if (dir == NULL)
        return -1;
    while ((errno = 0, found = readdir(dir)) != NULL)
        if (hk_envelope_is_name(hk_slice_of(found->d_name), NULL)
            && fstatat(new_fd, found->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            (*files)++;
            *bytes += (uint64_t)st.st_size;
        }
    rc = errno == 0 ? 0 : -1;
    closedir(dir);
    return rc;
}

int hk_queue_refresh(hk_queue *q, int new_fd, uint64_t now_ms, int force)
{
    struct stat st;
    hk_queue_entry *fresh;
    int whole = 0;
    size_t n = 0;
    uint64_t took, looked_ms = hk_sys_now_ns() / 1000000U;

    if (!force && now_ms < q->next_list_ms)
        return 0;
    if (fstat(new_fd, &st) < 0 || st.st_nlink == 0)
        return -1;
    if (!force && q->listed && st.st_mtim.tv_sec == q->mtime.tv_sec && st.st_mtim.tv_nsec == q->mtime.tv_nsec)
        return 0;
    fresh = list(new_fd, &n, &whole);
    if (fresh == NULL)
        return -1;
    carry_over(fresh, n, q->entries, q->count);
    hk_buf_release(q->entries);
    q->entries = fresh;
    q->count = n;
    took = hk_sys_monotonic_ms() - now_ms;
    q->next_list_ms = now_ms + took * 20;
    /* A file that came within the same tick of the clock would not change the mtime: look once more. By the time before
     * the listing, which may take longer than that. */
    q->listed = whole && (uint64_t)st.st_mtim.tv_sec * 1000U + (uint64_t)st.st_mtim.tv_nsec / 1000000U + 50U < looked_ms;
    q->mtime = st.st_mtim;
    return 1;
}

hk_status hk_queue_read(int dir_fd, const char *name, hk_buf *out)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    hk_status rc = HK_ERR_SYSTEM;
    char part[16384];
    struct stat st;
    ssize_t n;
    int saved;

    if (fd < 0)
        return HK_ERR_SYSTEM;
    if (fstat(fd, &st) < 0)
        goto out;
    if (!S_ISREG(st.st_mode)) {
        errno = EISDIR;
        goto out;
    }
    if (st.st_size > (off_t)HK_ENVELOPE_MAX_BYTES) {
        rc = HK_ERR_LIMIT;
        goto out;
    }
    while (out->len < (size_t)st.st_size && (n = read(fd, part, sizeof part)) != 0) { /* renamed whole: it does not grow */
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            goto out;
        hk_buf_put(out, part, (size_t)n);
    }
    rc = hk_buf_ok(out) ? HK_OK : HK_ERR_MEMORY;
out:
    saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

/* The reason beside a copy in dead/, as the Python sender keeps it. A full disk: uWSGI's log has it, too. */
static void keep_why(hk_spool *s, const char *name, const char *why)
{
    char path[HK_QUEUE_NAME + 8], temporary[HK_QUEUE_NAME + 8];
    int stem = (int)strlen(name) - 4;
    hk_buf line;

    snprintf(path, sizeof path, "%.*s.why", stem, name);
    snprintf(temporary, sizeof temporary, "%.*s.why.new", stem, name);
    hk_buf_init(&line, 4096);
    hk_buf_puts(&line, why);
    hk_buf_putc(&line, '\n');
    if (hk_buf_ok(&line))
        (void)hk_statefile_replace(s->dead_fd, path, temporary, hk_buf_slice(&line), (uid_t)-1, (gid_t)-1);
    hk_buf_free(&line);
}

int hk_queue_remove(hk_spool *s, const char *name, hk_count counter, uint64_t size, const char *why)
{
    static uint64_t logged_ms;
    struct stat st;

    if (why != NULL && linkat(s->new_fd, name, s->dead_fd, name, 0) < 0 && errno != EEXIST)
        hk_sys_log_sparingly(&logged_ms, "[sentry] spool %s: no copy in dead/: %s", s->path, strerror(errno));
    else if (why != NULL && why[0] != '\0')
        keep_why(s, name, why);
    /* The file goes first: a kill in between leaves the ledger one short and sends nothing twice. */
    if (unlinkat(s->new_fd, name, 0) < 0) {
        if (errno == ENOENT && fstatat(s->new_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return 0;
        hk_sys_log_sparingly(&logged_ms, "[sentry] spool %s: a finished event cannot be removed: %s", s->path,
                             strerror(errno));
        return -1;
    }
    hk_ledger_add(&s->ledger, counter, 1);
    hk_ledger_add(&s->ledger, HK_COUNT_REMOVED_COUNT, 1);
    hk_ledger_add(&s->ledger, HK_COUNT_REMOVED_BYTES, size);
    return 1;
}

static void sweep_tmp(hk_spool *s, uint64_t now_ns)
{
    DIR *dir = open_list(s->tmp_fd);
    struct dirent *found;
    struct stat st;

    if (dir == NULL)
        return;
    while ((found = readdir(dir)) != NULL)
        if (fstatat(s->tmp_fd, found->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)
            && st.st_mtim.tv_sec + TMP_MAX_AGE_S < (time_t)(now_ns / 1000000000U))
            unlinkat(s->tmp_fd, found->d_name, 0);
    closedir(dir);
}

/* Reasons whose event is there no more: it was put back, or was the oldest. */
static void sweep_whys(hk_spool *s)
{
    DIR *dir = open_list(s->dead_fd);
    char event[HK_QUEUE_NAME + 8];
    struct dirent *found;
    struct stat st;

    if (dir == NULL)
        return;
    while ((found = readdir(dir)) != NULL) {
        const char *end = strstr(found->d_name, ".why");
        if (end == NULL || end == found->d_name || end - found->d_name > HK_QUEUE_NAME)
            continue;
        snprintf(event, sizeof event, "%.*s.env", (int)(end - found->d_name), found->d_name);
        if (strcmp(end, ".why") != 0 /* of a sender that was killed */
            || (fstatat(s->dead_fd, event, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT))
            unlinkat(s->dead_fd, found->d_name, 0);
    }
    closedir(dir);
}

static void sweep_dead(hk_spool *s)
{
    size_t count = 0, kept = 0, i;
    hk_queue_entry *entries = list(s->dead_fd, &count, NULL);
    char name[HK_QUEUE_NAME];
    uint64_t bytes = 0;
    struct stat st;

    for (i = count; i > 0; i--) { /* newest first */
        hk_queue_name(&entries[i - 1], name);
        if (fstatat(s->dead_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        kept++;
        bytes += (uint64_t)st.st_size;
        if (kept > DEAD_MAX_COUNT || bytes > DEAD_MAX_BYTES)
            unlinkat(s->dead_fd, name, 0);
    }
    hk_buf_release(entries);
}

void hk_queue_sweep(hk_spool *s, uint64_t now_ns)
{
    sweep_tmp(s, now_ns);
    sweep_dead(s);
    sweep_whys(s);
}

#include "server_spool.h"

#include "../core/event.h"
#include "../edge/sys.h"
#include "settings.h"

#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>

/* Marks a $HEKA_RAVEN_SPOOL that a plugin set: a vassal of another user must not use its emperor's. */
#define MARK "HEKA_RAVEN_SPOOL_UID"

static hk_spool spool;
static int state; /* 0: not tried, 1: open, -1: refused */
static hk_spool others; /* of a process that became another user, where the first is not writable */
static int others_state; /* as state */
static char *inner; /* its path as it will be in the chroot, while this process is not in there */

void hk_server_spool_user(uid_t *uid, gid_t *gid)
{
    struct passwd *user;
    struct group *group;

    *uid = geteuid();
    *gid = getegid();
    if (*uid != 0)
        return;
    /* hook-asap runs before uWSGI looks the names up. */
    if (uwsgi.uid > 0)
        *uid = uwsgi.uid;
    if (uwsgi.gid > 0)
        *gid = uwsgi.gid;
    if (uwsgi.uidname != NULL && (user = getpwnam(uwsgi.uidname)) != NULL) {
        *uid = user->pw_uid;
        if (uwsgi.gid == 0 && uwsgi.gidname == NULL)
            *gid = user->pw_gid;
    }
    if (uwsgi.gidname != NULL && (group = getgrnam(uwsgi.gidname)) != NULL)
        *gid = group->gr_gid;
}

int hk_server_spool_become_user(void)
{
    uid_t uid;
    gid_t gid;

    hk_server_spool_user(&uid, &gid);
    if (geteuid() != 0 || uid == 0)
        return 0;
    if (setgroups(1, &gid) != 0 || setgid(gid) != 0 || setuid(uid) != 0)
        return -1;
    /* A change of user forgets this: without it the gateway would outlive the master. */
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

static const char *inherited(uid_t uid)
{
    const char *mark = getenv(MARK);
    char text[24];

    snprintf(text, sizeof text, "%lu", (unsigned long)uid);
    return mark != NULL && strcmp(mark, text) != 0 ? NULL : getenv(HK_SPOOL_ENVIRONMENT);
}

/* With hook-asap, drop-after-apps or master-as-root the spool is opened before uWSGI goes into its chroot: it must be one
 * that is seen from in there, by the application as by us. After a reload uWSGI is in there already. */
static int is_outside(void)
{
    return uwsgi.chroot != NULL && !uwsgi.is_chrooted && !uwsgi.is_a_reload && geteuid() == 0;
}

static void go_inside(void)
{
    char *path = inner;

    inner = NULL;
    hk_buf_release(spool.path);
    spool.path = path;
}

static void tell_children(uid_t uid)
{
    const char *path = inner == NULL ? spool.path : inner;
    const char *given = getenv(HK_SPOOL_ENVIRONMENT);
    char text[24];

    if (given != NULL && strcmp(given, path) == 0)
        return; /* the administrator's own, or set before a reload */
    snprintf(text, sizeof text, "%lu", (unsigned long)uid);
    if (setenv(HK_SPOOL_ENVIRONMENT, path, 1) != 0 || setenv(MARK, text, 1) != 0)
        hk_sys_log("[sentry] cannot set $" HK_SPOOL_ENVIRONMENT ": memory");
}

/* What the application reports goes the same way as what the plugin reports, whoever sends it. */
static void tell_way(void)
{
    char *full = hk_settings.ca == NULL ? NULL : realpath(hk_settings.ca, NULL);

    if (full != NULL)
        hk_settings.ca = full; /* for good, as all settings; a sender of another server is in another directory */
    if (setenv("HEKA_RAVEN_CA", hk_settings.ca == NULL ? "" : hk_settings.ca, 1) != 0
        || setenv("HEKA_RAVEN_PROXY", hk_settings.proxy == NULL ? "" : hk_settings.proxy, 1) != 0)
        hk_sys_log("[sentry] cannot set $HEKA_RAVEN_CA and $HEKA_RAVEN_PROXY: memory");
}

/* After a reload uWSGI closes every descriptor that it does not know. */
static void keep_descriptors(void)
{
    uwsgi_add_safe_fd(spool.root_fd);
    uwsgi_add_safe_fd(spool.new_fd);
    uwsgi_add_safe_fd(spool.tmp_fd);
    uwsgi_add_safe_fd(spool.dead_fd);
    uwsgi_add_safe_fd(spool.state_fd);
    uwsgi_add_safe_fd(spool.ledger_fd);
}

static void check_size(void)
{
    if (hk_settings.spool_size >= HK_EVENT_MAX_BYTES)
        return;
    /* "512M" is 512 for uWSGI, and "lots" is 0 */
    hk_sys_log("[sentry] sentry-spool-size: %llu bytes cannot hold an event; a number of bytes from %u is allowed, "
               "without a unit; %llu is used", (unsigned long long)hk_settings.spool_size, HK_EVENT_MAX_BYTES,
               HK_SPOOL_MAX_BYTES);
    hk_settings.spool_size = HK_SPOOL_MAX_BYTES;
}

static void open_spool(void)
{
    hk_buf path, full, why;
    const char *reason, *words;
    uid_t uid;
    gid_t gid;

    hk_server_spool_user(&uid, &gid);
    check_size();
    hk_buf_init(&path, 8192);
    hk_buf_init(&full, 16384);
    hk_buf_init(&why, 32768);
    reason = hk_spool_resolve(hk_settings.spool, inherited(uid), uid, &path);
    if (is_outside()) {
        inner = hk_buf_ok(&path) ? hk_buf_dup(hk_buf_slice(&path)) : NULL;
        hk_buf_puts(&full, uwsgi.chroot);
    }
    hk_buf_slice_put(&full, hk_buf_slice(&path));
    if (!hk_buf_ok(&path) || hk_buf_text(&full) == NULL || (is_outside() && inner == NULL)
        || hk_spool_open(&spool, full.data, uid, gid, hk_settings.spool_size, HK_SPOOL_MAX_COUNT, &why) != HK_OK) {
        words = hk_buf_text(&why);
        hk_sys_log("[sentry] sentry-spool: %s; nothing will be reported", words == NULL ? "memory" : words);
    } else {
        state = 1;
        keep_descriptors();
        tell_children(uid);
        tell_way();
        hk_sys_log("[sentry] spool: %s (%s)", spool.path, reason);
    }
    hk_buf_free(&path);
    hk_buf_free(&full);
    hk_buf_free(&why);
}

/* A vassal of a tyrant emperor is its own user before the emperor's hook-as-vassal runs in it: what it reports it may write
 * and count only in its user's spool, which its own sender delivers, or heka-raven send. */
static void open_others(uid_t uid)
{
    const char *words;
    hk_buf path, why;

    hk_buf_init(&path, 8192);
    hk_buf_init(&why, 32768);
    check_size();
    (void)hk_spool_resolve(NULL, NULL, uid, &path);
    if (hk_buf_text(&path) == NULL
        || hk_spool_open(&others, path.data, uid, getegid(), hk_settings.spool_size, HK_SPOOL_MAX_COUNT, &why) != HK_OK) {
        words = hk_buf_text(&why);
        hk_sys_log("[sentry] uid %lu may not write to this server's spool, nor to its own: %s; nothing that pid %ld reports "
                   "is sent or counted", (unsigned long)uid, words == NULL || *words == '\0' ? "memory" : words, (long)getpid());
    } else {
        hk_sys_log("[sentry] uid %lu may not write to this server's spool: what pid %ld reports goes to %s",
                   (unsigned long)uid, (long)getpid(), others.path);
        __atomic_store_n(&others_state, 1, __ATOMIC_RELEASE);
    }
    hk_buf_free(&path);
    hk_buf_free(&why);
}

/* Whether this process is a user that the server's spool is not for. An emperor has none open yet: uWSGI starts it before
 * it asks the plugins. A vassal may not make it, or it would be the vassal's. */
static int is_another(uid_t uid)
{
    if (uid == 0)
        return 0;
    return state > 0 ? uid != spool.uid : state == 0 && uwsgi.emperor_tyrant && uid != uwsgi.uid;
}

hk_spool *hk_server_spool_get(void)
{
    uid_t uid = geteuid();
    int untried = 0;

    if (is_another(uid)) {
        if (__atomic_compare_exchange_n(&others_state, &untried, -1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            open_others(uid);
        return __atomic_load_n(&others_state, __ATOMIC_ACQUIRE) > 0 ? &others : NULL;
    }
    if (state == 0) {
        state = -1;
        open_spool();
    }
    if (inner != NULL && uwsgi.is_chrooted && state > 0)
        go_inside();
    return state > 0 ? &spool : NULL;
}

#include "server_spool.h"

#include "../core/event.h"
#include "../edge/sys.h"
#include "settings.h"

#include <grp.h>
#include <pwd.h>

/* Marks a $HEKA_RAVEN_SPOOL that a plugin set: a vassal of another user must not use its emperor's. */
#define MARK "HEKA_RAVEN_SPOOL_UID"

static hk_spool spool;
static int state; /* 0: not tried, 1: open, -1: refused */

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

static const char *inherited(uid_t uid)
{
    const char *mark = getenv(MARK);
    char text[24];

    snprintf(text, sizeof text, "%lu", (unsigned long)uid);
    return mark != NULL && strcmp(mark, text) != 0 ? NULL : getenv(HK_SPOOL_ENVIRONMENT);
}

static void tell_children(uid_t uid)
{
    const char *given = getenv(HK_SPOOL_ENVIRONMENT);
    char text[24];

    if (given != NULL && strcmp(given, spool.path) == 0)
        return; /* the administrator's own, or set before a reload */
    snprintf(text, sizeof text, "%lu", (unsigned long)uid);
    if (setenv(HK_SPOOL_ENVIRONMENT, spool.path, 1) != 0 || setenv(MARK, text, 1) != 0)
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

hk_spool *hk_server_spool_get(void)
{
    hk_buf path, why;
    const char *reason;
    uid_t uid;
    gid_t gid;

    if (state != 0)
        return state > 0 ? &spool : NULL;
    state = -1;
    hk_server_spool_user(&uid, &gid);
    if (hk_settings.spool_size < HK_EVENT_MAX_BYTES) { /* "512M" is 512 for uWSGI, and "lots" is 0 */
        hk_sys_log("[sentry] sentry-spool-size: %llu bytes cannot hold an event; a number of bytes from %u is allowed, "
                   "without a unit; %llu is used", (unsigned long long)hk_settings.spool_size, HK_EVENT_MAX_BYTES,
                   HK_SPOOL_MAX_BYTES);
        hk_settings.spool_size = HK_SPOOL_MAX_BYTES;
    }
    hk_buf_init(&path, 8192);
    hk_buf_init(&why, 16384);
    reason = hk_spool_resolve(hk_settings.spool, inherited(uid), uid, &path);
    if (hk_buf_text(&path) == NULL
        || hk_spool_open(&spool, path.data, uid, gid, hk_settings.spool_size, HK_SPOOL_MAX_COUNT, &why) != HK_OK) {
        const char *words = hk_buf_text(&why);
        hk_sys_log("[sentry] sentry-spool: %s; nothing will be reported", words == NULL ? "memory" : words);
    } else {
        state = 1;
        keep_descriptors();
        tell_children(uid);
        tell_way();
        hk_sys_log("[sentry] spool: %s (%s)", spool.path, reason);
    }
    hk_buf_free(&path);
    hk_buf_free(&why);
    return state > 0 ? &spool : NULL;
}

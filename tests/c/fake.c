/* fake.c: a transport without network, and a sender that has it. */
#include "fake.h"

#include "check.h"
#include "spools.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int fake_start(void *ctx, const hk_request_out *r)
{
    fake *f = ctx;

    if (f->refuses || f->waiting == 64)
        return -1;
    if (f->started == 0)
        snprintf(f->first_url, sizeof f->first_url, r->udp_port > 0 ? "%s:%u" : "%s", r->url, r->udp_port);
    snprintf(f->last_body, sizeof f->last_body, "%.*s", (int)r->body.n, r->body.p);
    f->started++;
    f->udp = r->udp_port > 0;
    if (f->hangs != NULL && strstr(r->url, f->hangs) != NULL) {
        f->hanging[f->hanging_count++ % 64] = r->tag;
        return 0;
    }
    f->tags[f->waiting++] = r->tag;
    if (f->waiting > f->most)
        f->most = f->waiting;
    return 0;
}

static void fake_run(void *ctx, int wait_ms, void (*done)(void *, const hk_reply_in *), void *done_ctx)
{
    fake *f = ctx;
    unsigned n = f->waiting, i;
    void *tags[64];

    (void)wait_ms;
    memcpy(tags, f->tags, sizeof tags);
    f->waiting = 0;
    for (i = 0; i < n; i++) {
        hk_reply_in r = { f->status, { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, "no network here", tags[i], { NULL, 0 } };
        if (f->udp)
            r.status = f->status == 200 ? HK_POLICY_SENT : f->status == 413 ? HK_POLICY_TOO_LARGE : HK_POLICY_NO_REPLY;
        if (f->limits != NULL)
            r.rate_limits = hk_slice_of(f->limits);
        if (f->detail != NULL)
            r.detail = hk_slice_of(f->detail);
        if (f->location != NULL)
            r.location = hk_slice_of(f->location);
        done(done_ctx, &r);
    }
}

hk_sender *make_sender(hk_spool *s, fake *f, int discard_limited)
{
    hk_transport t = { fake_start, fake_run, f };
    hk_sender_options o = { HK_SENDER_CONNECTIONS, discard_limited, 1 };
    hk_sender *sender = hk_sender_new(s, &t, &o);

    CHECK(sender != NULL);
    return sender;
}

void turn_until(hk_sender *sender, hk_spool *s, unsigned left)
{
    int i;

    for (i = 0; i < 30000 && spools_files(s->new_fd) != left; i++) {
        hk_sender_turn(sender, 0);
        usleep(1000);
    }
    CHECK(spools_files(s->new_fd) == left);
}

void turn_until_empty(hk_sender *sender, hk_spool *s)
{
    int i;

    for (i = 0; i < 10000 && spools_files(s->new_fd) > 0; i++) {
        hk_sender_turn(sender, 0);
        usleep(1000);
    }
    CHECK(spools_files(s->new_fd) == 0);
}

void turn_for(hk_sender *sender, unsigned ms)
{
    uint64_t until = hk_sys_monotonic_ms() + ms;

    while (hk_sys_monotonic_ms() < until) {
        hk_sender_turn(sender, 0);
        usleep(1000);
    }
}

void name_in(hk_spool *s, char name[256])
{
    int fd = openat(s->new_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent *found;
    DIR *dir = fdopendir(fd);

    while ((found = readdir(dir)) != NULL)
        if (found->d_name[0] != '.')
            snprintf(name, 256, "%s", found->d_name);
    closedir(dir);
}

/* test_sender.c: the sender with a transport without network. */
#include "fake.h"
#include "spools.h"

#include "../../uwsgi_plugin/core/policy.h"
#include "../../uwsgi_plugin/sender/queue.h"
#include "../../uwsgi_plugin/sender/sender.h"
#include "../../uwsgi_plugin/sender/sender_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void delivers(const char *options, int status, unsigned left, hk_count counter, unsigned dead)
{
    uint64_t counts[HK_LEDGER_SLOTS];
    fake f;
    hk_spool s;
    hk_sender *sender;
    int i;

    memset(&f, 0, sizeof f);
    f.status = status;
    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    for (i = 0; i < 40; i++)
        CHECK(spools_capture(&s, options, "hello") == 0);
    sender = make_sender(&s, &f, 0);
    turn_until(sender, &s, left);
    spools_sum(&s, counts);
    CHECK(counts[counter] == 40 - left);
    CHECK(spools_files(s.dead_fd) == dead);
    CHECK(f.most <= HK_SENDER_CONNECTIONS);
    spools_balanced(&s, counts);
    hk_sender_free(sender);
    hk_spool_free(&s);
}

/* While a server is down one probe at a time asks it, not every event. */
static void backs_off(void)
{
    uint64_t counts[HK_LEDGER_SLOTS];
    fake f;
    hk_spool s;
    hk_sender *sender;
    uint64_t until;
    int i;

    memset(&f, 0, sizeof f);
    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    for (i = 0; i < 100; i++)
        spools_capture(&s, "", "x");
    sender = make_sender(&s, &f, 0);
    until = hk_sys_monotonic_ms() + 300; /* the probe after the first comes 1.5 s later at the earliest */
    while (hk_sys_monotonic_ms() < until) {
        hk_sender_turn(sender, 0);
        usleep(1000);
    }
    CHECK(f.started >= 1 && f.started <= HK_SENDER_CONNECTIONS + 1);
    CHECK(spools_files(s.new_fd) == 100);
    f.status = 200;
    for (i = 0; i < 30000 && spools_files(s.new_fd) > 0; i++) {
        hk_sender_turn(sender, 0);
        usleep(1000);
    }
    spools_sum(&s, counts);
    CHECK(counts[HK_COUNT_DELIVERED] == 100);
    spools_balanced(&s, counts);
    hk_sender_free(sender);
    hk_spool_free(&s);
}

/* Files that this user may neither remove nor, unless readable, read: another owner's, as root; else by their mode. */
static void forbid(hk_spool *s, const char *name, int readable)
{
    CHECK(fchmodat(s->new_fd, name, readable ? 0644 : 0, 0) == 0);
    CHECK(fchmod(s->new_fd, 0555) == 0 && fchmod(s->state_fd, 0755) == 0); /* the lock stays ours */
    if (geteuid() == 0)
        CHECK(seteuid(65534) == 0);
}

static void allow(hk_spool *s, const char *name)
{
    CHECK(getuid() != 0 || seteuid(0) == 0);
    CHECK(fchmod(s->new_fd, 0700) == 0 && fchmod(s->state_fd, 0700) == 0);
    CHECK(fchmodat(s->new_fd, name, 0600, 0) == 0);
}

/* What cannot be read waits until it can; what was delivered and cannot be removed is removed when it can, and neither
 * is sent twice. */
static void in_spite_of_the_disk(int readable)
{
    uint64_t counts[HK_LEDGER_SLOTS];
    char name[256] = "";
    fake f;
    hk_spool s;
    hk_sender *sender;
    int i;

    memset(&f, 0, sizeof f);
    f.status = 200;
    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    sender = make_sender(&s, &f, 0);
    hk_sender_turn(sender, 0);
    CHECK(hk_sender_has_lock(sender));
    CHECK(spools_capture(&s, "", "x") == 0);
    name_in(&s, name);
    forbid(&s, name, readable);
    for (i = 0; i < 30000 && readable && f.started == 0; i++) {
        hk_sender_turn(sender, 0);
        usleep(1000);
    }
    turn_for(sender, 1500);
    CHECK(f.started == (readable ? 1 : 0));
    allow(&s, name);
    turn_until_empty(sender, &s);
    CHECK(f.started == 1);
    spools_sum(&s, counts);
    CHECK(counts[HK_COUNT_DELIVERED] == 1);
    spools_balanced(&s, counts);
    hk_sender_free(sender);
    hk_spool_free(&s);
}

/* All that hangs is answered with this status. */
static void answer_hanging(fake *f, hk_sender *sender, int status)
{
    int usual = f->status;

    memcpy(f->tags, f->hanging, sizeof f->tags);
    f->waiting = f->hanging_count;
    f->hanging_count = 0;
    f->hangs = NULL;
    f->status = status;
    hk_sender_drain(sender, 0);
    f->status = usual;
}

/* A server that does not answer holds three quarters of the connections: what is for another goes at once, even from
 * behind all that waits for the first; and the first loses nothing. */
static void leaves_some_to_others(void)
{
    uint64_t counts[HK_LEDGER_SLOTS];
    fake f;
    hk_spool s;
    hk_sender *sender;
    int i;

    memset(&f, 0, sizeof f);
    f.status = 200;
    f.hangs = "//slow/";
    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    for (i = 0; i < 300; i++)
        spools_capture(&s, "dsn=http://abc@slow/1", "x");
    spools_capture(&s, "", "y");
    sender = make_sender(&s, &f, 0);
    turn_until(sender, &s, 300);
    CHECK(f.hanging_count == HK_SENDER_CONNECTIONS * 3 / 4 && hk_sender_under_way(sender) == f.hanging_count);
    spools_capture(&s, "", "z"); /* once all is read, too */
    turn_until(sender, &s, 300);
    answer_hanging(&f, sender, 0); /* timeouts: they wait again, and go as the server is back */
    CHECK(spools_files(s.new_fd) == 300);
    for (i = 0; i < 30000 && spools_files(s.new_fd) > 0; i++) {
        hk_sender_turn(sender, 0);
        usleep(1000);
    }
    spools_sum(&s, counts);
    CHECK(counts[HK_COUNT_DELIVERED] == 302 && f.started == 302 + HK_SENDER_CONNECTIONS * 3 / 4);
    spools_balanced(&s, counts);
    hk_sender_free(sender);
    hk_spool_free(&s);
}

/* Events of one DSN take its share of the connections in every turn: none waits for a clock. */
static void one_server_full_speed(void)
{
    fake f;
    hk_spool s;
    hk_sender *sender;
    int turns;

    memset(&f, 0, sizeof f);
    f.status = 200;
    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    for (turns = 0; turns < 600; turns++)
        spools_capture(&s, "", "x");
    sender = make_sender(&s, &f, 0);
    for (turns = 0; turns < 600 && spools_files(s.new_fd) > 0; turns++)
        hk_sender_turn(sender, 0);
    CHECK(f.most == HK_SENDER_CONNECTIONS * 3 / 4 && turns == 50);
    hk_sender_free(sender);
    hk_spool_free(&s);
}

/* Where a connection or a descriptor cannot be had for a moment, an event waits; it is not forgotten. */
static void nothing_to_be_had(void)
{
    struct rlimit limit, none;
    fake f;
    hk_spool s;
    hk_sender *sender;

    memset(&f, 0, sizeof f);
    f.status = 200;
    f.refuses = 1;
    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    spools_capture(&s, "", "x");
    sender = make_sender(&s, &f, 0);
    hk_sender_turn(sender, 0);
    CHECK(f.started == 0 && hk_sender_under_way(sender) == 0);
    f.refuses = 0;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    none = limit;
    none.rlim_cur = 3;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    hk_sender_turn(sender, 0);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(f.started == 0);
    turn_until(sender, &s, 0);
    hk_sender_free(sender);
    hk_spool_free(&s);
}

/* A pause that the server asked for is written down, and a new sender keeps to it. */
static void pause_survives_restart(void)
{
    static const char paused[] = ",\"limits\":{\"http://abc@127.0.0.1:9/1\":{\"error\":";
    fake f;
    hk_spool s;
    hk_sender *sender;
    hk_slice limits;
    char path[200];
    int i;

    memset(&f, 0, sizeof f);
    f.status = 429;
    f.limits = "60:error:organization";
    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    for (i = 0; i < 30; i++)
        spools_capture(&s, "", "x");
    sender = make_sender(&s, &f, 0);
    for (i = 0; i < 50; i++)
        hk_sender_turn(sender, 0);
    CHECK(f.started <= HK_SENDER_CONNECTIONS && spools_files(s.new_fd) == 30);
    hk_sender_free(sender);
    snprintf(path, sizeof path, "%s/state/limits.json", spools_path);
    limits = check_read_file(path);
    CHECK(hk_slice_starts(limits, "{\"version\":1,\"at\":"));
    CHECK(memmem(limits.p, limits.n, paused, strlen(paused)) != NULL);
    hk_buf_release((void *)limits.p);
    f.started = 0;
    f.status = 200;
    sender = make_sender(&s, &f, 0);
    for (i = 0; i < 50; i++)
        hk_sender_turn(sender, 0);
    CHECK(f.started == 0 && spools_files(s.new_fd) == 30);
    hk_sender_free(sender);
    sender = make_sender(&s, &f, 1); /* rate_limit = discard */
    turn_until(sender, &s, 0);
    CHECK(f.started == 0);
    hk_sender_free(sender);
    hk_spool_free(&s);
}

static void follows_redirects(void)
{
    uint64_t counts[HK_LEDGER_SLOTS];
    fake f;
    hk_spool s;
    hk_sender *sender;

    memset(&f, 0, sizeof f);
    f.status = 308;
    f.location = "/elsewhere/";
    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    spools_capture(&s, "", "x");
    sender = make_sender(&s, &f, 0);
    turn_until(sender, &s, 0);
    CHECK(f.started == 4); /* itself and three hops */
    spools_sum(&s, counts);
    CHECK(counts[HK_COUNT_SEND_ERROR] == 1);
    hk_sender_free(sender);
    hk_spool_free(&s);
}

/* What is no envelope goes to dead/ once, and does not stop the others. */
static void damaged_file(void)
{
    uint64_t counts[HK_LEDGER_SLOTS];
    fake f;
    hk_spool s;
    hk_sender *sender;

    memset(&f, 0, sizeof f);
    f.status = 200;
    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    hk_ledger_add(&s.ledger, HK_COUNT_CAPTURED, 1);
    CHECK(hk_spool_put(&s, "0123456789abcdef0123456789abcdef", hk_slice_of("garbage"), 1) == 0);
    spools_capture(&s, "", "x");
    sender = make_sender(&s, &f, 0);
    turn_until(sender, &s, 0);
    spools_sum(&s, counts);
    CHECK(counts[HK_COUNT_DELIVERED] == 1 && counts[HK_COUNT_INTERNAL_SDK_ERROR] == 1 && spools_files(s.dead_fd) == 1);
    spools_balanced(&s, counts);
    hk_sender_free(sender);
    hk_spool_free(&s);
}

/* Only the holder of the lock delivers; when it goes, another takes over. */
static void one_sender(void)
{
    fake f, g;
    hk_spool s;
    hk_sender *a, *b;
    int i;

    memset(&f, 0, sizeof f);
    memset(&g, 0, sizeof g);
    f.status = g.status = 200;
    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    a = make_sender(&s, &f, 0);
    b = make_sender(&s, &g, 0);
    hk_sender_turn(a, 0);
    hk_sender_turn(b, 0);
    CHECK(hk_sender_has_lock(a) && !hk_sender_has_lock(b));
    spools_capture(&s, "", "x");
    for (i = 0; i < 20; i++) {
        hk_sender_turn(b, 0);
        usleep(1000);
    }
    CHECK(g.started == 0);
    turn_until(a, &s, 0);
    hk_sender_free(a);
    spools_capture(&s, "", "y");
    for (i = 0; i < 30000 && spools_files(s.new_fd) > 0; i++) {
        hk_sender_turn(b, 0);
        usleep(1000);
    }
    CHECK(g.started == 1 && f.started == 1);
    hk_sender_free(b);
    hk_spool_free(&s);
}

/* A lock that cannot be looked at now is kept: given up, another sender would send beside what is under way. One that is
 * gone is not. */
static void a_lock_out_of_sight(void)
{
    fake f;
    hk_spool s;
    hk_sender *sender;
    int i;

    memset(&f, 0, sizeof f);
    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    sender = make_sender(&s, &f, 0);
    hk_sender_turn(sender, 0);
    CHECK(hk_sender_has_lock(sender));
    CHECK(fchmod(s.state_fd, 0) == 0);
    if (geteuid() == 0)
        CHECK(seteuid(65534) == 0);
    CHECK(faccessat(s.state_fd, "sender.lock", F_OK, AT_EACCESS) < 0 && errno == EACCES);
    turn_for(sender, 1500); /* it is looked for every second */
    CHECK(getuid() != 0 || seteuid(0) == 0);
    CHECK(fchmod(s.state_fd, 0700) == 0);
    CHECK(hk_sender_has_lock(sender));
    CHECK(unlinkat(s.state_fd, "sender.lock", 0) == 0);
    for (i = 0; i < 30000 && faccessat(s.state_fd, "sender.lock", F_OK, 0) < 0; i++) {
        hk_sender_turn(sender, 0);
        usleep(1000);
    }
    CHECK(hk_sender_has_lock(sender) && faccessat(s.state_fd, "sender.lock", F_OK, 0) == 0);
    hk_sender_free(sender);
    hk_spool_free(&s);
}

static void seconds_left(double now_s, double begin_s, double moved_s, int restart, double expected)
{
    hk_targets t, again, *left = &t;
    unsigned a;
    hk_spool s;

    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    CHECK(hk_targets_init(&t) == HK_OK && hk_targets_init(&again) == HK_OK);
    a = hk_targets_find_key(&t, hk_slice_of("http://abc@127.0.0.1:9/1"));
    hk_targets_follow_clock(&t, begin_s, 1000);
    t.list[a].all_until_s = begin_s + 60;
    if (restart) {
        CHECK(hk_targets_save(&t, s.state_fd, begin_s) == HK_OK);
        hk_targets_load(&again, s.state_fd, now_s + moved_s);
        left = &again;
    } else
        hk_targets_follow_clock(&t, now_s + moved_s, 1000 + (uint64_t)((now_s - begin_s) * 1000));
    CHECK(left->list[hk_targets_find_key(left, hk_slice_of("http://abc@127.0.0.1:9/1"))].all_until_s - now_s - moved_s
          == expected);
    hk_targets_free(&t);
    hk_targets_free(&again);
    hk_spool_free(&s);
}

/* A minute of quiet stays a minute when the clock is set back by hours, under a sender or between two. */
static void quiet_when_the_clock_is_set(void)
{
    seconds_left(10010, 10000, -7200, 0, 50);
    seconds_left(10010, 10000, -0.5, 0, 50.5);
    seconds_left(10010, 10000, 30, 0, 20);
    seconds_left(10000, 10000, -7200, 1, 60);
    seconds_left(10000, 10000, -1, 1, 60);
    seconds_left(10020, 10000, 0, 1, 40);
}

/* A file that came without a change of the folder's time, as after a restore, is found by the next housekeeping. */
static void finds_what_changed_no_mtime(void)
{
    struct timespec times[2];
    struct stat st;
    fake f;
    hk_spool s;
    hk_sender *sender;
    int i;

    memset(&f, 0, sizeof f);
    f.status = 200;
    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    sender = make_sender(&s, &f, 0);
    for (i = 0; i < 30000 && !sender->queue.listed; i++) { /* until a listing has seen a folder that is not new any more */
        hk_sender_turn(sender, 0);
        usleep(1000);
    }
    CHECK(sender->queue.listed);
    CHECK(fstat(s.new_fd, &st) == 0);
    times[0] = times[1] = st.st_mtim;
    spools_capture(&s, "", "x");
    CHECK(futimens(s.new_fd, times) == 0);
    turn_for(sender, 200);
    CHECK(f.started == 0); /* or this test tests nothing */
    sender->next_house_ms = 0;
    turn_until(sender, &s, 0);
    hk_sender_free(sender);
    hk_spool_free(&s);
}

int main(void)
{
    spools_start();
    in_spite_of_the_disk(1);
    in_spite_of_the_disk(0);
    delivers("", 200, 0, HK_COUNT_DELIVERED, 0);
    delivers("api=store", 202, 0, HK_COUNT_DELIVERED, 0);
    delivers("protocol=3,debug=1", 200, 0, HK_COUNT_DELIVERED, 0);
    delivers("dsn=udp://a:b@127.0.0.1:9/1,protocol=3", 200, 0, HK_COUNT_DELIVERED, 0);
    delivers("dsn=udp://a:b@127.0.0.1:9/1", 413, 0, HK_COUNT_SEND_ERROR, 40);
    delivers("", 400, 0, HK_COUNT_SEND_ERROR, 40);
    delivers("", 413, 0, HK_COUNT_SEND_ERROR, 40);
    delivers("", 503, 40, HK_COUNT_DELIVERED, 0);
    backs_off();
    leaves_some_to_others();
    one_server_full_speed();
    nothing_to_be_had();
    pause_survives_restart();
    follows_redirects();
    damaged_file();
    one_sender();
    finds_what_changed_no_mtime();
    a_lock_out_of_sight();
    quiet_when_the_clock_is_set();
    return spools_end();
}

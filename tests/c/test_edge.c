/* test_edge.c: the spool on a real disk, ledgers across forks, the sender with a transport without network. */
#include "check.h"

#include "../../uwsgi_plugin/core/envelope.h"
#include "../../uwsgi_plugin/edge/capture.h"
#include "../../uwsgi_plugin/sender/queue.h"
#include "../../uwsgi_plugin/sender/sender.h"
#include "../../uwsgi_plugin/edge/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HTTP_DSN "http://abc:def@127.0.0.1:9/1"
static const char *root;
static char spool_path[128];

static void quiet(const char *line)
{
    (void)line;
}

static void open_spool(hk_spool *s, uint64_t max_bytes, uint64_t max_count)
{
    static int number;
    hk_buf why;

    hk_buf_init(&why, 4096);
    snprintf(spool_path, sizeof spool_path, "%s/spool-%d", root, number++);
    CHECK(hk_spool_open(s, spool_path, geteuid(), getegid(), max_bytes, max_count, &why) == HK_OK);
    hk_buf_free(&why);
}

static int capture(hk_spool *s, const char *options, const char *message)
{
    hk_capture_defaults d = { { "host", 4 }, { "", 0 }, { "", 0 } };
    hk_capture_facts f;
    hk_options o;
    hk_buf why;
    int rc = -2;

    memset(&f, 0, sizeof f);
    f.message = hk_slice_of(message);
    hk_buf_init(&why, 1024);
    if (hk_options_parse(hk_slice_of(options), HTTP_DSN, &o, &why) == HK_OK)
        rc = hk_capture(s, &o, &d, &f, NULL);
    hk_options_free(&o);
    hk_buf_free(&why);
    return rc;
}

static unsigned files_in(int fd)
{
    uint64_t files = 0, bytes = 0;

    CHECK(hk_queue_measure(fd, &files, &bytes) == 0);
    return (unsigned)files;
}

/* captured = delivered + pending + discarded, over all processes. */
static void balanced(hk_spool *s, const uint64_t counts[HK_LEDGER_SLOTS])
{
    uint64_t ends = counts[HK_COUNT_DELIVERED] + files_in(s->new_fd);
    unsigned i;

    for (i = HK_COUNT_DISCARDED_FIRST; i <= HK_COUNT_DISCARDED_LAST; i++)
        ends += counts[i];
    CHECK(counts[HK_COUNT_CAPTURED] == ends);
    CHECK(hk_ledger_pending(counts) == files_in(s->new_fd));
}

static void sum(hk_spool *s, uint64_t counts[HK_LEDGER_SLOTS])
{
    CHECK(hk_ledger_sum(s->ledger_fd, counts) == HK_OK);
}

static void writes_and_caps(void)
{
    uint64_t counts[HK_LEDGER_SLOTS];
    struct stat st;
    hk_spool s;
    int i;

    open_spool(&s, HK_SPOOL_MAX_BYTES, 3);
    for (i = 0; i < 5; i++)
        CHECK(capture(&s, "", "x") == (i < 3 ? 0 : -1));
    CHECK(files_in(s.new_fd) == 3 && files_in(s.tmp_fd) == 0);
    sum(&s, counts);
    CHECK(counts[HK_COUNT_CAPTURED] == 5 && counts[HK_COUNT_CACHE_OVERFLOW] == 2 && counts[HK_COUNT_WRITE_FAILED] == 0);
    balanced(&s, counts);
    CHECK(fstat(s.root_fd, &st) == 0 && (st.st_mode & 0777) == 0700);
    hk_spool_free(&s);
    open_spool(&s, 700, 100);
    CHECK(capture(&s, "", "x") == 0 && capture(&s, "", "x") == -1);
    hk_spool_free(&s);
    hk_spool_free(NULL);
}

/* A symlink, another's or an open directory is refused with a reason. */
static void refuses_unsafe(void)
{
    char path[160], link[170];
    hk_spool s;
    hk_buf why;

    hk_buf_init(&why, 4096);
    snprintf(path, sizeof path, "%s/open", root);
    CHECK(mkdir(path, 0755) == 0);
    CHECK(hk_spool_open(&s, path, geteuid(), getegid(), 1, 1, &why) == HK_ERR_SYSTEM);
    CHECK(memmem(why.data, why.len, "a directory of its own (or chmod 700", 36) != NULL);
    hk_spool_free(&s);
    CHECK(chmod(path, 0700) == 0);
    hk_buf_clear(&why);
    CHECK(hk_spool_open(&s, path, geteuid() + 1, getegid(), 1, 1, &why) == HK_ERR_SYSTEM);
    CHECK(memmem(why.data, why.len, "another user", 12) != NULL);
    hk_spool_free(&s);
    snprintf(link, sizeof link, "%s-link", path);
    CHECK(symlink(path, link) == 0);
    hk_buf_clear(&why);
    CHECK(hk_spool_open(&s, link, geteuid(), getegid(), 1, 1, &why) == HK_ERR_SYSTEM);
    CHECK(memmem(why.data, why.len, "symbolic link", 13) != NULL);
    hk_spool_free(&s);
    hk_buf_free(&why);
}

/* Deleted under us, the spool is made anew; the ledger went with the events, and the next event begins a new one. */
static void deleted_under_us(void)
{
    uint64_t counts[HK_LEDGER_SLOTS];
    hk_spool s;

    open_spool(&s, HK_SPOOL_MAX_BYTES, 100);
    CHECK(capture(&s, "", "one") == 0);
    CHECK(capture(&s, "", "two") == 0);
    check_remove_directory(spool_path);
    CHECK(capture(&s, "", "three") == 0);
    CHECK(files_in(s.new_fd) == 1);
    sum(&s, counts);
    CHECK(counts[HK_COUNT_CAPTURED] == 1 && counts[HK_COUNT_SPOOLED_COUNT] == 1);
    balanced(&s, counts);
    hk_spool_free(&s);
}

/* An application that closes our descriptors and opens its own loses none of them, and we lose no event. */
static void descriptors_closed(void)
{
    hk_spool s;
    int theirs, number;

    open_spool(&s, HK_SPOOL_MAX_BYTES, 100);
    number = s.tmp_fd;
    close(number);
    theirs = open("/dev/null", O_RDONLY);
    CHECK(theirs == number);
    CHECK(capture(&s, "", "x") == 0);
    CHECK(fcntl(theirs, F_GETFD) >= 0 && s.tmp_fd != theirs);
    CHECK(files_in(s.new_fd) == 1);
    hk_spool_free(&s);
    CHECK(fcntl(theirs, F_GETFD) >= 0);
    close(theirs);
}

/* Each process counts in a file of its own; the fold of the dead ones loses nothing, also when it is repeated. */
static void ledgers_across_forks(void)
{
    uint64_t counts[HK_LEDGER_SLOTS];
    hk_spool s;
    pid_t pids[5];
    int i, status;

    open_spool(&s, HK_SPOOL_MAX_BYTES, 1000);
    CHECK(capture(&s, "", "parent") == 0);
    for (i = 0; i < 5; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            int k;
            for (k = 0; k < 20; k++)
                capture(&s, "", "child");
            kill(getpid(), SIGKILL);
        }
    }
    for (i = 0; i < 5; i++)
        waitpid(pids[i], &status, 0);
    sum(&s, counts);
    CHECK(counts[HK_COUNT_CAPTURED] == 101);
    balanced(&s, counts);
    CHECK(hk_ledger_fold(s.ledger_fd) == HK_OK);
    sum(&s, counts);
    CHECK(counts[HK_COUNT_CAPTURED] == 101);
    CHECK(hk_ledger_fold(s.ledger_fd) == HK_OK);
    CHECK(capture(&s, "", "parent") == 0);
    sum(&s, counts);
    CHECK(counts[HK_COUNT_CAPTURED] == 102);
    balanced(&s, counts);
    hk_spool_free(&s);
}

/* A ledger that was cut short, or replaced by another file under its number, harms neither us nor that file: the counts
 * are whole again with the next. */
static void ledger_cut_short(void)
{
    uint64_t counts[HK_LEDGER_SLOTS];
    int fd, theirs, number, i;
    char name[64], text[4] = "";
    hk_spool s;

    open_spool(&s, HK_SPOOL_MAX_BYTES, 1000);
    CHECK(capture(&s, "", "x") == 0);
    snprintf(name, sizeof name, "%ld-%llu", (long)getpid(), (unsigned long long)hk_ledger_start_time(getpid()));
    fd = openat(s.ledger_fd, name, O_WRONLY | O_TRUNC | O_CLOEXEC);
    CHECK(fd >= 0);
    close(fd);
    CHECK(capture(&s, "", "x") == 0);
    sum(&s, counts);
    balanced(&s, counts);
    number = s.ledger.fd;
    CHECK(close(number) == 0);
    theirs = openat(s.root_fd, "theirs", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(theirs == number && write(theirs, "app", 3) == 3);
    for (i = 0; i < 3; i++)
        CHECK(capture(&s, "", "x") == 0);
    CHECK(pread(theirs, text, sizeof text, 0) == 3 && memcmp(text, "app", 3) == 0);
    close(theirs);
    sum(&s, counts);
    CHECK(counts[HK_COUNT_CAPTURED] == 5);
    balanced(&s, counts);
    hk_spool_free(&s);
}

/* A process whose ledger has the name of one that was folded (a pid comes round; without /proc it is all there is)
 * counts, and the next fold leaves its file alone. */
static void a_folded_name_comes_round(void)
{
    static const uint64_t image[HK_LEDGER_SLOTS] = { 0, 7 };
    uint64_t counts[HK_LEDGER_SLOTS];
    char name[64];
    int i, fd;
    hk_spool s;
    pid_t pid;

    open_spool(&s, HK_SPOOL_MAX_BYTES, 1000);
    pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    for (i = 1; i <= 3; i++) {
        snprintf(name, sizeof name, "%ld-0", (long)(i < 3 ? pid : getpid()));
        fd = openat(s.ledger_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        CHECK(write(fd, "HKLEDG01", 8) == 8 && write(fd, image + 1, sizeof image - 8) == (ssize_t)sizeof image - 8);
        close(fd);
        sum(&s, counts);
        CHECK(counts[HK_COUNT_CAPTURED] == 7 * (uint64_t)i);
        CHECK(hk_ledger_fold(s.ledger_fd) == HK_OK && hk_ledger_fold(s.ledger_fd) == HK_OK);
        sum(&s, counts);
        CHECK(counts[HK_COUNT_CAPTURED] == 7 * (uint64_t)i);
    }
    CHECK(unlinkat(s.ledger_fd, name, 0) == 0); /* of a process that lives */
    hk_spool_free(&s);
}

/* ---- the sender, without network ---- */

typedef struct fake {
    int status; /* of every reply; 0: no reply */
    const char *limits;
    const char *location;
    unsigned started;
    unsigned most;    /* at once */
    unsigned waiting;
    void *tags[64];
    const char *hangs; /* a host: its requests get no reply */
    void *hanging[64];
    unsigned hanging_count;
    int refuses; /* to begin any */
    char first_url[256];
    char last_body[4096];
} fake;

static int fake_start(void *ctx, const hk_request_out *r)
{
    fake *f = ctx;

    if (f->refuses || f->waiting == 64)
        return -1;
    if (f->started == 0)
        snprintf(f->first_url, sizeof f->first_url, "%s", r->url);
    snprintf(f->last_body, sizeof f->last_body, "%.*s", (int)r->body.n, r->body.p);
    f->started++;
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
        hk_reply_in r = { f->status, { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, "no network here", tags[i] };
        if (f->limits != NULL)
            r.rate_limits = hk_slice_of(f->limits);
        if (f->location != NULL)
            r.location = hk_slice_of(f->location);
        done(done_ctx, &r);
    }
}

static int fake_datagram(void *ctx, const char *host, unsigned port, hk_slice body)
{
    fake *f = ctx;

    f->started++;
    snprintf(f->first_url, sizeof f->first_url, "%s:%u", host, port);
    snprintf(f->last_body, sizeof f->last_body, "%.*s", (int)body.n, body.p);
    return f->status == 200 ? 0 : f->status == 413 ? -2 : -1;
}

static hk_sender *make_sender(hk_spool *s, fake *f, int discard_limited)
{
    hk_transport t = { fake_start, fake_run, fake_datagram, f };
    hk_sender_options o = { HK_SENDER_CONNECTIONS, discard_limited, 1 };
    hk_sender *sender = hk_sender_new(s, &t, &o);

    CHECK(sender != NULL);
    return sender;
}

static void turn_until(hk_sender *sender, hk_spool *s, unsigned left)
{
    int i;

    for (i = 0; i < 400 && files_in(s->new_fd) != left; i++) {
        hk_sender_turn(sender, 0);
        usleep(1000);
    }
    CHECK(files_in(s->new_fd) == left);
}

static void turn_until_empty(hk_sender *sender, hk_spool *s)
{
    int i;

    for (i = 0; i < 10000 && files_in(s->new_fd) > 0; i++) {
        hk_sender_turn(sender, 0);
        usleep(1000);
    }
    CHECK(files_in(s->new_fd) == 0);
}

static void delivers(const char *options, int status, unsigned left, hk_count counter, unsigned dead)
{
    uint64_t counts[HK_LEDGER_SLOTS];
    fake f;
    hk_spool s;
    hk_sender *sender;
    int i;

    memset(&f, 0, sizeof f);
    f.status = status;
    open_spool(&s, HK_SPOOL_MAX_BYTES, 1000);
    for (i = 0; i < 40; i++)
        CHECK(capture(&s, options, "hello") == 0);
    sender = make_sender(&s, &f, 0);
    turn_until(sender, &s, left);
    sum(&s, counts);
    CHECK(counts[counter] == 40 - left);
    CHECK(files_in(s.dead_fd) == dead);
    CHECK(f.most <= HK_SENDER_CONNECTIONS);
    balanced(&s, counts);
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
    open_spool(&s, HK_SPOOL_MAX_BYTES, 1000);
    for (i = 0; i < 100; i++)
        capture(&s, "", "x");
    sender = make_sender(&s, &f, 0);
    until = hk_sys_monotonic_ms() + 300; /* the probe after the first comes 1.5 s later at the earliest */
    while (hk_sys_monotonic_ms() < until) {
        hk_sender_turn(sender, 0);
        usleep(1000);
    }
    CHECK(f.started >= 1 && f.started <= HK_SENDER_CONNECTIONS + 1);
    CHECK(files_in(s.new_fd) == 100);
    f.status = 200;
    for (i = 0; i < 3000 && files_in(s.new_fd) > 0; i++) {
        hk_sender_turn(sender, 0);
        usleep(1000);
    }
    sum(&s, counts);
    CHECK(counts[HK_COUNT_DELIVERED] == 100);
    balanced(&s, counts);
    hk_sender_free(sender);
    hk_spool_free(&s);
}

static void turn_for(hk_sender *sender, unsigned ms)
{
    uint64_t until = hk_sys_monotonic_ms() + ms;

    while (hk_sys_monotonic_ms() < until) {
        hk_sender_turn(sender, 0);
        usleep(1000);
    }
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

static void name_in(hk_spool *s, char name[256])
{
    int fd = openat(s->new_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent *found;
    DIR *dir = fdopendir(fd);

    while ((found = readdir(dir)) != NULL)
        if (found->d_name[0] != '.')
            snprintf(name, 256, "%s", found->d_name);
    closedir(dir);
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

    memset(&f, 0, sizeof f);
    f.status = 200;
    open_spool(&s, HK_SPOOL_MAX_BYTES, 1000);
    sender = make_sender(&s, &f, 0);
    hk_sender_turn(sender, 0);
    CHECK(hk_sender_has_lock(sender));
    CHECK(capture(&s, "", "x") == 0);
    name_in(&s, name);
    forbid(&s, name, readable);
    turn_for(sender, 1500);
    CHECK(f.started == (readable ? 1 : 0));
    allow(&s, name);
    turn_until_empty(sender, &s);
    CHECK(f.started == 1);
    sum(&s, counts);
    CHECK(counts[HK_COUNT_DELIVERED] == 1);
    balanced(&s, counts);
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
    open_spool(&s, HK_SPOOL_MAX_BYTES, 1000);
    for (i = 0; i < 300; i++)
        capture(&s, "dsn=http://abc@slow/1", "x");
    capture(&s, "", "y");
    sender = make_sender(&s, &f, 0);
    turn_until(sender, &s, 300);
    CHECK(f.hanging_count == HK_SENDER_CONNECTIONS * 3 / 4 && hk_sender_under_way(sender) == f.hanging_count);
    capture(&s, "", "z"); /* once all is read, too */
    turn_until(sender, &s, 300);
    answer_hanging(&f, sender, 0); /* timeouts: they wait again, and go as the server is back */
    CHECK(files_in(s.new_fd) == 300);
    for (i = 0; i < 3000 && files_in(s.new_fd) > 0; i++) {
        hk_sender_turn(sender, 0);
        usleep(1000);
    }
    sum(&s, counts);
    CHECK(counts[HK_COUNT_DELIVERED] == 302 && f.started == 302 + HK_SENDER_CONNECTIONS * 3 / 4);
    balanced(&s, counts);
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
    open_spool(&s, HK_SPOOL_MAX_BYTES, 1000);
    for (turns = 0; turns < 600; turns++)
        capture(&s, "", "x");
    sender = make_sender(&s, &f, 0);
    for (turns = 0; turns < 600 && files_in(s.new_fd) > 0; turns++)
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
    open_spool(&s, HK_SPOOL_MAX_BYTES, 1000);
    capture(&s, "", "x");
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
    fake f;
    hk_spool s;
    hk_sender *sender;
    hk_slice limits;
    char path[200];
    int i;

    memset(&f, 0, sizeof f);
    f.status = 429;
    f.limits = "60:error:organization";
    open_spool(&s, HK_SPOOL_MAX_BYTES, 1000);
    for (i = 0; i < 30; i++)
        capture(&s, "", "x");
    sender = make_sender(&s, &f, 0);
    for (i = 0; i < 50; i++)
        hk_sender_turn(sender, 0);
    CHECK(f.started <= HK_SENDER_CONNECTIONS && files_in(s.new_fd) == 30);
    hk_sender_free(sender);
    snprintf(path, sizeof path, "%s/state/limits.json", spool_path);
    limits = check_read_file(path);
    CHECK(hk_slice_starts(limits, "{\"version\":1,\"limits\":{\"http://abc@127.0.0.1:9/1\":{\"error\":"));
    hk_buf_release((void *)limits.p);
    f.started = 0;
    f.status = 200;
    sender = make_sender(&s, &f, 0);
    for (i = 0; i < 50; i++)
        hk_sender_turn(sender, 0);
    CHECK(f.started == 0 && files_in(s.new_fd) == 30);
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
    open_spool(&s, HK_SPOOL_MAX_BYTES, 1000);
    capture(&s, "", "x");
    sender = make_sender(&s, &f, 0);
    turn_until(sender, &s, 0);
    CHECK(f.started == 4); /* itself and three hops */
    sum(&s, counts);
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
    open_spool(&s, HK_SPOOL_MAX_BYTES, 1000);
    hk_ledger_add(&s.ledger, HK_COUNT_CAPTURED, 1);
    CHECK(hk_spool_put(&s, "0123456789abcdef0123456789abcdef", hk_slice_of("garbage"), 1) == 0);
    capture(&s, "", "x");
    sender = make_sender(&s, &f, 0);
    turn_until(sender, &s, 0);
    sum(&s, counts);
    CHECK(counts[HK_COUNT_DELIVERED] == 1 && counts[HK_COUNT_INTERNAL_SDK_ERROR] == 1 && files_in(s.dead_fd) == 1);
    balanced(&s, counts);
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
    open_spool(&s, HK_SPOOL_MAX_BYTES, 1000);
    a = make_sender(&s, &f, 0);
    b = make_sender(&s, &g, 0);
    hk_sender_turn(a, 0);
    hk_sender_turn(b, 0);
    CHECK(hk_sender_has_lock(a) && !hk_sender_has_lock(b));
    capture(&s, "", "x");
    for (i = 0; i < 20; i++) {
        hk_sender_turn(b, 0);
        usleep(1000);
    }
    CHECK(g.started == 0);
    turn_until(a, &s, 0);
    hk_sender_free(a);
    capture(&s, "", "y");
    for (i = 0; i < 3000 && files_in(s.new_fd) > 0; i++) {
        hk_sender_turn(b, 0);
        usleep(1000);
    }
    CHECK(g.started == 1 && f.started == 1);
    hk_sender_free(b);
    hk_spool_free(&s);
}

/* A report of what was refused goes to the server that refused it. */
static void client_report(void)
{
    fake f;
    hk_spool s;
    hk_sender *sender;

    memset(&f, 0, sizeof f);
    f.status = 400;
    open_spool(&s, HK_SPOOL_MAX_BYTES, 1000);
    capture(&s, "", "x");
    capture(&s, "", "y");
    sender = make_sender(&s, &f, 0);
    turn_until(sender, &s, 0);
    hk_sender_last_report(sender);
    CHECK(strstr(f.last_body, "\"type\":\"client_report\"") != NULL);
    CHECK(strstr(f.last_body, "{\"reason\":\"send_error\",\"category\":\"error\",\"quantity\":2}") != NULL);
    hk_sender_drain(sender, 0);
    CHECK(hk_sender_under_way(sender) == 0);
    hk_sender_free(sender);
    hk_spool_free(&s);
}

/* With any single allocation refused nothing leaks, nothing crashes, and every event is accounted for. */
static void out_of_memory(void)
{
    uint64_t counts[HK_LEDGER_SLOTS];
    hk_capture_defaults d = { { "host", 4 }, { "", 0 }, { "", 0 } };
    hk_capture_facts f;
    hk_options o;
    hk_spool s;
    hk_buf why;
    long n;

    memset(&f, 0, sizeof f);
    f.message = hk_slice_of("some message");
    f.exception_type = hk_slice_of("a.B");
    f.backtrace = hk_slice_make("\3\0a.y\1\0007\1\0f\1\0x\0\0", 16);
    f.vars = hk_slice_make("\x0e\0REQUEST_METHOD\3\0GET\x0b\0HTTP_COOKIE\1\0x", 37);
    open_spool(&s, HK_SPOOL_MAX_BYTES, 1000);
    for (n = 0; n < 60; n++) {
        hk_buf_init(&why, 1024);
        check_refuse_from(n);
        if (hk_options_parse(hk_slice_of("tags=a:b;c:d,extra=e:f,fingerprint=x;y,protocol=3"), HTTP_DSN, &o, &why) == HK_OK)
            (void)hk_capture(&s, &o, &d, &f, NULL);
        hk_options_free(&o);
        hk_buf_free(&why);
        check_refuse_from(-1);
    }
    sum(&s, counts);
    CHECK(counts[HK_COUNT_INTERNAL_SDK_ERROR] > 0 && counts[HK_COUNT_SPOOLED_COUNT] > 0);
    balanced(&s, counts);
    hk_spool_free(&s);
}

static void resolves(void)
{
    hk_buf path;

    hk_buf_init(&path, 4096);
    CHECK_TEXT("set by sentry-spool", hk_slice_of(hk_spool_resolve("/a/b//", "/c", 7, &path)));
    CHECK_TEXT("/a/b", hk_buf_slice(&path));
    hk_buf_clear(&path);
    CHECK_TEXT("from $HEKA_RAVEN_SPOOL", hk_slice_of(hk_spool_resolve(NULL, "/c", 7, &path)));
    CHECK_TEXT("/c", hk_buf_slice(&path));
    hk_buf_clear(&path);
    (void)hk_spool_resolve("", "", 4242, &path);
    CHECK(memmem(path.data, path.len, "4242", 4) != NULL);
    hk_buf_free(&path);
}

int main(void)
{
    root = check_make_directory();
    hk_sys_set_log(quiet);
    writes_and_caps();
    refuses_unsafe();
    deleted_under_us();
    descriptors_closed();
    ledgers_across_forks();
    a_folded_name_comes_round();
    ledger_cut_short();
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
    client_report();
    out_of_memory();
    resolves();
    check_remove_directory(root);
    printf("%d checks, %d failed\n", check_done, check_failed);
    return check_failed != 0;
}

/* test_spool.c: the spool on a real disk, ledgers across forks. */
#include "spools.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void writes_and_caps(void)
{
    uint64_t counts[HK_LEDGER_SLOTS];
    struct stat st;
    hk_spool s;
    int i;

    spools_open(&s, HK_SPOOL_MAX_BYTES, 3);
    for (i = 0; i < 5; i++)
        CHECK(spools_capture(&s, "", "x") == (i < 3 ? 0 : -1));
    CHECK(spools_files(s.new_fd) == 3 && spools_files(s.tmp_fd) == 0);
    spools_sum(&s, counts);
    CHECK(counts[HK_COUNT_CAPTURED] == 5 && counts[HK_COUNT_CACHE_OVERFLOW] == 2 && counts[HK_COUNT_WRITE_FAILED] == 0);
    spools_balanced(&s, counts);
    CHECK(fstat(s.root_fd, &st) == 0 && (st.st_mode & 0777) == 0700);
    hk_spool_free(&s);
    spools_open(&s, 700, 100);
    CHECK(spools_capture(&s, "", "x") == 0 && spools_capture(&s, "", "x") == -1);
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
    snprintf(path, sizeof path, "%s/open", spools_root);
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

    spools_open(&s, HK_SPOOL_MAX_BYTES, 100);
    CHECK(spools_capture(&s, "", "one") == 0);
    CHECK(spools_capture(&s, "", "two") == 0);
    check_remove_directory(spools_path);
    CHECK(spools_capture(&s, "", "three") == 0);
    CHECK(spools_files(s.new_fd) == 1);
    spools_sum(&s, counts);
    CHECK(counts[HK_COUNT_CAPTURED] == 1 && counts[HK_COUNT_SPOOLED_COUNT] == 1);
    spools_balanced(&s, counts);
    hk_spool_free(&s);
}

/* Moved away under us, the spool is made anew at its path, where the other half looks; what waited went with the old one. */
static void moved_under_us(void)
{
    uint64_t counts[HK_LEDGER_SLOTS];
    char old[160];
    hk_spool s;

    spools_open(&s, HK_SPOOL_MAX_BYTES, 100);
    CHECK(spools_capture(&s, "", "one") == 0);
    snprintf(old, sizeof old, "%s.old", spools_path);
    CHECK(rename(spools_path, old) == 0);
    CHECK(spools_capture(&s, "", "two") == 0);
    CHECK(access(spools_path, F_OK) == 0 && spools_files(s.new_fd) == 1);
    spools_sum(&s, counts);
    CHECK(counts[HK_COUNT_CAPTURED] == 1 && counts[HK_COUNT_SPOOLED_COUNT] == 1);
    spools_balanced(&s, counts);
    check_remove_directory(spools_path);
    CHECK(rename(old, spools_path) == 0 && hk_spool_ensure(&s) == 0);
    CHECK(spools_files(s.new_fd) == 1); /* the first one is back */
    hk_spool_free(&s);
}

/* An application that closes our descriptors and opens its own loses none of them, and we lose no event. */
static void descriptors_closed(void)
{
    hk_spool s;
    int theirs, number;

    spools_open(&s, HK_SPOOL_MAX_BYTES, 100);
    number = s.tmp_fd;
    close(number);
    theirs = open("/dev/null", O_RDONLY);
    CHECK(theirs == number);
    CHECK(spools_capture(&s, "", "x") == 0);
    CHECK(fcntl(theirs, F_GETFD) >= 0 && s.tmp_fd != theirs);
    CHECK(spools_files(s.new_fd) == 1);
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

    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    CHECK(spools_capture(&s, "", "parent") == 0);
    for (i = 0; i < 5; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            int k;
            for (k = 0; k < 20; k++)
                spools_capture(&s, "", "child");
            kill(getpid(), SIGKILL);
        }
    }
    for (i = 0; i < 5; i++)
        waitpid(pids[i], &status, 0);
    spools_sum(&s, counts);
    CHECK(counts[HK_COUNT_CAPTURED] == 101);
    spools_balanced(&s, counts);
    CHECK(hk_ledgers_fold(s.ledger_fd) == HK_OK);
    spools_sum(&s, counts);
    CHECK(counts[HK_COUNT_CAPTURED] == 101);
    CHECK(hk_ledgers_fold(s.ledger_fd) == HK_OK);
    CHECK(spools_capture(&s, "", "parent") == 0);
    spools_sum(&s, counts);
    CHECK(counts[HK_COUNT_CAPTURED] == 102);
    spools_balanced(&s, counts);
    hk_spool_free(&s);
}

/* A ledger that cannot be read now, for want of a descriptor, is folded the next time: it is not taken for an empty one. */
static void fold_without_descriptors(void)
{
    uint64_t counts[HK_LEDGER_SLOTS];
    struct rlimit limit, one;
    hk_spool s;
    pid_t pid;
    int free_fd;

    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    pid = fork();
    if (pid == 0) {
        spools_capture(&s, "", "child");
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, NULL, 0);
    free_fd = dup(s.ledger_fd);
    close(free_fd);
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    one = limit;
    one.rlim_cur = (rlim_t)free_fd + 1; /* for the list of ledgers, and none for a ledger */
    CHECK(setrlimit(RLIMIT_NOFILE, &one) == 0);
    CHECK(hk_ledgers_fold(s.ledger_fd) == HK_OK);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    spools_sum(&s, counts);
    CHECK(counts[HK_COUNT_CAPTURED] == 1);
    CHECK(hk_ledgers_fold(s.ledger_fd) == HK_OK);
    spools_sum(&s, counts);
    CHECK(counts[HK_COUNT_CAPTURED] == 1);
    spools_balanced(&s, counts);
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

    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    CHECK(spools_capture(&s, "", "x") == 0);
    snprintf(name, sizeof name, "%ld-%llu", (long)getpid(), (unsigned long long)hk_ledger_start_time(getpid()));
    fd = openat(s.ledger_fd, name, O_WRONLY | O_TRUNC | O_CLOEXEC);
    CHECK(fd >= 0);
    close(fd);
    CHECK(spools_capture(&s, "", "x") == 0);
    spools_sum(&s, counts);
    spools_balanced(&s, counts);
    number = s.ledger.fd;
    CHECK(close(number) == 0);
    theirs = openat(s.root_fd, "theirs", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(theirs == number && write(theirs, "app", 3) == 3);
    for (i = 0; i < 3; i++)
        CHECK(spools_capture(&s, "", "x") == 0);
    CHECK(pread(theirs, text, sizeof text, 0) == 3 && memcmp(text, "app", 3) == 0);
    close(theirs);
    spools_sum(&s, counts);
    CHECK(counts[HK_COUNT_CAPTURED] == 5);
    spools_balanced(&s, counts);
    hk_spool_free(&s);
}

/* The directory is the workers': what they put under our name, a link or a file of root's, is neither written to nor given
 * away; the counts go to a new file. */
static void ledger_is_a_trap(void)
{
    char name[64], text[16] = "";
    uint64_t counts[HK_LEDGER_SLOTS];
    struct stat st;
    hk_spool s;
    int fd, kind;

    for (kind = 0; kind < 4; kind++) {
        spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
        fd = openat(s.root_fd, "precious", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        CHECK(fd >= 0 && write(fd, "precious", 8) == 8);
        snprintf(name, sizeof name, "%ld-%llu", (long)getpid(), (unsigned long long)hk_ledger_start_time(getpid()));
        if (kind == 0)
            CHECK(linkat(s.root_fd, "precious", s.ledger_fd, name, 0) == 0);
        else if (kind == 1)
            CHECK(symlinkat("../../precious", s.ledger_fd, name) == 0);
        else if (kind == 2)
            CHECK(mkfifoat(s.ledger_fd, name, 0600) == 0);
        else if (geteuid() == 0) { /* as master-as-root: ours is root's, the ledger is to be nobody's */
            s.ledger.uid = 65534;
            s.ledger.gid = 65534;
            CHECK(renameat(s.root_fd, "precious", s.ledger_fd, name) == 0);
        }
        CHECK(spools_capture(&s, "", "x") == 0);
        CHECK(pread(fd, text, sizeof text, 0) == 8 && memcmp(text, "precious", 8) == 0);
        CHECK(fstat(fd, &st) == 0 && st.st_uid == geteuid());
        CHECK(fstatat(s.ledger_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1);
        CHECK(st.st_uid == (geteuid() == 0 ? s.ledger.uid : geteuid()));
        spools_sum(&s, counts);
        CHECK(counts[HK_COUNT_CAPTURED] == 1);
        close(fd);
        CHECK(unlinkat(s.root_fd, "precious", 0) == 0 || kind == 3);
        hk_spool_free(&s);
    }
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

    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    for (i = 1; i <= 3; i++) {
        snprintf(name, sizeof name, "%ld-0", (long)(i < 3 ? pid : getpid()));
        fd = openat(s.ledger_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        CHECK(write(fd, "HKLEDG01", 8) == 8 && write(fd, image + 1, sizeof image - 8) == (ssize_t)sizeof image - 8);
        close(fd);
        spools_sum(&s, counts);
        CHECK(counts[HK_COUNT_CAPTURED] == 7 * (uint64_t)i);
        CHECK(hk_ledgers_fold(s.ledger_fd) == HK_OK && hk_ledgers_fold(s.ledger_fd) == HK_OK);
        spools_sum(&s, counts);
        CHECK(counts[HK_COUNT_CAPTURED] == 7 * (uint64_t)i);
    }
    CHECK(unlinkat(s.ledger_fd, name, 0) == 0); /* of a process that lives */
    hk_spool_free(&s);
}

/* With any single allocation refused nothing leaks, nothing crashes, and every event is accounted for. */
static void out_of_memory(void)
{
    uint64_t counts[HK_LEDGER_SLOTS];
    hk_capture_defaults d = { { "host", 4 }, { "", 0 }, { "", 0 }, { NULL, 0 }, { NULL, 0 }, { 0 } };
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
    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    for (n = 0; n < 500; n++) {
        hk_buf_init(&why, 1024);
        check_refuse_from(n);
        if (hk_options_parse(hk_slice_of("tags=a:b;c:d,extra=e:f,fingerprint=x;y,protocol=3"), SPOOLS_DSN, &o, &why) == HK_OK)
            (void)hk_capture_event(&s, &o, &d, &f, NULL);
        hk_options_free(&o);
        hk_buf_free(&why);
        check_refuse_from(-1);
    }
    spools_sum(&s, counts);
    CHECK(counts[HK_COUNT_INTERNAL_SDK_ERROR] > 0 && counts[HK_COUNT_SPOOLED_COUNT] > 0);
    spools_balanced(&s, counts);
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
    spools_start();
    writes_and_caps();
    refuses_unsafe();
    deleted_under_us();
    moved_under_us();
    descriptors_closed();
    ledgers_across_forks();
    fold_without_descriptors();
    a_folded_name_comes_round();
    ledger_cut_short();
    ledger_is_a_trap();
    out_of_memory();
    resolves();
    return spools_end();
}

#include "spools.h"

#include "../../uwsgi_plugin/sender/queue.h"

#include <unistd.h>

const char *spools_root;
char spools_path[128];

static void quiet(const char *line)
{
    (void)line;
}

void spools_open(hk_spool *s, uint64_t max_bytes, uint64_t max_count)
{
    static int number;
    hk_buf why;

    hk_buf_init(&why, 4096);
    snprintf(spools_path, sizeof spools_path, "%s/spool-%d", spools_root, number++);
    CHECK(hk_spool_open(s, spools_path, geteuid(), getegid(), max_bytes, max_count, &why) == HK_OK);
    hk_buf_free(&why);
}

int spools_capture(hk_spool *s, const char *options, const char *message)
{
    hk_capture_defaults d = { { "host", 4 }, { "", 0 }, { "", 0 }, { NULL, 0 }, { NULL, 0 }, { 0 } };
    hk_capture_facts f;
    hk_options o;
    hk_buf why;
    int rc = -2;

    memset(&f, 0, sizeof f);
    f.message = hk_slice_of(message);
    hk_buf_init(&why, 1024);
    if (hk_options_parse(hk_slice_of(options), SPOOLS_DSN, &o, &why) == HK_OK)
        rc = hk_capture_event(s, &o, &d, &f, NULL);
    hk_options_free(&o);
    hk_buf_free(&why);
    return rc;
}

unsigned spools_files(int fd)
{
    uint64_t files = 0, bytes = 0;

    CHECK(hk_queue_measure(fd, &files, &bytes) == 0);
    return (unsigned)files;
}

void spools_balanced(hk_spool *s, const uint64_t counts[HK_LEDGER_SLOTS])
{
    uint64_t ends = counts[HK_COUNT_DELIVERED] + spools_files(s->new_fd);
    unsigned i;

    for (i = HK_COUNT_DISCARDED_FIRST; i <= HK_COUNT_DISCARDED_LAST; i++)
        ends += counts[i];
    CHECK(counts[HK_COUNT_CAPTURED] == ends);
    CHECK(hk_ledger_pending(counts) == spools_files(s->new_fd));
}

void spools_sum(hk_spool *s, uint64_t counts[HK_LEDGER_SLOTS])
{
    CHECK(hk_ledgers_sum(s->ledger_fd, counts) == HK_OK);
}

void spools_start(void)
{
    spools_root = check_make_directory();
    hk_sys_set_log(quiet);
}

int spools_end(void)
{
    check_remove_directory(spools_root);
    printf("%d checks, %d failed\n", check_done, check_failed);
    return check_failed != 0;
}

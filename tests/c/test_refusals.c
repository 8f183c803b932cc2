/* test_refusals.c: what the sender tells of refused events, and of servers. */
#include "fake.h"
#include "spools.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A report of what was refused goes to the server that refused it. */
static void client_report(void)
{
    fake f;
    hk_spool s;
    hk_sender *sender;

    memset(&f, 0, sizeof f);
    f.status = 400;
    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    spools_capture(&s, "", "x");
    spools_capture(&s, "", "y");
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

static int file_has(const char *name, const char *words)
{
    char path[300];
    hk_slice found;
    int has;
    hk_buf text;

    snprintf(path, sizeof path, "%s/%s", spools_path, name);
    if (access(path, R_OK) < 0)
        return 0;
    found = check_read_file(path);
    hk_buf_init(&text, 1U << 20);
    hk_buf_slice_put(&text, found);
    has = hk_buf_text(&text) != NULL && strstr(hk_buf_text(&text), words) != NULL;
    hk_buf_free(&text);
    hk_buf_release((void *)found.p);
    return has;
}

/* Why a server refused an event stands beside its copy in dead/, in one line; it goes when the copy went. */
static void keeps_the_reason(void)
{
    char name[256], why[300];
    fake f;
    hk_spool s;
    hk_sender *sender;

    memset(&f, 0, sizeof f);
    f.status = 403;
    f.detail = "invalid\033[2J\napi key ";
    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    spools_capture(&s, "", "x");
    name_in(&s, name);
    sender = make_sender(&s, &f, 0);
    turn_until(sender, &s, 0);
    snprintf(why, sizeof why, "dead/%.*s.why", (int)strlen(name) - 4, name);
    CHECK(file_has(why, "http://127.0.0.1:9/1: status 403 invalid\xe2\x90\x9b[2J\xe2\x90\x8a" "api key\n"));
    hk_queue_sweep(&s, hk_sys_now_ns());
    CHECK(file_has(why, "status 403"));
    CHECK(unlinkat(s.dead_fd, name, 0) == 0);
    CHECK(close(openat(s.dead_fd, "x.why.new", O_WRONLY | O_CREAT, 0600)) == 0);
    hk_queue_sweep(&s, hk_sys_now_ns());
    CHECK(!file_has(why, "") && !file_has("dead/x.why.new", ""));
    hk_ledger_add(&s.ledger, HK_COUNT_CAPTURED, 1);
    CHECK(hk_spool_put(&s, "0123456789abcdef0123456789abcdef", hk_slice_of("garbage"), 1) == 0);
    name_in(&s, name);
    turn_until(sender, &s, 0);
    snprintf(why, sizeof why, "dead/%.*s.why", (int)strlen(name) - 4, name);
    CHECK(file_has(why, "\n"));
    hk_sender_free(sender);
    hk_spool_free(&s);
}

/* How a server answers stands in state/servers.json: the last success, the last error in words, the next try. */
static void tells_how_servers_answer(void)
{
    fake f;
    hk_spool s;
    hk_sender *sender;

    memset(&f, 0, sizeof f);
    f.status = 200;
    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    spools_capture(&s, "", "x");
    sender = make_sender(&s, &f, 0);
    turn_until(sender, &s, 0);
    hk_sender_free(sender);
    CHECK(file_has("state/servers.json", "{\"http://abc@127.0.0.1:9/1\":{\"success_at\":1"));
    CHECK(!file_has("state/servers.json", "error") && !file_has("state/servers.json", "def"));
    f.status = 0;
    spools_capture(&s, "", "y");
    sender = make_sender(&s, &f, 0);
    turn_for(sender, 50);
    hk_sender_free(sender);
    CHECK(file_has("state/servers.json", "{\"success_at\":1"));
    CHECK(file_has("state/servers.json", "\"error\":\"no network here\",\"error_at\":1"));
    CHECK(file_has("state/servers.json", "\"next_try\":1"));
    hk_spool_free(&s);
}

int main(void)
{
    spools_start();
    keeps_the_reason();
    tells_how_servers_answer();
    client_report();
    return spools_end();
}

/* servers.c: state/servers.json. */
#include "servers.h"

#include "../core/json.h"
#include "../core/jsonread.h"
#include "../core/policy.h"
#include "../edge/statefile.h"

#include <fcntl.h>
#include <unistd.h>

#define FILE_MAX (4U << 20)
static const char file_name[] = "servers.json";

void hk_servers_answered(hk_targets *t, unsigned number, double now_s, hk_slice error)
{
    hk_target *target = &t->list[number];

    t->answered = 1;
    if (error.n == 0) {
        target->success_at_s = now_s;
        return;
    }
    target->error_at_s = now_s;
    if (target->error != NULL && hk_slice_is(error, target->error))
        return;
    hk_buf_release(target->error);
    target->error = hk_buf_dup(error);
}

typedef struct loading {
    hk_targets *targets;
    unsigned number;
} loading;

static int load_fact(void *ctx, hk_slice key, hk_slice value)
{
    loading *l = ctx;
    hk_target *target = &l->targets->list[l->number];
    hk_buf text;

    if (hk_slice_is(key, "success_at")) {
        (void)hk_jsonread_number(value, &target->success_at_s);
    } else if (hk_slice_is(key, "error_at")) {
        (void)hk_jsonread_number(value, &target->error_at_s);
    } else if (hk_slice_is(key, "error")) {
        hk_buf_init(&text, 4096);
        if (hk_jsonread_string(value, &text) == HK_OK && hk_buf_ok(&text)) {
            hk_buf_release(target->error);
            target->error = hk_buf_dup(hk_buf_slice(&text));
        }
        hk_buf_free(&text);
    }
    return 0;
}

static int load_server(void *ctx, hk_slice key, hk_slice value)
{
    loading *l = ctx;
    hk_dsn dsn;

    if (hk_dsn_parse(key, &dsn, NULL) != HK_OK || l->targets->count > HK_SERVERS_MAX)
        return 0;
    l->number = hk_targets_find_key(l->targets, key);
    if (l->number != 0)
        (void)hk_jsonread_object(value, load_fact, l);
    return 0;
}

void hk_servers_load(hk_targets *t, int state_fd)
{
    int fd = openat(state_fd, file_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    loading l = { t, 0 };
    char part[4096];
    ssize_t n;
    hk_buf text;

    if (fd < 0)
        return;
    hk_buf_init(&text, FILE_MAX);
    while ((n = read(fd, part, sizeof part)) > 0)
        hk_buf_put(&text, part, (size_t)n);
    close(fd);
    if (hk_buf_ok(&text))
        (void)hk_jsonread_object(hk_buf_slice(&text), load_server, &l);
    hk_buf_free(&text);
}

static void put_time(hk_json *j, const char *key, double at_s)
{
    uint64_t ms = (uint64_t)(at_s * 1000 + 0.5);

    if (at_s <= 0)
        return;
    hk_json_key(j, hk_slice_of(key), HK_JSON_NO_LIMIT);
    hk_json_u64(j, ms / 1000);
    hk_buf_putc(j->out, '.');
    hk_buf_put_u64_padded(j->out, ms % 1000, 3);
}

/* Until when nothing goes to a target; in the past when something may. */
static double next_try(const hk_target *t, double now_s, uint64_t now_ms)
{
    double until = t->all_until_s > t->error_until_s ? t->all_until_s : t->error_until_s;
    double probe = t->step > 0 && t->wait_until_ms > now_ms ? now_s + (double)(t->wait_until_ms - now_ms) / 1000 : 0;

    return probe > until ? probe : until;
}

void hk_servers_save(hk_targets *t, int state_fd, double now_s, uint64_t now_ms)
{
    unsigned written = 0;
    hk_buf text;
    hk_json j;
    size_t i;

    if (!t->answered)
        return;
    t->answered = 0;
    hk_buf_init(&text, FILE_MAX);
    hk_json_init(&j, &text);
    hk_json_open(&j, '{');
    for (i = 1; i < t->count && written < HK_SERVERS_MAX; i++) {
        const hk_target *target = &t->list[i];
        double next = next_try(target, now_s, now_ms);
        if (target->success_at_s <= 0 && target->error_at_s <= 0)
            continue;
        written++;
        hk_json_key(&j, hk_slice_of(target->key), HK_JSON_NO_LIMIT);
        hk_json_open(&j, '{');
        put_time(&j, "success_at", target->success_at_s);
        if (target->error != NULL)
            hk_json_pair(&j, "error", hk_slice_of(target->error), HK_POLICY_MAX_WORDS);
        put_time(&j, "error_at", target->error_at_s);
        put_time(&j, "next_try", next > now_s ? next : 0);
        hk_json_close(&j, '}');
    }
    hk_json_close(&j, '}');
    if (hk_buf_ok(&text))
        (void)hk_statefile_replace(state_fd, file_name, ".servers", hk_buf_slice(&text), (uid_t)-1, (gid_t)-1);
    hk_buf_free(&text);
}

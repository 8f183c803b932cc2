/* test_servers.c: state/servers.json, which both senders write. */
#include "spools.h"

#include "../../uwsgi_plugin/edge/statefile.h"
#include "../../uwsgi_plugin/sender/servers.h"

/* What the Python sender wrote is read and written again as it was; damage and strangers count as nothing. */
static void servers_of_both(void)
{
    static const char *const strange[] = { "", "{", "[]", "{\"x\":1}", "{\"http://a@b/1\":3}",
                                           "{\"http://a@b/1\":{\"error\":3,\"success_at\":\"x\"}}" };
    hk_slice given = check_read_file(check_data("servers.json")), found;
    char path[300];
    hk_targets t;
    hk_spool s;
    size_t i;

    spools_open(&s, HK_SPOOL_MAX_BYTES, 1000);
    CHECK(hk_spool_ensure(&s) >= 0);
    CHECK(hk_statefile_replace(s.state_fd, "servers.json", "new", given, (uid_t)-1, (gid_t)-1) == HK_OK);
    CHECK(hk_targets_init(&t) == HK_OK);
    hk_servers_load(&t, s.state_fd);
    CHECK(t.count == 3);
    t.list[1].all_until_s = 1790000060;
    t.answered = 1;
    hk_servers_save(&t, s.state_fd, 1790000003, 0);
    snprintf(path, sizeof path, "%s/state/servers.json", spools_path);
    found = check_read_file(path);
    CHECK(given.n == found.n + 1 && memcmp(given.p, found.p, found.n) == 0); /* but for the end of the line */
    hk_buf_release((void *)found.p);
    hk_targets_free(&t);
    for (i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        CHECK(hk_statefile_replace(s.state_fd, "servers.json", "new", hk_slice_of(strange[i]), (uid_t)-1, (gid_t)-1) == HK_OK);
        CHECK(hk_targets_init(&t) == HK_OK);
        hk_servers_load(&t, s.state_fd);
        CHECK(t.count <= 2 && (t.count < 2 || t.list[1].error == NULL));
        hk_targets_free(&t);
    }
    hk_buf_release((void *)given.p);
    hk_spool_free(&s);
}

int main(void)
{
    spools_start();
    servers_of_both();
    return spools_end();
}

/* test_mounts.c: which files lie behind a network, by a list of mounts and real links. */
#include "check.h"

#include "../../uwsgi_plugin/edge/mounts.h"

#include <sys/stat.h>
#include <unistd.h>

static char folder[64] = "/tmp/hk-mounts-XXXXXX";

static void write_list(const char *path)
{
    FILE *file = fopen(path, "w");

    CHECK(file != NULL);
    fprintf(file,
            "1 0 8:1 / / rw - fuse.root host:/ rw\n" /* the root itself: this program comes from there, too */
            "2 1 0:5 / %s/remote rw,relatime shared:5 master:1 - nfs4 host:/export rw\n"
            "3 1 0:6 / %s/with\\040blank rw - fuse.sshfs x rw\n"
            "4 2 8:2 / %s/remote/local rw - ext4 /dev/sda2 rw\n"
            "5 1 0:7 / %s/over rw - nfs host:/ rw\n"
            "6 5 0:8 / %s/over rw - tmpfs tmpfs rw\n"
            "nonsense\n\n7 1 0:9\n"
            "8 1 0:9 / %s/unended rw - nfs host:/ rw", folder, folder, folder, folder, folder, folder);
    fclose(file);
}

static int is_remote(const hk_mounts *m, const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return hk_mounts_is_remote(m, path);
}

static void make(const char *name, const char *target)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK(target == NULL ? mkdir(path, 0755) == 0 : symlink(target, path) == 0);
}

static void a_list(void)
{
    char path[128], whole[5000];
    hk_mounts m;

    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/list", folder);
    write_list(path);
    hk_mounts_read(&m, path);
    make("remote", NULL);
    make("remoter", NULL);
    make("here", NULL);
    make("here/link", "../remote/app.py");
    make("here/absolute", folder);
    make("here/round", "round");
    CHECK(!is_remote(&m, "here/app.py") && !is_remote(&m, "remoter/app.py") && !is_remote(&m, "over/app.py"));
    CHECK(is_remote(&m, "remote") && is_remote(&m, "remote/app.py") && is_remote(&m, "remote/local/app.py")); /* by way of it */
    CHECK(is_remote(&m, "with blank/app.py") && is_remote(&m, "here/../remote/x") && is_remote(&m, ".//remote/x"));
    CHECK(is_remote(&m, "here/link") && is_remote(&m, "here/absolute/remote/x") && !is_remote(&m, "here/absolute/here"));
    CHECK(is_remote(&m, "here/round") && !is_remote(&m, "not/there") && !hk_mounts_is_remote(&m, "/"));
    CHECK(chdir(folder) == 0 && hk_mounts_is_remote(&m, "here/link") && !hk_mounts_is_remote(&m, "here/app.py"));
    memset(whole, 'a', sizeof whole);
    whole[0] = '/';
    whole[sizeof whole - 1] = '\0';
    CHECK(hk_mounts_is_remote(&m, whole));
    hk_mounts_free(&m);
    hk_mounts_read(&m, "/no/such/list");
    CHECK(!is_remote(&m, "remote/app.py"));
    hk_mounts_free(&m);
    hk_mounts_read(&m, NULL);
    CHECK(m.text.len > 2 && !hk_mounts_is_remote(&m, "/proc/self/status"));
    hk_mounts_free(&m);
    snprintf(whole, sizeof whole, "rm -r %s", folder);
    CHECK(system(whole) == 0);
}

int main(void)
{
    a_list();
    printf("%d checks, %d failed\n", check_done, check_failed);
    return check_failed > 0;
}

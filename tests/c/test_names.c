/* test_names.c: names to addresses, without a network. */
#include "check.h"

#include "../../uwsgi_plugin/sender/names.h"

#include "../../uwsgi_plugin/edge/sys.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Addresses in numbers are there at once, with no thread; what no server knows is told apart from what waits. */
static void numbers(hk_names *n)
{
    const hk_addresses *found = NULL;

    CHECK(hk_names_is_numeric("127.0.0.1") && hk_names_is_numeric("::1") && !hk_names_is_numeric("localhost"));
    CHECK(hk_names_ask(n, "127.0.0.1", 0, &found) == HK_NAMES_FOUND);
    CHECK(found != NULL && found->count == 1 && found->list[0].ss_family == AF_INET);
    CHECK(hk_names_ask(n, "::1", 0, &found) == HK_NAMES_FOUND);
    CHECK(found->count == 1 && found->list[0].ss_family == AF_INET6);
}

/* A name is asked for in a thread: the first answer is "come again", a later one is the address. */
static void a_name(hk_names *n)
{
    const hk_addresses *found = NULL;
    hk_names_answer answer = hk_names_ask(n, "localhost", hk_sys_monotonic_ms(), &found);
    int i;

    for (i = 0; i < 2000 && answer == HK_NAMES_ASKED; i++) {
        usleep(5000);
        answer = hk_names_ask(n, "localhost", 0, &found);
    }
    CHECK(answer == HK_NAMES_FOUND && found != NULL && found->count > 0);
}

/* A name that is too long for any server fails; more names than there are places push out old answers. */
static void many(hk_names *n)
{
    const hk_addresses *found = NULL;
    char host[400];
    int i;

    memset(host, 'a', sizeof host - 1);
    host[sizeof host - 1] = '\0';
    CHECK(hk_names_ask(n, host, 0, &found) == HK_NAMES_FAILED);
    for (i = 0; i < 200; i++) {
        snprintf(host, sizeof host, "127.0.1.%d", i);
        CHECK(hk_names_ask(n, host, 0, &found) == HK_NAMES_FOUND);
    }
}

int main(void)
{
    hk_names *n = hk_names_new();

    CHECK(n != NULL);
    numbers(n);
    a_name(n);
    many(n);
    hk_names_free(n);
    printf("%d checks, %d failed\n", check_done, check_failed);
    return check_failed != 0;
}

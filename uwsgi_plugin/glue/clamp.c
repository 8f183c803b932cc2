/* clamp.c: keeps what uWSGI puts into an exception packet inside its 16-bit lengths.
 *
 * uWSGI takes the length of a text modulo 65,536: of 70,000 characters it hands over 4,464. So the functions by which
 * a language plugin tells class, message, repr and backtrace are called through these, which cut first. They cut for
 * every exception handler of the server, each of which would have had less.
 */
#include "glue.h"

#include "../core/packet.h"

#define MAX_CLASS 1024U
#define MAX_TEXT 12288U      /* bytes; an event keeps 8,192 characters */
#define MAX_BACKTRACE 24576U /* all together, with the variables, must fit into a packet of 64 KiB */

typedef struct uwsgi_buffer *(*teller)(struct wsgi_request *);

static struct {
    teller type, message, repr, backtrace;
} original[256]; /* by modifier1 */

static struct uwsgi_buffer *cut(struct uwsgi_buffer *ub, size_t limit)
{
    size_t at = limit;

    if (ub == NULL || ub->pos <= limit)
        return ub;
    while (at > 0 && at > limit - 4 && ((unsigned char)ub->buf[at] & 0xc0) == 0x80)
        at--; /* not in the middle of a character */
    ub->pos = at;
    return ub;
}

static struct uwsgi_buffer *type(struct wsgi_request *r)
{
    return cut(original[r->uh->modifier1].type(r), MAX_CLASS);
}

static struct uwsgi_buffer *message(struct wsgi_request *r)
{
    return cut(original[r->uh->modifier1].message(r), MAX_TEXT);
}

static struct uwsgi_buffer *repr(struct wsgi_request *r)
{
    return cut(original[r->uh->modifier1].repr(r), MAX_TEXT);
}

static struct uwsgi_buffer *backtrace(struct wsgi_request *r)
{
    struct uwsgi_buffer *ub = original[r->uh->modifier1].backtrace(r);

    if (ub != NULL && ub->pos > MAX_BACKTRACE)
        ub->pos = hk_packet_fit_array(hk_slice_make(ub->buf, ub->pos), MAX_BACKTRACE);
    return ub;
}

void hk_clamp_install(void)
{
    struct uwsgi_string_list *item;
    int i, wanted = 0;

    for (item = uwsgi.exception_handlers_instance; item != NULL; item = item->next) {
        struct uwsgi_exception_handler_instance *instance = item->custom_ptr;
        wanted |= instance != NULL && strcmp(instance->handler->name, "sentry") == 0;
    }
    for (i = 0; wanted && i < 256; i++) {
        struct uwsgi_plugin *p = uwsgi.p[i];
        if (p == NULL) /* one plugin may answer to several modifiers: all are noted before any is changed */
            continue;
        original[i].type = p->exception_class;
        original[i].message = p->exception_msg;
        original[i].repr = p->exception_repr;
        original[i].backtrace = p->backtrace;
    }
    for (i = 0; wanted && i < 256; i++) {
        struct uwsgi_plugin *p = uwsgi.p[i];
        if (p == NULL)
            continue;
        if (original[i].type != NULL)
            p->exception_class = type;
        if (original[i].message != NULL)
            p->exception_msg = message;
        if (original[i].repr != NULL)
            p->exception_repr = repr;
        if (original[i].backtrace != NULL)
            p->backtrace = backtrace;
    }
}

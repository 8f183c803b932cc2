/* clamp.c: keeps what uWSGI puts into an exception packet inside its 16-bit lengths, and uWSGI alive.
 *
 * uWSGI takes the length of a text modulo 65,536: of 70,000 characters it hands over 4,464. So the functions by which
 * a language plugin tells class, message, repr and backtrace are called through these, which cut first. They cut for
 * every exception handler of the server, each of which would have had less.
 *
 * Of an exception whose __str__ raises, uWSGI's Python plugin reads a text that is not there, and the worker dies of
 * it. So str() is tried first, by functions of the Python that uWSGI has loaded.
 */
#include "glue.h"

#include "../core/packet.h"

#include <dlfcn.h>

#define MAX_CLASS 1024U
#define MAX_TEXT 12288U      /* bytes; an event keeps 8,192 characters */
#define MAX_BACKTRACE 24576U /* all together, with the variables, must fit into a packet of 64 KiB */

typedef struct uwsgi_buffer *(*teller)(struct wsgi_request *);

static struct {
    teller type, message, repr, backtrace;
} original[256]; /* by modifier1 */

/* What is used of Python's C API; all NULL where uWSGI runs no Python. */
static struct {
    void (*fetch)(void **type, void **value, void **traceback);
    void (*normalize)(void **type, void **value, void **traceback);
    void (*restore)(void *type, void *value, void *traceback);
    void (*clear)(void);
    void *(*str)(void *object);
    void (*decref)(void *object);
} python;

static void find(const char *name, void *function, size_t size)
{
    void *found = dlsym(RTLD_DEFAULT, name);

    memcpy(function, &found, size); /* ISO C has no cast from an object pointer to a function's */
}

/* Whether str() of the exception that is set works. Called as uWSGI calls the tellers: with the interpreter's lock. */
static int can_be_told(const struct wsgi_request *r)
{
    void *exc_type = NULL, *value = NULL, *traceback = NULL, *text;
    int told;

    if (python.fetch == NULL || strcmp(uwsgi.p[r->uh->modifier1]->name, "python") != 0)
        return 1;
    python.fetch(&exc_type, &value, &traceback);
    if (exc_type == NULL)
        return 1;
    python.normalize(&exc_type, &value, &traceback);
    text = value == NULL ? NULL : python.str(value);
    told = value == NULL || text != NULL;
    if (text == NULL)
        python.clear();
    else
        python.decref(text);
    python.restore(exc_type, value, traceback);
    return told;
}

/* In the place of a text that its class refuses; NULL when there is no memory for it. */
static struct uwsgi_buffer *refused(void)
{
    static char text[] = "<its __str__ raised>";
    struct uwsgi_buffer *ub = uwsgi_buffer_new(sizeof text);

    if (uwsgi_buffer_append(ub, text, sizeof text - 1) == 0)
        return ub;
    uwsgi_buffer_destroy(ub);
    return NULL;
}

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
    return can_be_told(r) ? cut(original[r->uh->modifier1].message(r), MAX_TEXT) : refused();
}

static struct uwsgi_buffer *repr(struct wsgi_request *r)
{
    return can_be_told(r) ? cut(original[r->uh->modifier1].repr(r), MAX_TEXT) : refused();
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
    if (wanted) {
        find("PyErr_NormalizeException", &python.normalize, sizeof python.normalize);
        find("PyErr_Restore", &python.restore, sizeof python.restore);
        find("PyErr_Clear", &python.clear, sizeof python.clear);
        find("PyObject_Str", &python.str, sizeof python.str);
        find("Py_DecRef", &python.decref, sizeof python.decref);
        if (python.normalize && python.restore && python.clear && python.str && python.decref)
            find("PyErr_Fetch", &python.fetch, sizeof python.fetch);
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

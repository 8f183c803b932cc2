#include "interpreters.h"

#include <dlfcn.h>
#include <errno.h>

/* CPython's own, exported until 3.12: Include/internal/pycore_traceback.h. faulthandler calls it for the interpreter of
 * PyGILState_GetThisThreadState(), which until 3.11 is the main one, whatever runs. */
typedef const char *dump_threads(int fd, void *interpreter, void *current);
typedef void *interpreter_of(void *thread_state);
typedef const char *version_text(void);

static dump_threads *dump;
static interpreter_of *find;
static struct sigaction faulthandler;

static void *symbol(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

/* The thread state with which the application of the running request was loaded; NULL: none runs, or it has the main one. */
static void *own_state(void)
{
    const struct uwsgi_worker *w = &uwsgi.workers[uwsgi.mywid];
    const struct uwsgi_core *core = &w->cores[0];
    int app = core->req.app_id;

    if (!core->in_request || app <= 0 || app >= w->apps_cnt || w->apps[app].modifier1 != 0
        || w->apps[app].interpreter == w->apps[0].interpreter)
        return NULL;
    return w->apps[app].interpreter;
}

static void write_stack(int signum, siginfo_t *info, void *context)
{
    int saved = errno;
    void *state = hk_shared_is_worker() ? own_state() : NULL;
    void *interpreter = state == NULL ? NULL : find(state);

    if (interpreter != NULL)
        (void)dump(hk_shared_python_fd(), interpreter, state);
    else if ((faulthandler.sa_flags & SA_SIGINFO) != 0)
        faulthandler.sa_sigaction(signum, info, context);
    else if (faulthandler.sa_handler != SIG_DFL && faulthandler.sa_handler != SIG_IGN)
        faulthandler.sa_handler(signum);
    errno = saved;
}

void hk_interpreters_start(void)
{
    struct sigaction now, action;
    version_text *version;
    void *found[3] = { symbol("Py_GetVersion"), symbol("_Py_DumpTracebackThreads"), symbol("PyThreadState_GetInterpreter") };

    if (uwsgi.single_interpreter || uwsgi.threads > 1 || uwsgi.async > 1 || found[0] == NULL || found[1] == NULL
        || found[2] == NULL || sigaction(HK_STACK_SIGNAL, NULL, &now) != 0)
        return;
    memcpy(&version, &found[0], sizeof version);
    memcpy(&dump, &found[1], sizeof dump);
    memcpy(&find, &found[2], sizeof find);
    if (strncmp(version(), "3.1", 3) != 0 || version()[3] < '0' || version()[3] > '1' || version()[4] != '.'
        || ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == write_stack))
        return;
    faulthandler = now;
    action = now;
    action.sa_sigaction = write_stack;
    action.sa_flags |= SA_SIGINFO;
    (void)sigaction(HK_STACK_SIGNAL, &action, NULL);
}

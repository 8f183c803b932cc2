#include "programs.h"

#include "../server/settings.h"

#include <limits.h>

/* DIRECTORY/name, if it is a program, on the heap; else NULL. */
static char *beside(const char *directory, size_t n, const char *name)
{
    char *path = uwsgi_malloc(n + strlen(name) + 2), *whole;

    snprintf(path, n + strlen(name) + 2, "%.*s/%s", (int)n, directory, name);
    if (access(path, X_OK) != 0) {
        free(path);
        return NULL;
    }
    whole = uwsgi_malloc(PATH_MAX);
    /* Not realpath of the program: the link of a virtual environment is what makes it one. */
    if (path[0] == '/' || getcwd(whole, PATH_MAX / 2) == NULL) {
        free(whole);
        return path;
    }
    snprintf(whole + strlen(whole), PATH_MAX - strlen(whole), "/%s", path);
    free(path);
    return whole;
}

static const char *of_ini(const char *name)
{
    int i;

    for (i = 0; i < uwsgi.exported_opts_cnt; i++)
        if (strcmp(uwsgi.exported_opts[i]->key, name) == 0)
            return uwsgi.exported_opts[i]->value;
    return NULL;
}

/* The Python that masks: as said; else that of the application's virtual environment, of uWSGI's, or of the PATH. */
void hk_programs_find(char **masker, char **py_spy)
{
    static const char *const homes[] = { "home", "virtualenv", "venv", "pyhome" };
    const char *slash, *found;
    char *bin, *python;
    size_t i;

    python = hk_settings.watch_python;
    for (i = 0; i < sizeof homes / sizeof homes[0] && python == NULL; i++)
        if ((found = of_ini(homes[i])) != NULL)
            python = beside(found, strlen(found), "bin/python3");
    if (python == NULL && uwsgi.binary_path != NULL && (slash = strrchr(uwsgi.binary_path, '/')) != NULL)
        python = beside(uwsgi.binary_path, (size_t)(slash - uwsgi.binary_path), "python3");
    if (python == NULL)
        python = "python3";
    slash = strrchr(python, '/');
    bin = slash == NULL ? NULL : beside(python, (size_t)(slash - python), "py-spy");
    *py_spy = bin == NULL ? "py-spy" : bin;
    *masker = python;
}

#include "template.h"

static size_t special(hk_slice t, size_t at, hk_template_kind *kind)
{
    const char *end;

    if (t.p[at] != '$' || at + 1 >= t.n)
        return 0;
    if (t.p[at + 1] >= '0' && t.p[at + 1] <= '9') {
        *kind = HK_TEMPLATE_GROUP;
        return 2;
    }
    if (t.p[at + 1] != '{')
        return 0;
    end = memchr(t.p + at, '}', t.n - at);
    if (end == NULL)
        return 0;
    *kind = HK_TEMPLATE_VARIABLE;
    return (size_t)(end - t.p) - at + 1;
}

int hk_template_next(hk_slice *rest, hk_template_kind *kind, hk_slice *piece)
{
    hk_template_kind other;
    size_t n;

    if (rest->n == 0)
        return 0;
    n = special(*rest, 0, kind);
    if (n == 0) {
        *kind = HK_TEMPLATE_TEXT;
        for (n = 1; n < rest->n && special(*rest, n, &other) == 0; n++)
            ;
    }
    *piece = hk_slice_make(rest->p, n);
    *rest = hk_slice_from(*rest, n);
    return 1;
}

#include "ownlines.h"

#define MAX_DATE 80U /* bytes in front of it: a date in any format, and uWSGI's " - " */

static int is_own(hk_slice line)
{
    static const char mark[] = "[sentry] ", behind_date[] = " - [sentry] ";
    size_t i;

    if (hk_slice_starts(line, mark))
        return 1;
    for (i = 1; i < MAX_DATE && i < line.n; i++)
        if (hk_slice_starts(hk_slice_from(line, i), behind_date))
            return 1;
    return 0;
}

unsigned hk_ownlines_drop(hk_slice text, hk_buf *out)
{
    unsigned own = 0;

    while (text.n > 0) {
        hk_slice line = hk_slice_line(&text);
        if (is_own(line)) {
            own++;
            continue;
        }
        if (out->len > 0)
            hk_buf_putc(out, '\n');
        hk_buf_slice_put(out, line);
    }
    return own;
}

#include "duration.h"

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static uint64_t factor_of(hk_slice unit)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = { { "", 1000 }, { "s", 1000 }, { "ms", 1 }, { "m", 60000 }, { "h", 3600000 } };
    size_t i;

    for (i = 0; i < sizeof units / sizeof units[0]; i++)
        if (hk_slice_is(unit, units[i].name))
            return units[i].ms;
    return 0;
}

hk_status hk_duration_read(hk_slice text, uint64_t *ms)
{
    uint64_t whole = 0, part = 0, scale = 1, factor;
    size_t i = 0, digits = 0;

    *ms = 0;
    text = hk_slice_trim(text);
    for (; i < text.n && is_digit(text.p[i]); i++, digits++)
        whole = whole > HK_DURATION_MAX_MS ? whole : whole * 10 + (uint64_t)(text.p[i] - '0');
    if (i < text.n && text.p[i] == '.')
        for (i++; i < text.n && is_digit(text.p[i]); i++, digits++)
            if (scale < 1000000) {
                part = part * 10 + (uint64_t)(text.p[i] - '0');
                scale *= 10;
            }
    factor = factor_of(hk_slice_trim(hk_slice_from(text, i)));
    if (digits == 0 || factor == 0)
        return HK_ERR_SYNTAX;
    *ms = whole * factor + part * factor / scale;
    if (whole > HK_DURATION_MAX_MS || *ms > HK_DURATION_MAX_MS) {
        *ms = 0;
        return HK_ERR_LIMIT;
    }
    return HK_OK;
}

void hk_duration_put(uint64_t ms, hk_buf *out)
{
    uint64_t rest = ms % 1000;
    unsigned digits = 3;

    hk_buf_put_u64(out, ms / 1000);
    for (; digits > 0 && rest % 10 == 0; digits--)
        rest /= 10;
    if (digits > 0) {
        hk_buf_putc(out, '.');
        hk_buf_put_u64_padded(out, rest, digits);
    }
    hk_buf_puts(out, " s");
}

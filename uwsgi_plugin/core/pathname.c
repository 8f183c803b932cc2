#include "pathname.h"

#define HASH 16U /* hexadecimal digits that are no word of a language */

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static int is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

static int is_uuid(hk_slice s)
{
    static const char shape[] = "00000000-0000-0000-0000-000000000000";
    size_t i, n = sizeof shape - 1;

    if (s.n < n || (s.n > n && is_word(s.p[n])))
        return 0;
    for (i = 0; i < n && (shape[i] == '-' ? s.p[i] == '-' : is_hex(s.p[i])); i++)
        ;
    return i == n;
}

static void put_word(hk_slice word, hk_buf *out)
{
    size_t digits = 0, hex = 0, i;

    for (i = 0; i < word.n; i++) {
        digits += (size_t)is_digit(word.p[i]);
        hex += (size_t)is_hex(word.p[i]);
    }
    if (digits == word.n)
        hk_buf_puts(out, "<number>");
    else if (hex == word.n && word.n >= HASH && digits > 0)
        hk_buf_puts(out, "<hash>");
    else
        hk_buf_slice_put(out, word);
}

void hk_pathname_put(hk_slice path, hk_buf *out)
{
    while (path.n > 0) {
        size_t n = 0;
        if (is_uuid(path)) {
            n = 36;
            hk_buf_puts(out, "<uuid>");
        } else if (is_word(path.p[0])) {
            while (n < path.n && is_word(path.p[n]))
                n++;
            put_word(hk_slice_make(path.p, n), out);
        } else {
            n = 1;
            hk_buf_putc(out, path.p[0]);
        }
        path = hk_slice_from(path, n);
    }
}

/* scrub_messages.c: messages of libraries that quote the value they refuse. As heka_raven/scrub/shapes.py. */
#include "scrub_parts.h"

#include "scrub_words.h"

#define INPUT "input_value="
#define INPUT_END ", input_type="
#define KEY "Key ("
#define KEY_VALUE ")=("
#define ROW "Failing row contains ("
#define DUPLICATE "Duplicate entry '"
#define FOR_KEY "' for key '"
#define SQL "[SQL: "
#define SQL_PARAMETERS "[parameters: "

static int is_secret(const hk_scrub *s, hk_slice name)
{
    return hk_scrub_name(s, name, 0) == HK_SCRUB_SECRET;
}

/* line without what stands from start to end. */
static void put_masked(hk_slice line, size_t start, size_t end, hk_buf *out)
{
    hk_buf_slice_put(out, hk_scrub_part(line, 0, start));
    hk_buf_puts(out, HK_SCRUB_MASK);
    hk_buf_slice_put(out, hk_slice_from(line, end));
}

/* Call put for each line, which appends it to out. */
static void each_line(const hk_scrub *s, hk_slice text, hk_buf *out,
                      void (*put)(const hk_scrub *s, hk_slice line, int *private, hk_buf *out))
{
    int private = 0;
    size_t at = 0, end;

    for (;;) {
        end = hk_scrub_find_any(text, at, "\n");
        put(s, hk_scrub_part(text, at, end), &private, out);
        if (end == text.n)
            break;
        hk_buf_putc(out, '\n');
        at = end + 1;
    }
}

/* pydantic 2 shows inputs on the lines below the name of a field. One that it cut may have lost its keys. */
static void put_pydantic(const hk_scrub *s, hk_slice line, int *private, hk_buf *out)
{
    size_t at, start, end, next;

    if (line.n == 0 || !hk_scrub_is_blank(line.p[0]))
        *private = line.n > 0 && memchr(line.p, ' ', line.n) == NULL && is_secret(s, line);
    at = hk_scrub_find(line, 0, INPUT);
    if (at == HK_SCRUB_NONE) {
        hk_buf_slice_put(out, line);
        return;
    }
    start = at + strlen(INPUT);
    end = line.n;
    for (next = start; (next = hk_scrub_find(line, next, INPUT_END)) != HK_SCRUB_NONE; next++)
        end = next;
    if (*private || hk_scrub_find(hk_scrub_part(line, start, end), 0, "...") != HK_SCRUB_NONE)
        put_masked(line, start, end, out);
    else
        hk_buf_slice_put(out, line);
}

/* From start to the last ')' of the line, or to its end. */
static void put_bracketed(hk_slice line, size_t start, hk_buf *out)
{
    size_t end = hk_scrub_find_last(line, start, line.n, ')');

    put_masked(line, start, end == HK_SCRUB_NONE ? line.n : end, out);
}

/* PostgreSQL: DETAIL:  Key (lower(api_key))=(x) already exists. */
static void put_key(const hk_scrub *s, hk_slice line, int *private, hk_buf *out)
{
    static const char between[] = " \t,()\":";
    size_t at = hk_scrub_find(line, 0, KEY), middle, end;
    int secret = 0;

    (void)private;
    middle = at == HK_SCRUB_NONE ? at : hk_scrub_find(line, at, KEY_VALUE);
    if (middle != HK_SCRUB_NONE)
        for (at += strlen(KEY); at < middle && !secret; at = end + 1) {
            end = hk_scrub_find_any(line, at, between);
            if (end > middle)
                end = middle;
            secret = end > at && is_secret(s, hk_scrub_part(line, at, end));
        }
    if (secret)
        put_bracketed(line, middle + strlen(KEY_VALUE), out);
    else
        hk_buf_slice_put(out, line);
}

/* PostgreSQL: DETAIL:  Failing row contains (1, x)., of which no name tells what it is. */
static void put_row(const hk_scrub *s, hk_slice line, int *private, hk_buf *out)
{
    size_t at = hk_scrub_find(line, 0, ROW);

    (void)s;
    (void)private;
    if (at != HK_SCRUB_NONE)
        put_bracketed(line, at + strlen(ROW), out);
    else
        hk_buf_slice_put(out, line);
}

static void pydantic(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    if (hk_scrub_find(text, 0, INPUT) == HK_SCRUB_NONE)
        hk_buf_slice_put(out, text);
    else
        each_line(s, text, out, put_pydantic);
}

static void key_detail(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    each_line(s, text, out, put_key);
}

static void failing_row(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    each_line(s, text, out, put_row);
}

/* MySQL: Duplicate entry 'x' for key 'users.api_token' */
static void duplicate(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    size_t at = 0, done = 0, start, stop, name;

    while ((at = hk_scrub_find(text, at, DUPLICATE)) != HK_SCRUB_NONE) {
        start = at + strlen(DUPLICATE);
        stop = hk_scrub_find(text, start, FOR_KEY);
        if (stop == HK_SCRUB_NONE)
            break;
        name = stop + strlen(FOR_KEY);
        at = hk_scrub_find_any(text, name, "'");
        if (is_secret(s, hk_scrub_part(text, name, at))) {
            hk_buf_slice_put(out, hk_scrub_part(text, done, start));
            hk_buf_puts(out, HK_SCRUB_MASK);
            done = stop;
        }
    }
    hk_buf_slice_put(out, hk_slice_from(text, done));
}

static int is_of_validator(char c)
{
    return hk_scrub_is_word(c) || c == '.' || c == '-';
}

/* attrs: 'password' must be <class 'str'> (got 5 that …: the value may come again at the end. */
static void validator(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    size_t start = 0, end, i, n;

    for (; start < text.n; start = end) {
        end = start + 1;
        if (!is_of_validator(text.p[start]))
            continue;
        while (end < text.n && is_of_validator(text.p[end]))
            end++;
        i = end;
        for (n = 0; n < 8 && i < text.n && text.p[i] == '\\'; n++)
            i++;
        if (i == text.n || (text.p[i] != '"' && text.p[i] != '\'') || !hk_scrub_at(text, i + 1, " must ")
            || !is_secret(s, hk_scrub_part(text, start, end)))
            continue;
        i = hk_scrub_find(text, i + 7, "(got ");
        if (i != HK_SCRUB_NONE) {
            i += 5;
        } else {
            i = hk_scrub_find_any(text, end, "(");
            if (i == text.n)
                break;
            i++;
        }
        put_masked(text, i, text.n, out);
        return;
    }
    hk_buf_slice_put(out, text);
}

/* SQLAlchemy: [SQL: … token …] [parameters: ('x',)]: no name stands beside a parameter, so all are masked where one of
 * the statement's is private. */
static void sql_parameters(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    size_t at = hk_scrub_find(text, 0, SQL), place, end, start, seen = 0;

    place = at == HK_SCRUB_NONE ? at : hk_scrub_find(text, at, SQL_PARAMETERS);
    if (place != HK_SCRUB_NONE)
        for (at += strlen(SQL); at < place; at = end) {
            end = at + 1;
            if (!hk_scrub_is_word(text.p[at]))
                continue;
            while (end < place && hk_scrub_is_word(text.p[end]))
                end++;
            if (seen++ == MAX_NAMES || is_secret(s, hk_scrub_part(text, at, end))) {
                start = place + strlen(SQL_PARAMETERS);
                end = hk_scrub_find_last(text, start, text.n, ']');
                put_masked(text, start, end == HK_SCRUB_NONE ? text.n : end, out);
                return;
            }
        }
    hk_buf_slice_put(out, text);
}

const hk_scrub_pass hk_scrub_messages[] = { pydantic, key_detail, failing_row, duplicate, validator, sql_parameters, NULL };

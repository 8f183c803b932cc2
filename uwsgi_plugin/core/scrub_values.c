/* scrub_values.c: where the values are that a text gives to its names. As heka_raven/scrub/texts.py. */
#include "scrub_parts.h"

#include "scrub_words.h"

#define MAX_BACKSLASHES 8 /* before a quote: of strings inside strings */
#define MAX_INDEX 40      /* characters of an index: user[password] */

size_t hk_scrub_find(hk_slice s, size_t at, const char *words)
{
    const char *found;
    size_t n = strlen(words);

    if (at > s.n || s.n - at < n || s.n == 0)
        return HK_SCRUB_NONE;
    found = memmem(s.p + at, s.n - at, words, n);
    return found == NULL ? HK_SCRUB_NONE : (size_t)(found - s.p);
}

size_t hk_scrub_find_any(hk_slice s, size_t at, const char *set)
{
    while (at < s.n && (s.p[at] == '\0' || strchr(set, s.p[at]) == NULL))
        at++;
    return at;
}

size_t hk_scrub_find_last(hk_slice s, size_t from, size_t to, char c)
{
    while (to > from)
        if (s.p[--to] == c)
            return to;
    return HK_SCRUB_NONE;
}

static int hex(char c)
{
    if (hk_scrub_is_digit(c))
        return c - '0';
    c = hk_scrub_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void hk_scrub_unescape(hk_slice text, int plus, hk_buf *out)
{
    size_t i;

    for (i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '%' && text.n - i > 2 && hex(text.p[i + 1]) >= 0 && hex(text.p[i + 2]) >= 0) {
            int byte = hex(text.p[i + 1]) * 16 + hex(text.p[i + 2]);
            hk_buf_putc(out, byte < 0x80 ? (char)byte : (char)0xff);
            i += 2;
        } else {
            hk_buf_putc(out, plus && c == '+' ? ' ' : c);
        }
    }
}

static int is_quote(char c)
{
    return c == '"' || c == '\'';
}

/* A character of a value that is in no quotes. */
static int is_plain(char c)
{
    return !hk_scrub_is_space(c) && strchr("&;,\"'<>)]}", c == '\0' ? 'x' : c) == NULL;
}

static size_t skip_blanks(hk_slice text, size_t at)
{
    while (at < text.n && hk_scrub_is_blank(text.p[at]))
        at++;
    return at;
}

/* The mark between a name and its value, at offset at: where it ends; 0: there is none. */
static size_t mark_end(hk_slice text, size_t at, char *mark)
{
    size_t i = at;

    if (at == text.n)
        return 0;
    *mark = '=';
    if (hk_scrub_at(text, at, "=>") || hk_scrub_at(text, at, ":="))
        return at + 2;
    if (text.p[at] == ':') {
        *mark = ':';
        return hk_scrub_at(text, at + 1, "//") ? 0 : at + 1;
    }
    if (text.p[at] == ',') {
        *mark = ',';
        i = at + 1;
        if (at == 0 || !is_quote(text.p[at - 1]))
            return 0;
        i += i < text.n && text.p[i] == ' ';
        i += i < text.n && (text.p[i] == 'b' || text.p[i] == 'u');
        return i < text.n && is_quote(text.p[i]) ? at + 1 : 0;
    }
    i += text.p[i] == '!';
    if (i == text.n || text.p[i] != '=')
        return 0;
    while (i < text.n && text.p[i] == '=')
        i++;
    return i;
}

/* What may stand between a name that ends at offset at and its mark; fills *f. */
static size_t behind_name(hk_slice text, size_t at, hk_scrub_found *f)
{
    size_t i, n, groups;

    for (n = 0; n < MAX_BACKSLASHES && at < text.n && text.p[at] == '\\'; n++)
        at++;
    f->quote = 0;
    if (at < text.n && (is_quote(text.p[at]) || text.p[at] == '`'))
        f->quote = text.p[at++];
    at += at < text.n && text.p[at] == ']';
    i = at;
    for (groups = 0; groups < 3 && i < text.n && text.p[i] == '['; groups++) {
        size_t end = i + 1, characters = 0;
        while (end < text.n && hk_scrub_is_name(text.p[end])) {
            characters += ((unsigned char)text.p[end] & 0xc0) != 0x80; /* of UTF-8, not bytes */
            end++;
        }
        if (characters > MAX_INDEX || end == text.n || text.p[end] != ']')
            break;
        i = end + 1;
    }
    f->rest = hk_scrub_part(text, at, i);
    for (n = 0; n < 4 && i < text.n && (hk_scrub_is_blank(text.p[i]) || text.p[i] == '\r' || text.p[i] == '\n'); n++)
        i++;
    return i;
}

int hk_scrub_next_assigned(hk_slice text, size_t at, hk_scrub_found *f)
{
    size_t start = at, end, mark;

    for (; start < text.n; start = end) {
        end = start + 1;
        if (!hk_scrub_is_name(text.p[start]) || (start > 0 && hk_scrub_is_name(text.p[start - 1])))
            continue;
        while (end < text.n && hk_scrub_is_name(text.p[end]))
            end++;
        mark = mark_end(text, behind_name(text, end, f), &f->mark);
        if (mark > 0) {
            f->start = start;
            f->name = hk_scrub_part(text, start, end);
            f->end = skip_blanks(text, mark);
            return 1;
        }
    }
    return 0;
}

int hk_scrub_next_flag(hk_slice text, size_t at, hk_scrub_found *f)
{
    size_t start, end, i;

    for (start = at; (start = hk_scrub_find(text, start, "--")) != HK_SCRUB_NONE; start++) {
        end = start + 2;
        if (start > 0 && (text.p[start - 1] == '-' || hk_scrub_is_word(text.p[start - 1])))
            continue;
        if (end == text.n || hk_scrub_is_digit(text.p[end]) || !hk_scrub_is_alnum(text.p[end]))
            continue;
        while (end < text.n && (hk_scrub_is_word(text.p[end]) || text.p[end] == '-'))
            end++;
        i = skip_blanks(text, end);
        if (i == end || i == text.n || hk_scrub_is_space(text.p[i]) || text.p[i] == '-')
            continue;
        memset(f, 0, sizeof *f);
        f->start = start;
        f->name = hk_scrub_part(text, start + 2, end);
        f->end = i;
        return 1;
    }
    return 0;
}

/* Where the contents of a string end that begin at offset at; *end: where it ends itself. */
static size_t string_end(hk_slice text, size_t at, char quote, size_t depth, size_t *end)
{
    size_t i = at, before;

    if (depth == 0) {
        while (i < text.n) {
            if (text.p[i] == '\\') {
                i += i + 1 < text.n ? 2 : 1;
            } else if (text.p[i] != quote) {
                i++;
            } else if (i + 1 < text.n && text.p[i + 1] == quote) {
                i += 2; /* 'it''s', """x""" */
            } else {
                break;
            }
        }
        *end = i < text.n ? i + 1 : text.n;
        return i;
    }
    for (; i < text.n; i++) {
        if (text.p[i] != quote)
            continue;
        for (before = i; before > at && text.p[before - 1] == '\\'; before--)
            ;
        if (i - before <= depth) {
            *end = i - before == depth ? i + 1 : before;
            return before;
        }
    }
    *end = text.n;
    return text.n;
}

static size_t bracket_end(hk_slice text, size_t at)
{
    size_t depth = 1, quotes;

    while (at < text.n) {
        char c = text.p[at];
        size_t run = at;
        while (run < text.n && text.p[run] == '\\')
            run++;
        if ((run > at || is_quote(c)) && (at == 0 || text.p[at - 1] != '\\') && run < text.n && is_quote(text.p[run])) {
            quotes = run - at;
            string_end(text, run + 1, text.p[run], quotes, &at);
            continue;
        }
        at = run > at ? run : at + 1;
        if (c == '[' || c == '(' || c == '{') {
            depth++;
        } else if (c == ']' || c == ')' || c == '}') {
            if (--depth == 0)
                return at;
        }
    }
    return text.n;
}

/* Where the word of list ends that stands at offset at, in any case, with a blank behind it; 0: none does. */
static size_t scheme_end(hk_slice text, size_t at, const char *const *list)
{
    size_t k;

    for (; *list != NULL; list++) {
        size_t n = strlen(*list);
        if (text.n - at <= n || !hk_scrub_is_blank(text.p[at + n]))
            continue;
        for (k = 0; k < n && hk_scrub_lower(text.p[at + k]) == (*list)[k]; k++)
            ;
        if (k == n)
            return at + n;
    }
    return 0;
}

static size_t line_end(hk_slice text, size_t at, char quote)
{
    while (at < text.n && text.p[at] != '\r' && text.p[at] != '\n' && (quote == 0 || text.p[at] != quote))
        at++;
    return at;
}

static size_t plain_end(hk_slice text, size_t at)
{
    while (at < text.n && is_plain(text.p[at]))
        at++;
    return at;
}

static size_t unquoted_end(hk_slice text, size_t at)
{
    size_t scheme = scheme_end(text, at, SCHEMES), end;

    if (scheme > 0) {
        scheme = skip_blanks(text, scheme);
        end = plain_end(text, scheme);
        if (end > scheme)
            return end;
    }
    if (scheme_end(text, at, LINE_SCHEMES) > 0)
        return line_end(text, at, 0);
    return plain_end(text, at);
}

static int whole(hk_scrub_value *v, size_t start, size_t end, int bracket)
{
    v->start = start;
    v->stop = v->end = end;
    v->closing = hk_slice_make("", 0);
    v->bracket = bracket;
    return end > start;
}

int hk_scrub_value_at(hk_slice text, size_t at, hk_scrub_value *v)
{
    size_t i = at, n, slashes;

    for (n = 0; n < 2 && i < text.n && strchr("bBrRuUfF", text.p[i] == '\0' ? 'x' : text.p[i]) != NULL; n++)
        i++;
    slashes = i;
    for (n = 0; n < MAX_BACKSLASHES && i < text.n && text.p[i] == '\\'; n++)
        i++;
    if (i < text.n && is_quote(text.p[i])) {
        v->start = i + 1;
        v->stop = string_end(text, i + 1, text.p[i], n, &v->end);
        v->closing = hk_scrub_part(text, slashes, i + 1);
        v->bracket = 0;
        return 1;
    }
    i = at;
    if (i < text.n && (text.p[i] == '_' || (hk_scrub_is_alnum(text.p[i]) && !hk_scrub_is_digit(text.p[i]))))
        while (i < text.n && (hk_scrub_is_alnum(text.p[i]) || text.p[i] == '_' || text.p[i] == '.'))
            i++;
    if (i < text.n && (text.p[i] == '[' || text.p[i] == '(' || text.p[i] == '{'))
        return whole(v, at, bracket_end(text, i + 1), 1);
    if (at < text.n && text.p[at] == '<') {
        i = hk_scrub_find_any(text, at, ">");
        return whole(v, at, i < text.n ? plain_end(text, i + 1) : line_end(text, at, 0), 0);
    }
    return at < text.n ? whole(v, at, unquoted_end(text, at), 0) : 0;
}

int hk_scrub_line_value(hk_slice text, const hk_scrub_found *f, hk_scrub_value *v)
{
    char around = f->start > 0 && is_quote(text.p[f->start - 1]) && f->quote == 0 ? text.p[f->start - 1] : 0;

    return whole(v, f->end, line_end(text, f->end, around), 0);
}

/* How deep the line is indented that offset at is in. */
static size_t indent_of(hk_slice text, size_t at)
{
    size_t line = at, i;

    while (line > 0 && text.p[line - 1] != '\n')
        line--;
    i = skip_blanks(text, line);
    while (i + 1 < text.n && text.p[i] == '-' && hk_scrub_is_blank(text.p[i + 1]))
        i = skip_blanks(text, i + 1);
    return i - line;
}

int hk_scrub_block(hk_slice text, const hk_scrub_found *f, hk_scrub_value *v)
{
    size_t at = f->end, end = 0, begin, stop, indent, n;
    int is_list = 1;

    if (at < text.n && (text.p[at] == '|' || text.p[at] == '>')) {
        is_list = 0;
        at++;
        for (n = 0; n < 2 && at < text.n && (hk_scrub_is_digit(text.p[at]) || text.p[at] == '+' || text.p[at] == '-'); n++)
            at++;
        at = skip_blanks(text, at);
    }
    at += at < text.n && text.p[at] == '\r';
    if (at == text.n || text.p[at] != '\n')
        return 0;
    at++;
    begin = skip_blanks(text, at);
    if (is_list && begin < text.n && strchr("'\"[{(", text.p[begin] == '\0' ? 'x' : text.p[begin]) != NULL)
        return hk_scrub_value_at(text, begin, v) ? 1 : -1;
    indent = indent_of(text, f->start);
    while (at < text.n) {
        begin = skip_blanks(text, at);
        stop = hk_scrub_find_any(text, begin, "\n");
        if (begin < stop && text.p[begin] != '\r') {
            if (begin - at < indent || (begin - at == indent && !(is_list && hk_scrub_at(text, begin, "- "))))
                break;
            end = stop;
        }
        at = stop + 1;
    }
    if (end == 0)
        return -1;
    return whole(v, f->end, text.p[end - 1] == '\r' ? end - 1 : end, 1);
}

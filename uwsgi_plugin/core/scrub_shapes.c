/* scrub_shapes.c: values that show by themselves what they are. As heka_raven/scrub/shapes.py. */
#include "scrub_parts.h"

#include "scrub_words.h"

#define PEM_BEGIN "-----BEGIN "
#define PEM_END "-----END "
#define MIN_BEARER 8 /* characters of a credential */
#define MIN_JWT 5    /* characters of a part of a JSON web token */

void hk_scrub_pem(hk_slice text, hk_buf *out)
{
    size_t at = 0, i, done = 0;

    while ((at = hk_scrub_find(text, at, PEM_BEGIN)) != HK_SCRUB_NONE) {
        for (i = at + strlen(PEM_BEGIN);
             i < text.n && (hk_scrub_is_upper(text.p[i]) || hk_scrub_is_digit(text.p[i]) || text.p[i] == ' '); i++)
            ;
        if (!hk_scrub_at(text, i, "-----")) {
            at++;
            continue;
        }
        i += 5;
        hk_buf_slice_put(out, hk_scrub_part(text, done, i));
        hk_buf_puts(out, HK_SCRUB_MASK);
        at = hk_scrub_find(text, i, PEM_END);
        done = at == HK_SCRUB_NONE ? text.n : at;
        if (at == HK_SCRUB_NONE)
            break;
    }
    hk_buf_slice_put(out, hk_slice_from(text, done));
}

static int is_any_case(hk_slice text, size_t at, const char *word)
{
    size_t n = strlen(word), k;

    for (k = 0; text.n - at >= n && k < n && hk_scrub_lower(text.p[at + k]) == word[k]; k++)
        ;
    return k == n;
}

static int is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* A digit, a mark or a capital inside makes a word a credential. */
static int has_mark(hk_slice run)
{
    size_t i;

    for (i = 0; i < run.n; i++) {
        char c = run.p[i], next = i + 1 < run.n ? run.p[i + 1] : '\0';
        if (hk_scrub_is_digit(c) || is_one_of(c, "_~+/="))
            return 1;
        if (c >= 'a' && c <= 'z' && hk_scrub_is_upper(next))
            return 1;
        if ((c == '.' || c == '-') && (hk_scrub_is_alnum(next) || is_one_of(next, "_~+/=")))
            return 1;
    }
    return 0;
}

void hk_scrub_bearer(hk_slice text, hk_buf *out)
{
    size_t at = 0, done = 0, start, end;

    for (; at < text.n; at++) {
        if ((at > 0 && hk_scrub_is_word(text.p[at - 1]))
            || !(is_any_case(text, at, "bearer") || is_any_case(text, at, "basic")))
            continue;
        start = at + (is_any_case(text, at, "basic") ? 5 : 6);
        end = start;
        while (start < text.n && hk_scrub_is_blank(text.p[start]))
            start++;
        if (start == end)
            continue;
        for (end = start; end < text.n && (hk_scrub_is_alnum(text.p[end]) || is_one_of(text.p[end], "._~+/=-")); end++)
            ;
        if (end - start < MIN_BEARER || !has_mark(hk_scrub_part(text, start, end)))
            continue;
        hk_buf_slice_put(out, hk_scrub_part(text, done, start));
        hk_buf_puts(out, HK_SCRUB_MASK);
        done = end;
        at = end - 1;
    }
    hk_buf_slice_put(out, hk_slice_from(text, done));
}

static size_t run_end(hk_slice text, size_t at, int upper)
{
    while (at < text.n
           && (upper ? hk_scrub_is_upper(text.p[at]) || hk_scrub_is_digit(text.p[at])
                     : hk_scrub_is_alnum(text.p[at]) || text.p[at] == '_' || text.p[at] == '-'))
        at++;
    return at;
}

/* Where the token ends that its prefix tells at offset at; 0: there is none. */
static size_t prefixed_end(hk_slice text, size_t at)
{
    const scrub_prefix *prefix;
    size_t start, end;

    for (prefix = PREFIXES; prefix->text != NULL; prefix++) {
        if (text.p[at] != prefix->text[0] || !hk_scrub_at(text, at, prefix->text))
            continue;
        start = at + strlen(prefix->text);
        end = run_end(text, start, prefix->upper);
        if (end - start < prefix->least || (prefix->upper && end < text.n && hk_scrub_is_alnum(text.p[end])))
            continue;
        return end;
    }
    return 0;
}

/* Likewise of a JSON web token: parts of base64 with dots between. */
static size_t jwt_end(hk_slice text, size_t at)
{
    size_t start = at + 3, end, next;

    if (!hk_scrub_at(text, at, "eyJ"))
        return 0;
    end = run_end(text, start, 0);
    if (end - start < MIN_JWT || end == text.n || text.p[end] != '.')
        return 0;
    start = end + 1;
    end = run_end(text, start, 0);
    if (end - start < MIN_JWT)
        return 0;
    while (end < text.n && text.p[end] == '.' && (next = run_end(text, end + 1, 0)) > end + 1)
        end = next;
    return end;
}

void hk_scrub_tokens(hk_slice text, hk_buf *out)
{
    size_t at, done = 0, end;

    for (at = 0; at < text.n; at++) {
        char before = at > 0 ? text.p[at - 1] : ' ';
        if (hk_scrub_is_alnum(before))
            continue;
        end = prefixed_end(text, at);
        if (end == 0 && before != '_' && before != '-')
            end = jwt_end(text, at);
        if (end == 0)
            continue;
        hk_buf_slice_put(out, hk_scrub_part(text, done, at));
        hk_buf_puts(out, HK_SCRUB_MASK);
        done = end;
        at = end - 1;
    }
    hk_buf_slice_put(out, hk_slice_from(text, done));
}

/* Whether digits begin as the number of a card does, are as many, and end in the right check digit (Luhn). */
static int is_card(const char *digits, size_t n)
{
    int two = (digits[0] - '0') * 10 + digits[1] - '0', right, total = 0;
    size_t i;

    if (digits[0] == '4')
        right = n == 13 || n == 16 || n == 19;
    else if ((two >= 51 && two <= 55) || (two >= 22 && two <= 27))
        right = n == 16;
    else if (two == 34 || two == 37)
        right = n == 15;
    else if (two == 30 || two == 36 || two == 38 || two == 39)
        right = n == 14;
    else
        right = (two == 35 || two == 60 || two == 62 || two == 64 || two == 65) && n >= 16 && n <= 19;
    if (!right)
        return 0;
    for (i = 0; i < n; i++) {
        int number = digits[n - 1 - i] - '0';
        if (i % 2 == 1)
            number = number > 4 ? number * 2 - 9 : number * 2;
        total += number;
    }
    return total % 10 == 0;
}

static size_t digits_end(hk_slice text, size_t at)
{
    while (at < text.n && hk_scrub_is_digit(text.p[at]))
        at++;
    return at;
}

/* The digits at offset at that may be a card's, with what stands between groups: 4 4 4 4, 4 6 5 or 4 6 4. *end: behind
 * them; their count, or 0. */
static size_t card_digits(hk_slice text, size_t at, char *digits, size_t *end)
{
    size_t n = digits_end(text, at) - at, group, sizes[4] = { 4, 4, 4, 4 }, count = 0, i = at;
    char mark;

    if (n >= 13 && n <= 19) {
        memcpy(digits, text.p + at, n);
        *end = at + n;
        return *end < text.n && hk_scrub_is_word(text.p[*end]) ? 0 : n;
    }
    if (n != 4 || at + 4 == text.n || (text.p[at + 4] != ' ' && text.p[at + 4] != '-'))
        return 0;
    mark = text.p[at + 4];
    sizes[1] = digits_end(text, at + 5) - (at + 5) == 6 ? 6 : 4;
    for (group = 0; group < (sizes[1] == 6 ? 3U : 4U); group++) {
        n = digits_end(text, i) - i;
        if (group == 2 && sizes[1] == 6)
            sizes[2] = n == 5 ? 5 : 4;
        if (n != sizes[group])
            return 0;
        memcpy(digits + count, text.p + i, n);
        count += n;
        i += n;
        if (group < (sizes[1] == 6 ? 2U : 3U)) {
            if (i == text.n || text.p[i] != mark)
                return 0;
            i++;
        }
    }
    *end = i;
    return i < text.n && hk_scrub_is_word(text.p[i]) ? 0 : count;
}

void hk_scrub_cards(hk_slice text, hk_buf *out)
{
    size_t at, done = 0, end, n, seen = 0;
    char digits[20];

    for (at = 0; at < text.n; at++) {
        if (!hk_scrub_is_digit(text.p[at]) || (at > 0 && (hk_scrub_is_word(text.p[at - 1]) || text.p[at - 1] == '.')))
            continue;
        n = card_digits(text, at, digits, &end);
        if (n == 0)
            continue;
        if (seen++ == MAX_CARDS) {
            hk_buf_slice_put(out, hk_scrub_part(text, done, at));
            hk_buf_puts(out, HK_SCRUB_MASK);
            return;
        }
        if (!is_card(digits, n))
            continue; /* the next group of digits may begin one */
        hk_buf_slice_put(out, hk_scrub_part(text, done, at));
        hk_buf_puts(out, HK_SCRUB_MASK);
        done = end;
        at = end - 1;
    }
    hk_buf_slice_put(out, hk_slice_from(text, done));
}

/* Where the text of an XML element ends that begins at offset at: what is no tag, and CDATA. */
static size_t element_text_end(hk_slice text, size_t at)
{
    size_t i;

    while (at < text.n) {
        if (text.p[at] != '<') {
            at++;
            continue;
        }
        if (!hk_scrub_at(text, at, "<![CDATA["))
            break;
        i = hk_scrub_find_any(text, at + 9, "]<");
        if (!hk_scrub_at(text, i, "]]>"))
            break;
        at = i + 3;
    }
    return at;
}

void hk_scrub_elements(const hk_scrub *s, hk_slice text, hk_buf *out)
{
    size_t at, done = 0, name, end, seen = 0;

    for (at = 0; (at = hk_scrub_find(text, at, "<")) != HK_SCRUB_NONE; at++) {
        for (name = at + 1; name < text.n && (hk_scrub_is_word(text.p[name]) || is_one_of(text.p[name], ".:-")); name++)
            ;
        if (name == at + 1 || name == text.n)
            continue;
        end = name;
        if (hk_scrub_is_space(text.p[name]))
            end = hk_scrub_find_any(text, name, "<>");
        if (end == text.n || text.p[end] != '>')
            continue;
        end++;
        if (element_text_end(text, end) == end || !hk_scrub_at(text, element_text_end(text, end), "</"))
            continue;
        if (seen++ == MAX_ELEMENTS) {
            hk_buf_slice_put(out, hk_scrub_part(text, done, at));
            hk_buf_puts(out, HK_SCRUB_MASK);
            return;
        }
        if (hk_scrub_name(s, hk_scrub_part(text, at + 1, name), 0) == HK_SCRUB_SECRET) {
            hk_buf_slice_put(out, hk_scrub_part(text, done, end));
            hk_buf_puts(out, HK_SCRUB_MASK);
            done = element_text_end(text, end);
        }
        at = element_text_end(text, end) + 1;
    }
    hk_buf_slice_put(out, hk_slice_from(text, done));
}

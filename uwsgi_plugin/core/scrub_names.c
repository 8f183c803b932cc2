/* scrub_names.c: which names are private. As heka_raven/scrub/names.py, by the same words. */
#include "scrub_parts.h"

#include "scrub_words.h"

static int same(hk_slice word, const char *text, size_t n)
{
    size_t i;

    if (word.n != n)
        return 0;
    for (i = 0; i < n && hk_scrub_lower(word.p[i]) == text[i]; i++)
        ;
    return i == n;
}

static int is_one_of(hk_slice word, const char *const *list)
{
    for (; *list != NULL; list++)
        if (same(word, *list, strlen(*list)))
            return 1;
    return 0;
}

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

/* The words of a name one by one: cut at marks, at camelCase, at digits. */
static int next_word(hk_slice name, size_t *at, hk_slice *word)
{
    size_t i = *at, start;

    while (i < name.n && !hk_scrub_is_alnum(name.p[i]) && !is_letter(name.p[i]))
        i++;
    if (i == name.n)
        return 0;
    start = i;
    if (hk_scrub_is_digit(name.p[i])) {
        while (i < name.n && hk_scrub_is_digit(name.p[i]))
            i++;
    } else {
        while (i < name.n && hk_scrub_is_upper(name.p[i]))
            i++;
        if (i < name.n && is_letter(name.p[i])) {
            if (i - start > 1) {
                i--; /* the last capital begins the next word */
            } else {
                while (i < name.n && is_letter(name.p[i]))
                    i++;
            }
        }
    }
    *word = hk_scrub_part(name, start, i);
    *at = i;
    return 1;
}

/* The first count words of name from offset start on. */
typedef struct words {
    hk_slice name;
    size_t start;
    size_t count;
    hk_slice first;
    hk_slice last[3]; /* the last one, and those before it */
} words;

static void read_words(hk_slice name, size_t start, words *w)
{
    size_t at = start;
    hk_slice word;

    memset(w, 0, sizeof *w);
    w->name = name;
    w->start = start;
    while (next_word(name, &at, &word)) {
        if (w->count++ == 0)
            w->first = word;
        w->last[2] = w->last[1];
        w->last[1] = w->last[0];
        w->last[0] = word;
    }
}

/* How many words the sequence has that w ends with; 0: it does not. */
static size_t ends_with(const words *w, const char *sequence)
{
    size_t n = strlen(sequence), from, count = 0;

    while (count < 3 && count < w->count) {
        for (from = n; from > 0 && sequence[from - 1] != ' '; from--)
            ;
        if (!same(w->last[count], sequence + from, n - from))
            return 0;
        count++;
        if (from == 0)
            return count;
        n = from - 1;
    }
    return 0;
}

static int ends_with_one(const words *w, const char *const *sequences)
{
    for (; *sequences != NULL; sequences++)
        if (ends_with(w, *sequences) > 0)
            return 1;
    return 0;
}

/* Whether w is one of the sequences. */
static int is_whole(const words *w, const char *const *sequences)
{
    for (; *sequences != NULL; sequences++) {
        const char *rest = *sequences;
        size_t at = w->start, n;
        hk_slice word;

        while (*rest != '\0' && next_word(w->name, &at, &word)) {
            n = strcspn(rest, " ");
            if (!same(word, rest, n))
                break;
            rest += rest[n] == ' ' ? n + 1 : n;
            if (*rest == '\0' && !next_word(w->name, &at, &word))
                return 1;
        }
    }
    return 0;
}

/* Whether one of the words in list stands at the front of s; or at its end. */
static int touches(hk_slice s, const char *list, int at_end)
{
    size_t n, k;

    while (*list != '\0') {
        for (n = 0; list[n] != '\0' && list[n] != ' '; n++)
            ;
        for (k = 0; n <= s.n && k < n && hk_scrub_lower(s.p[(at_end ? s.n - n : 0) + k]) == list[k]; k++)
            ;
        if (n <= s.n && k == n)
            return 1;
        list += list[n] == ' ' ? n + 1 : n;
    }
    return 0;
}

static int holds_part(hk_slice s)
{
    const scrub_part *part;
    size_t i, n, k;

    for (i = 0; i < s.n; i++)
        for (part = PARTS; part->term != NULL; part++) {
            if (hk_scrub_lower(s.p[i]) != part->term[0])
                continue;
            n = strlen(part->term);
            if (s.n - i < n)
                continue;
            for (k = 1; k < n && hk_scrub_lower(s.p[i + k]) == part->term[k]; k++)
                ;
            if (k == n && !touches(hk_slice_from(s, i + n), part->not_followed, 0)
                && !touches(hk_slice_make(s.p, i), part->not_preceded, 1))
                return 1;
        }
    return 0;
}

static int is_sequence(hk_slice before, hk_slice word)
{
    const char *const *list;
    const char *space;

    for (list = SEQUENCES; *list != NULL; list++)
        if ((space = strchr(*list, ' ')) != NULL && same(before, *list, (size_t)(space - *list))
            && same(word, space + 1, strlen(space + 1)))
            return 1;
    return 0;
}

/* Whether the first count words make a name private; by_word: each is looked at alone. */
static int is_secret(const words *w, size_t count, int by_word, int loose)
{
    size_t at = w->start, i;
    int has_key = 0, has_other = 0;
    hk_slice word, before = { "", 0 };

    if (!by_word && holds_part(w->name))
        return 1;
    for (i = 0; i < count && next_word(w->name, &at, &word); i++) {
        if (by_word && holds_part(word))
            return 1;
        if (is_one_of(word, WORDS) || is_sequence(before, word))
            return 1;
        if (is_one_of(word, KEY_WORDS))
            has_key = 1;
        else if (!hk_scrub_is_digit(word.p[0]))
            has_other = 1;
        before = word;
    }
    if (has_key && has_other)
        return 1;
    return loose && count == 1 && is_one_of(w->first, QUERY_WORDS);
}

static hk_scrub_kind kind_of_words(const hk_scrub *s, const words *w, int loose)
{
    const char *const *list;
    size_t n;

    if (w->count > 1) {
        hk_slice last = w->last[0];
        if (is_one_of(last, ENDINGS))
            return HK_SCRUB_PLAIN;
        if (is_one_of(w->first, NUMBERS) && hk_scrub_lower(last.p[last.n - 1]) == 's' && !same(last, "pass", 4))
            return HK_SCRUB_PLAIN;
        for (list = HARMLESS; *list != NULL; list++)
            if ((n = ends_with(w, *list)) > 0)
                return w->count > n && is_secret(w, w->count - n, 1, 0) ? HK_SCRUB_SECRET : HK_SCRUB_PLAIN;
    }
    if (is_secret(w, w->count, 0, loose))
        return HK_SCRUB_SECRET;
    if (ends_with_one(w, COOKIE_ENDINGS))
        return HK_SCRUB_COOKIE;
    if (ends_with_one(w, QUERY_ENDINGS) || is_whole(w, QUERY_NAMES))
        return HK_SCRUB_QUERY;
    if (ends_with_one(w, URL_ENDINGS))
        return HK_SCRUB_URL;
    if (ends_with_one(w, NETLOC_ENDINGS))
        return HK_SCRUB_NETLOC;
    if (!s->send_pii && is_whole(w, PERSONAL_NAMES))
        return HK_SCRUB_PERSONAL;
    return w->count == 1 && same(w->first, "value", 5) ? HK_SCRUB_VALUE_OF : HK_SCRUB_PLAIN;
}

static hk_slice strip(hk_slice s, const char *set)
{
    while (s.n > 0 && strchr(set, s.p[0]) != NULL && s.p[0] != '\0')
        s = hk_slice_from(s, 1);
    while (s.n > 0 && strchr(set, s.p[s.n - 1]) != NULL && s.p[s.n - 1] != '\0')
        s.n--;
    return s;
}

static hk_scrub_kind kind_of(const hk_scrub *s, hk_slice name, int loose)
{
    size_t at = 0;
    hk_slice word;
    words w;

    read_words(name, 0, &w);
    if (w.count == 0)
        return HK_SCRUB_PLAIN;
    if (w.count > 1 && same(w.first, "http", 4) && hk_slice_starts(name, "HTTP_")) {
        next_word(name, &at, &word);
        read_words(name, at, &w);
    }
    if (hk_slice_is(name, "PWD"))
        return HK_SCRUB_DIRECTORY;
    return kind_of_words(s, &w, loose);
}

hk_scrub_kind hk_scrub_name(const hk_scrub *s, hk_slice name, int loose)
{
    hk_scrub_kind kind;
    hk_buf b[2];
    int i, now = 0;

    name = strip(name, "'\" ");
    if (name.n == 0 || memchr(name.p, '%', name.n) == NULL)
        return kind_of(s, name, loose);
    hk_buf_init(&b[0], name.n + 1);
    hk_buf_init(&b[1], name.n + 1);
    for (i = 0; i < HK_SCRUB_MAX_ESCAPED; i++) {
        hk_buf_clear(&b[now]);
        hk_scrub_unescape(name, 0, &b[now]);
        if (!hk_buf_ok(&b[now]))
            break;
        name = hk_buf_slice(&b[now]);
        now = !now;
    }
    kind = i < HK_SCRUB_MAX_ESCAPED ? HK_SCRUB_SECRET : kind_of(s, name, loose); /* closed when memory is short */
    hk_buf_free(&b[0]);
    hk_buf_free(&b[1]);
    return kind;
}

int hk_scrub_is_cookie_shown(hk_slice name)
{
    char bare[32];
    size_t i;

    name = strip(name, " \t\"'");
    if (name.n >= sizeof bare)
        return 0;
    for (i = 0; i < name.n; i++)
        bare[i] = name.p[i] == '-' || name.p[i] == '.' ? '_' : name.p[i];
    return is_one_of(hk_slice_make(bare, name.n), COOKIES_SHOWN)
        || is_one_of(hk_slice_make(bare, name.n), COOKIE_ATTRIBUTES);
}

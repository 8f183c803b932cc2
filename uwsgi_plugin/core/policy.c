#include "policy.h"

#include "json.h"

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static int same_nocase(hk_slice a, hk_slice b)
{
    size_t i;

    if (a.n != b.n)
        return 0;
    for (i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return 0;
    return 1;
}

static int starts_nocase(hk_slice s, const char *text)
{
    size_t n = strlen(text);
    return s.n >= n && same_nocase(hk_slice_make(s.p, n), hk_slice_make(text, n));
}

/* ---- redirects ---- */

/* Nothing, or a colon and a port; an empty one is the scheme's own. */
static int is_port(hk_slice s)
{
    unsigned long value = 0;
    size_t i;

    if (s.n > 0 && s.p[0] != ':')
        return 0;
    for (i = 1; i < s.n; i++) {
        if (!is_digit(s.p[i]))
            return 0;
        value = value * 10 + (unsigned long)(s.p[i] - '0');
        if (value > 65535)
            return 0;
    }
    return 1;
}

/* The host of "//host[:port]/..." behind the scheme; empty when it has a user, or
 * anything that another reader of URLs could understand in another way: what
 * is checked here is not what connects. */
static hk_slice host_of(hk_slice rest)
{
    hk_slice authority = hk_slice_from(rest, 2);
    size_t i, end;

    for (end = 0; end < authority.n && strchr("/?#", authority.p[end]) == NULL; end++)
        if (strchr("@\\", authority.p[end]) != NULL || (unsigned char)authority.p[end] <= ' ')
            return hk_slice_make("", 0);
    authority.n = end;
    if (authority.n > 0 && authority.p[0] == '[') {
        const char *close = memchr(authority.p, ']', authority.n);
        i = close == NULL ? 0 : (size_t)(close - authority.p) + 1;
    } else {
        for (i = 0; i < authority.n && authority.p[i] != ':'; i++)
            ;
    }
    return is_port(hk_slice_from(authority, i)) ? hk_slice_make(authority.p, i) : hk_slice_make("", 0);
}

static size_t scheme_length(hk_slice url)
{
    return starts_nocase(url, "https:") ? 6 : starts_nocase(url, "http:") ? 5 : 0;
}

/* Append where location leads from url; 0 when it must not be followed. */
static int follow(hk_slice location, hk_slice url, hk_buf *target)
{
    size_t scheme = scheme_length(url), new_scheme = scheme_length(location), i;
    hk_slice rest;

    for (i = 0; i < location.n; i++)
        if ((unsigned char)location.p[i] <= ' ' || location.p[i] == 0x7f)
            return 0;
    if (location.n == 0 || location.p[0] == '\\')
        return 0;
    if (new_scheme == 0 && location.p[0] != '/')
        return 0;
    if (scheme == 6 && new_scheme == 5)
        return 0; /* never from TLS to plain */
    if (new_scheme == 0 && !hk_slice_starts(location, "//")) {
        hk_slice authority = hk_slice_from(url, scheme + 2);
        for (i = 0; i < authority.n && authority.p[i] != '/'; i++)
            ;
        hk_buf_put(target, url.p, scheme + 2 + i);
        hk_buf_slice_put(target, location);
        return 1;
    }
    rest = hk_slice_from(location, new_scheme);
    if (!hk_slice_starts(rest, "//") || host_of(rest).n == 0
        || !same_nocase(host_of(rest), host_of(hk_slice_from(url, scheme))))
        return 0;
    if (new_scheme == 0)
        hk_buf_put(target, url.p, scheme);
    hk_buf_slice_put(target, location);
    return 1;
}

/* ---- replies ---- */

static hk_policy_verdict verdict(hk_policy_action action, hk_policy_reason reason, int dead)
{
    hk_policy_verdict v = { action, reason, dead };
    return v;
}

hk_policy_verdict hk_policy_reply(int status, hk_slice location, hk_slice url, int hops, double age_s,
                                  int discard_limited, hk_buf *target)
{
    if (status == HK_POLICY_SENT || (status >= 200 && status <= 299))
        return verdict(HK_DELIVERED, HK_REASON_NONE, 0);
    if (status == 429) {
        if (discard_limited || age_s > HK_POLICY_MAX_AGE_S)
            return verdict(HK_DISCARD, HK_REASON_RATELIMIT, 0);
        return verdict(HK_HOLD, HK_REASON_NONE, 0);
    }
    if (status == HK_POLICY_NO_REPLY || status == 502 || status == 503 || status == 504) {
        if (age_s > HK_POLICY_MAX_AGE_S)
            return verdict(HK_DISCARD, HK_REASON_NETWORK, 0);
        return verdict(HK_RETRY, HK_REASON_NONE, 0);
    }
    if ((status == 307 || status == 308) && hops < HK_POLICY_MAX_HOPS && follow(location, url, target))
        return verdict(HK_FOLLOW, HK_REASON_NONE, 0);
    return verdict(HK_DISCARD, HK_REASON_SEND, 1);
}

/* ---- rate limits ---- */

/* digits with an optional fraction, spaces around; -1 otherwise; never over the cap. */
static double seconds_of(hk_slice s)
{
    double value = 0, scale = 1;
    size_t i = 0;

    s = hk_slice_trim(s);
    if (s.n == 0 || !is_digit(s.p[0]))
        return -1;
    for (; i < s.n && is_digit(s.p[i]); i++)
        if (value < 1e15)
            value = value * 10 + (s.p[i] - '0');
    if (i < s.n && s.p[i] == '.') {
        if (++i == s.n)
            return -1;
        for (; i < s.n && is_digit(s.p[i]); i++) {
            scale /= 10;
            value += (s.p[i] - '0') * scale;
        }
    }
    if (i < s.n)
        return -1;
    return value > HK_POLICY_MAX_PAUSE_S ? HK_POLICY_MAX_PAUSE_S : value;
}

static hk_slice take_until(hk_slice *rest, char stop)
{
    const char *hit = rest->n == 0 ? NULL : memchr(rest->p, stop, rest->n);
    hk_slice part = *rest;

    if (hit != NULL)
        part.n = (size_t)(hit - rest->p);
    *rest = hk_slice_from(*rest, hit == NULL ? rest->n : part.n + 1);
    return part;
}

static void read_quota(hk_slice quota, hk_policy_pause *p)
{
    double s = seconds_of(take_until(&quota, ':'));
    hk_slice categories = hk_slice_trim(take_until(&quota, ':'));

    if (s < 0)
        return;
    if (categories.n == 0) {
        if (s > p->all_s)
            p->all_s = s;
        return;
    }
    while (categories.n > 0)
        if (hk_slice_is(hk_slice_trim(take_until(&categories, ';')), "error") && s > p->error_s)
            p->error_s = s;
}

static unsigned two(const char *p)
{
    return (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0');
}

double hk_policy_date(hk_slice t)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static const char days[] = "MonTueWedThuFriSatSun";
    static const unsigned char lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    static const char shape[] = "aaa, 00 aaa 0000 00:00:00 GMT";
    unsigned month, day, year, hour, minute, second, leap, y, era_day;
    long long n;
    size_t i;

    t = hk_slice_trim(t);
    if (t.n != sizeof shape - 1)
        return -1;
    for (i = 0; i < t.n; i++) {
        char want = shape[i];
        if (want == '0' ? !is_digit(t.p[i]) : want != 'a' && want != t.p[i])
            return -1;
    }
    for (i = 0; i < 7 && memcmp(days + 3 * i, t.p, 3) != 0; i++)
        ;
    for (month = 0; month < 12 && memcmp(months + 3 * month, t.p + 8, 3) != 0; month++)
        ;
    if (i == 7 || month == 12)
        return -1;
    day = two(t.p + 5);
    year = two(t.p + 12) * 100 + two(t.p + 14);
    hour = two(t.p + 17);
    minute = two(t.p + 20);
    second = two(t.p + 23);
    leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (year < 1970 || day == 0 || day > lengths[month] + (month == 1 ? leap : 0U) || hour > 23 || minute > 59
        || second > 60)
        return -1;
    y = month < 2 ? year - 1 : year; /* years that begin in March */
    era_day = (153 * (month < 2 ? month + 10 : month - 2) + 2) / 5 + day - 1;
    n = (long long)y * 365 + y / 4 - y / 100 + y / 400 + era_day - 719468;
    return (double)(n * 86400 + (long long)hour * 3600 + minute * 60 + second);
}

hk_policy_pause hk_policy_limits(int status, hk_slice rate_limits, hk_slice retry_after, double now_s)
{
    hk_policy_pause p = { -1, -1 };
    double s;

    while (rate_limits.n > 0)
        read_quota(take_until(&rate_limits, ','), &p);
    if (status != 429)
        return p;
    if (retry_after.p != NULL) {
        s = seconds_of(retry_after);
        if (s < 0) {
            s = hk_policy_date(retry_after);
            if (s >= 0)
                s = s > now_s ? s - now_s : 0;
        }
        if (s > HK_POLICY_MAX_PAUSE_S)
            s = HK_POLICY_MAX_PAUSE_S;
        if (s > p.all_s)
            p.all_s = s;
    }
    if (p.all_s < 0 && p.error_s < 0)
        p.all_s = HK_POLICY_429_PAUSE_S;
    if (p.all_s < 1 && p.error_s < 1)
        p.all_s = 1; /* a server that says 429 is not asked again at once */
    return p;
}

double hk_policy_backoff(unsigned step, double dice)
{
    double s = HK_POLICY_MIN_BACKOFF_S;

    for (; step > 1 && s < HK_POLICY_MAX_BACKOFF_S; step--)
        s *= 2;
    if (s > HK_POLICY_MAX_BACKOFF_S)
        s = HK_POLICY_MAX_BACKOFF_S;
    s *= 0.75 + dice / 2;
    return s < HK_POLICY_MIN_BACKOFF_S ? HK_POLICY_MIN_BACKOFF_S : s > HK_POLICY_MAX_BACKOFF_S ? HK_POLICY_MAX_BACKOFF_S : s;
}

static int is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* One line that a terminal shows and does not obey: control characters as their pictures. */
static void put_line(hk_buf *out, hk_slice text, size_t max_chars)
{
    size_t i = 0, step;

    for (; i < text.n && max_chars > 0; i += step, max_chars--) {
        unsigned char c = (unsigned char)text.p[i];
        step = hk_json_utf8((const unsigned char *)text.p + i, text.n - i);
        if (c < 0x20) {
            hk_buf_puts(out, "\xe2\x90");
            hk_buf_putc(out, (char)(0x80 + c));
        } else if (c == 0x7f || step == 0) {
            hk_buf_puts(out, "\xef\xbf\xbd");
            step = 1;
        } else {
            hk_buf_put(out, text.p + i, step);
        }
    }
}

void hk_policy_words(int status, hk_slice detail, const char *error, hk_buf *out)
{
    hk_buf text;

    hk_buf_init(&text, 16384);
    if (status == HK_POLICY_TOO_LARGE) {
        hk_buf_puts(&text, "it does not fit into a datagram");
    } else if (status == HK_POLICY_NO_REPLY) {
        hk_buf_puts(&text, error == NULL ? "no answer" : error);
    } else {
        hk_buf_puts(&text, "status ");
        hk_buf_put_u64(&text, (uint64_t)status);
        while (detail.n > 0 && is_space(detail.p[0]))
            detail = hk_slice_from(detail, 1);
        while (detail.n > 0 && is_space(detail.p[detail.n - 1]))
            detail.n--;
        if (detail.n > 0)
            hk_buf_putc(&text, ' ');
        hk_buf_slice_put(&text, detail);
    }
    if (hk_buf_ok(&text))
        put_line(out, hk_buf_slice(&text), HK_POLICY_MAX_WORDS);
    hk_buf_free(&text);
}

/* Parameters of MAIL and RCPT (RFC 5321 4.1.2: esmtp-keyword ["=" esmtp-value]). */
#include "relay/smtpd/session_priv.h"

static bool keyword_char(char c)
{
	return ascii_is_alnum(c) || c == '-';
}

/* esmtp-value: no control characters, blanks or "="; RFC 6531 3.4 adds UTF-8. */
static bool value_valid(struct slice v)
{
	for (size_t i = 0; i < v.len; i++)
		if ((unsigned char)v.ptr[i] <= ' ' || v.ptr[i] == 127 || v.ptr[i] == '=')
			return false;
	return v.len > 0;
}

static bool keyword_valid(struct slice k)
{
	for (size_t i = 0; i < k.len; i++)
		if (!keyword_char(k.ptr[i]))
			return false;
	return k.len > 0 && k.ptr[0] != '-';
}

static bool hex_digit(char c)
{
	return ascii_is_digit(c) || (c >= 'A' && c <= 'F');
}

bool smtpd_xtext_valid(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		if (c < '!' || c > '~' || c == '=')
			return false;
		if (c != '+')
			continue;
		if (i + 2 >= s.len || !hex_digit(s.ptr[i + 1]) || !hex_digit(s.ptr[i + 2]))
			return false;
		i += 2;
	}
	return true;
}

static const struct smtpd_param *find(const struct smtpd_session *s, struct slice name,
				      const struct smtpd_param *table, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (slice_ieq_str(name, table[i].name))
			return (table[i].extension & ~s->opt.extensions) ? NULL : &table[i];
	return NULL;
}

/* One word; *seen has a bit for every row of the table that was met. */
static bool parameter(struct smtpd_session *s, struct slice word, const struct smtpd_param *table, size_t n,
		      void *target, uint32_t *seen)
{
	struct slice value = word, name = slice_split(&value, '=');
	bool has_value = value.ptr != NULL;
	if (!keyword_valid(name) || (has_value && !value_valid(value))) {
		smtpd_reply(s, "501 5.5.4", "\"%.*s\" is not a parameter", SLICE_ARG(word));
		return false;
	}
	const struct smtpd_param *p = find(s, name, table, n);
	if (!p) {
		smtpd_reply(s, "555 5.5.4", "Parameter %.*s is not supported here", SLICE_ARG(name));
		return false;
	}
	if (*seen & (1u << (p - table))) {
		smtpd_reply(s, "501 5.5.4", "Parameter %s given twice", p->name);
		return false;
	}
	if (has_value != p->needs_value) {
		smtpd_reply(s, "501 5.5.4", "Parameter %s takes %s value", p->name, has_value ? "no" : "a");
		return false;
	}
	*seen |= 1u << (p - table);
	return p->set(s, target, value);
}

bool smtpd_params(struct smtpd_session *s, struct slice text, const struct smtpd_param *table, size_t n,
		  void *target)
{
	ASSERT(n <= 32);
	uint32_t seen = 0;
	for (struct slice word; (word = slice_word(&text)).len;)
		if (!parameter(s, word, table, n, target, &seen))
			return false;
	return true;
}

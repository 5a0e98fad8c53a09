#include "mail/address.h"

#include "core/text.h"

#include <arpa/inet.h>
#include <string.h>

/* atext (RFC 5322 3.2.3), with RFC 6531 everything above ASCII that is UTF-8. */
static bool is_atext(char c)
{
	return ascii_is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* The next character is one of atext or UTF-8: its octets, 0 if it is not. */
static size_t atext_length(struct slice s, bool *utf8)
{
	if (s.len && (unsigned char)s.ptr[0] < 128)
		return is_atext(s.ptr[0]);
	*utf8 |= s.len > 0;
	return utf8_next(s, NULL);
}

/* Octets of a Dot-string at the start of s; 0: none. */
static size_t dot_string(struct slice s, bool *utf8)
{
	size_t i = 0;
	for (;;) {
		size_t from = i;
		for (size_t n; (n = atext_length(slice_from(s, i), utf8)) > 0;)
			i += n;
		if (i == from)
			return 0; /* empty atom: leading, trailing or double dot */
		if (i >= s.len || s.ptr[i] != '.')
			return i;
		i++;
	}
}

/* Octets of a Quoted-string with its quotes; 0: none. qtextSMTP and quoted-pairSMTP (RFC 5321 4.1.2). */
static size_t quoted_string(struct slice s, bool *utf8)
{
	for (size_t i = 1; i < s.len;) {
		unsigned char c = (unsigned char)s.ptr[i];
		if (c == '"')
			return i + 1;
		if (c == '\\') {
			if (i + 1 >= s.len || s.ptr[i + 1] < ' ' || s.ptr[i + 1] > '~')
				return 0;
			i += 2;
		} else if (c >= 128) {
			size_t n = utf8_next(slice_from(s, i), NULL);
			if (n == 0)
				return 0;
			*utf8 = true;
			i += n;
		} else if (c < ' ' || c > '~') {
			return 0;
		} else {
			i++;
		}
	}
	return 0;
}

static bool valid_label(struct slice l, bool utf8)
{
	if (l.len == 0 || l.len > MAIL_LABEL_MAX || l.ptr[0] == '-' || l.ptr[l.len - 1] == '-')
		return false;
	for (size_t i = 0; i < l.len;) {
		size_t n = (unsigned char)l.ptr[i] < 128 ? (ascii_is_alnum(l.ptr[i]) || l.ptr[i] == '-')
							 : (utf8 ? utf8_next(slice_from(l, i), NULL) : 0);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

bool mail_domain_valid(struct slice domain, bool utf8)
{
	if (domain.len == 0 || domain.len > MAIL_DOMAIN_MAX)
		return false;
	for (struct slice rest = domain; rest.ptr;)
		if (!valid_label(slice_split(&rest, '.'), utf8))
			return false;
	return true;
}

bool mail_literal_valid(struct slice literal)
{
	char z[INET6_ADDRSTRLEN];
	struct in6_addr a;
	if (literal.len < 3 || literal.ptr[0] != '[' || literal.ptr[literal.len - 1] != ']')
		return false;
	struct slice ip = slice_sub(literal, 1, literal.len - 2);
	int family = AF_INET;
	if (slice_istarts(ip, SLICE_LIT("IPv6:"))) {
		ip = slice_from(ip, 5);
		family = AF_INET6;
	}
	if (ip.len >= sizeof(z) || slice_find(ip, '\0') != SLICE_NPOS)
		return false;
	memcpy(z, ip.ptr, ip.len);
	z[ip.len] = '\0';
	return inet_pton(family, z, &a) == 1;
}

static enum err parse_domain(struct slice domain, struct mail_address *a, struct diag *d)
{
	if (domain.len > MAIL_DOMAIN_MAX)
		return diag_set(d, ERR_LIMIT, "domain of %zu octets, %d are allowed", domain.len,
				MAIL_DOMAIN_MAX);
	a->domain = domain;
	a->literal = domain.len && domain.ptr[0] == '[';
	a->utf8 |= !slice_is_ascii(domain);
	if (a->literal ? mail_literal_valid(domain) : mail_domain_valid(domain, true))
		return ERR_OK;
	return diag_set(d, ERR_SYNTAX, "\"%.*s\" is not a domain", SLICE_ARG(domain));
}

enum err mail_address_parse(struct slice text, struct mail_address *ret, struct diag *d)
{
	struct mail_address a = {.domain = SLICE_EMPTY};
	if (text.len > MAIL_PATH_MAX)
		return diag_set(d, ERR_LIMIT, "address of %zu octets, %d are allowed", text.len,
				MAIL_PATH_MAX);
	bool quoted = text.len && text.ptr[0] == '"';
	size_t n = quoted ? quoted_string(text, &a.utf8) : dot_string(text, &a.utf8);
	a.local = slice_sub(text, 0, n);
	struct slice rest = slice_from(text, n);
	if (n == 0 || (rest.len && rest.ptr[0] != '@'))
		return diag_set(d, ERR_SYNTAX, "the part before the @ is not valid");
	if (n > MAIL_LOCAL_MAX)
		return diag_set(d, ERR_LIMIT, "part before the @ of %zu octets, %d are allowed", n,
				MAIL_LOCAL_MAX);
	if (rest.len) {
		enum err e = parse_domain(slice_from(rest, 1), &a, d);
		if (e)
			return e;
	}
	*ret = a;
	return ERR_OK;
}

struct slice mail_domain_of(struct slice address)
{
	size_t at = slice_rfind(address, '@');
	/* An at sign inside quotes is not the separator; behind the separator there are no quotes. */
	if (at == SLICE_NPOS || slice_find(slice_from(address, at), '"') != SLICE_NPOS)
		return SLICE_EMPTY;
	return slice_from(address, at + 1);
}

/* ---- xtext ---- */

void xtext_encode(struct buf *out, struct slice in)
{
	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];
		if (c >= '!' && c <= '~' && c != '+' && c != '=')
			buf_add_u8(out, c);
		else
			buf_printf(out, "+%02X", c);
	}
}

static int upper_hex(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

enum err xtext_decode(struct buf *out, struct slice in)
{
	size_t before = out->len;
	for (size_t i = 0; i < in.len; i++) {
		char c = in.ptr[i];
		if (c == '+') {
			int hi = i + 2 < in.len ? upper_hex(in.ptr[i + 1]) : -1;
			int lo = hi >= 0 ? upper_hex(in.ptr[i + 2]) : -1;
			if (lo < 0)
				goto bad;
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (c < '!' || c > '~' || c == '=') {
			goto bad;
		}
		buf_add_char(out, c);
	}
	return out->failed;
bad:
	out->len = before;
	return ERR_SYNTAX;
}

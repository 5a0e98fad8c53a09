#include "dns/name.h"

#include <idn2.h>
#include <string.h>

#define WIRE_POINTER_BITS 0xc0u

static bool is_name_char(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool label_is_canonical(struct slice label)
{
	if (label.len == 0 || label.len > DNS_LABEL_MAX)
		return false;
	for (size_t i = 0; i < label.len; i++)
		if (!is_name_char((unsigned char)label.ptr[i]))
			return false;
	return label.ptr[0] != '-' && label.ptr[label.len - 1] != '-';
}

bool name_is_canonical(struct slice s)
{
	if (s.len == 0 || s.len > DNS_NAME_MAX)
		return false;
	while (s.ptr)
		if (!label_is_canonical(slice_split(&s, '.')))
			return false;
	return true;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* ASCII names need no IDNA: most of the world's mail goes this way. */
static enum err canonical_ascii(struct slice text, struct buf *out, struct diag *d)
{
	char name[DNS_NAME_MAX + 1];
	if (slice_ends(text, SLICE_LIT(".")))
		text.len--;
	if (text.len > DNS_NAME_MAX)
		return diag_set(d, ERR_LIMIT, "domain name longer than %u octets", DNS_NAME_MAX);
	for (size_t i = 0; i < text.len; i++)
		name[i] = lower(text.ptr[i]);
	if (!name_is_canonical(slice_of(name, text.len)))
		return diag_set(d, ERR_SYNTAX, "\"%.*s\" is not a domain name", SLICE_ARG(text));
	enum err e = buf_reserve(out, text.len);
	if (!e)
		buf_add_mem(out, name, text.len);
	return e;
}

static enum err canonical_idna(struct slice text, struct buf *out, struct diag *d)
{
	char z[DNS_INPUT_MAX + 1], *ascii = NULL;
	memcpy(z, text.ptr, text.len);
	z[text.len] = '\0';
	int rc = idn2_to_ascii_8z(z, &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
	if (rc == IDN2_MALLOC)
		return diag_set(d, ERR_NOMEM, "no memory for a domain name");
	if (rc != IDN2_OK)
		return diag_set(d, ERR_SYNTAX, "\"%.*s\" is not a domain name: %s", SLICE_ARG(text),
				idn2_strerror(rc));
	enum err e = canonical_ascii(slice_str(ascii), out, d);
	idn2_free(ascii);
	return e;
}

enum err name_canonical(struct slice text, struct buf *out, struct diag *d)
{
	if (text.len > DNS_INPUT_MAX)
		return diag_set(d, ERR_LIMIT, "domain name longer than %u octets", DNS_INPUT_MAX);
	if (slice_find(text, '\0') != SLICE_NPOS)
		return diag_set(d, ERR_SYNTAX, "a domain name holds a NUL");
	return slice_is_ascii(text) ? canonical_ascii(text, out, d) : canonical_idna(text, out, d);
}

static void add_wire_label(struct slice label, struct buf *out)
{
	for (size_t i = 0; i < label.len; i++) {
		char c = lower(label.ptr[i]);
		if (is_name_char((unsigned char)c))
			buf_add_char(out, c);
		else
			buf_printf(out, "\\%03u", (unsigned char)c);
	}
}

enum err name_from_wire(struct slice wire, size_t *pos, struct buf *out)
{
	size_t at = *pos, start = *pos;
	for (;;) {
		struct slice rest = slice_from(wire, at);
		if (rest.len == 0)
			return ERR_SYNTAX;
		size_t n = (unsigned char)rest.ptr[0];
		if (n & WIRE_POINTER_BITS || rest.len < n + 1 || at - start > DNS_NAME_MAX)
			return ERR_SYNTAX;
		at += n + 1;
		if (n == 0)
			break;
		if (rest.ptr != wire.ptr + start)
			buf_add_char(out, '.');
		add_wire_label(slice_sub(rest, 1, n), out);
	}
	if (at == start + 1)
		buf_add_char(out, '.');
	*pos = at;
	return out->failed;
}

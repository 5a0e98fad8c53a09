#include "mail/received.h"

#include "mail/date.h"

#define FOLD_COLUMN 78

/* Atoms and literals of the field: anything else a client may have said becomes '?'. */
static void add_word(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		bool plain = ascii_is_alnum(c) ||
			     (c != '\0' && slice_find(SLICE_LIT("-._:[]@+=/!#$%&'*^`{|}~"), c) != SLICE_NPOS);
		buf_add_char(out, plain ? c : '?');
	}
	if (s.len == 0)
		buf_add_char(out, '?');
}

static void add_comment(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		bool plain = c >= ' ' && c <= '~' && c != '(' && c != ')' && c != '\\';
		buf_add_char(out, plain ? c : '?');
	}
}

/* Appends a part of the field, on a new line if this one would grow too long. */
static void add_part(struct buf *out, size_t *column, struct buf *part)
{
	if (*column + 1 + part->len > FOLD_COLUMN) {
		buf_add_str(out, "\r\n\t");
		*column = 8;
	} else {
		buf_add_char(out, ' ');
		(*column)++;
	}
	buf_add(out, buf_slice(part));
	*column += part->len;
	buf_clear(part);
}

static void add_from(struct buf *part, const struct received *r)
{
	buf_add_str(part, "from ");
	add_word(part, r->helo);
	buf_add_str(part, " (");
	if (r->client.len) {
		buf_add_str(part, slice_find(r->client, ':') == SLICE_NPOS ? "[" : "[IPv6:");
		add_comment(part, r->client);
		buf_add_char(part, ']');
	} else {
		buf_add_str(part, "[local]");
	}
	buf_add_char(part, ')');
}

/* The authenticated name names who is answerable; TLS in words for who reads the field (RFC 8314 4.3). */
static void add_remarks(struct buf *part, const struct received *r)
{
	buf_add_char(part, '(');
	if (r->tls.len) {
		buf_add_str(part, "using ");
		add_comment(part, r->tls);
	}
	if (r->server.len) {
		buf_add_str(part, r->tls.len ? ", authenticated as " : "authenticated as ");
		add_comment(part, r->server);
	}
	buf_add_char(part, ')');
}

static void add_pair(struct buf *part, const char *key, struct slice value)
{
	buf_add_str(part, key);
	add_word(part, value);
}

void received_format(const struct received *r, struct buf *out)
{
	CLEANUP(buf_done) struct buf part;
	buf_init(&part, RECEIVED_MAX);
	buf_add_str(out, "Received:");
	size_t column = 9;

	add_from(&part, r);
	add_part(out, &column, &part);
	add_pair(&part, "by ", r->hostname);
	add_part(out, &column, &part);
	add_pair(&part, "with ", r->protocol);
	if (r->id.len)
		add_pair(&part, " id ", r->id);
	add_part(out, &column, &part);
	if (r->tls.len || r->server.len) {
		add_remarks(&part, r);
		add_part(out, &column, &part);
	}
	if (r->recipient.len) {
		buf_add_str(&part, "for <");
		add_word(&part, r->recipient);
		buf_add_char(&part, '>');
		add_part(out, &column, &part);
	}
	buf_add_char(out, ';');
	column++;
	mail_date_format(r->time_ms, &part);
	add_part(out, &column, &part);
	buf_add_str(out, "\r\n");
	if (part.failed && !out->failed)
		out->failed = part.failed;
}

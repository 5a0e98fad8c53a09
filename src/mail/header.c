#include "mail/header.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Octets of the line at pos with its line end; 0 at the end of the input. */
static size_t line_length(struct slice in, size_t pos)
{
	size_t lf = slice_find(slice_from(in, pos), '\n');
	return lf == SLICE_NPOS ? in.len - pos : lf + 1;
}

static struct slice without_line_end(struct slice line)
{
	if (line.len && line.ptr[line.len - 1] == '\n')
		line.len--;
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

/* ftext (RFC 5322 3.6.8): printable ASCII but the colon. */
static bool valid_name(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] > '~')
			return false;
	return name.len > 0;
}

static void split_field(struct slice raw, struct header_field *ret)
{
	size_t colon = slice_find(raw, ':');
	struct slice name = slice_sub(raw, 0, colon == SLICE_NPOS ? 0 : colon);
	while (name.len && is_blank(name.ptr[name.len - 1]))
		name.len--;
	ret->malformed = !valid_name(name);
	ret->name = ret->malformed ? SLICE_EMPTY : name;
	ret->value = without_line_end(ret->malformed ? raw : slice_from(raw, colon + 1));
}

bool header_next(struct header_iter *it, struct header_field *ret)
{
	size_t start = it->pos, len = line_length(it->in, start);
	if (without_line_end(slice_sub(it->in, start, len)).len == 0 || it->count == HEADER_FIELDS_MAX)
		return false;
	size_t end = start + len;
	while (end < it->in.len && is_blank(it->in.ptr[end]))
		end += line_length(it->in, end);
	*ret = (struct header_field){.raw = slice_sub(it->in, start, end - start), .offset = start};
	split_field(ret->raw, ret);
	it->pos = end;
	it->count++;
	return true;
}

size_t header_section_length(struct slice message)
{
	size_t pos = 0;
	while (pos < message.len) {
		size_t len = line_length(message, pos);
		bool empty = without_line_end(slice_sub(message, pos, len)).len == 0;
		pos += len;
		if (empty)
			break;
	}
	return pos;
}

bool header_find(struct slice message, const char *name, struct header_field *ret)
{
	struct header_iter it = header_iter_of(message);
	struct header_field f;
	while (header_next(&it, &f))
		if (slice_ieq_str(f.name, name)) {
			*ret = f;
			return true;
		}
	return false;
}

void header_unfold(struct slice value, struct buf *out)
{
	value = slice_trim(value);
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];
		if (c == '\r' || c == '\n')
			continue;
		bool after_fold = i > 0 && (value.ptr[i - 1] == '\n' || value.ptr[i - 1] == '\r');
		if (!is_blank(c)) {
			buf_add_char(out, c);
			continue;
		}
		/* A run of blanks that a fold is part of becomes one space; others stay as they are. */
		size_t end = i;
		bool folded = after_fold;
		while (end < value.len &&
		       (is_blank(value.ptr[end]) || value.ptr[end] == '\r' || value.ptr[end] == '\n'))
			folded |= !is_blank(value.ptr[end++]);
		if (folded)
			buf_add_char(out, ' ');
		else
			buf_add(out, slice_sub(value, i, end - i));
		i = end - 1;
	}
}

/* ---- addresses ---- */

/* Octets of the token at the start of s: a quoted string, a comment, or one octet. */
static size_t token_length(struct slice s)
{
	char open = s.ptr[0];
	if (open != '"' && open != '(')
		return 1;
	size_t depth = 1, i = 1;
	for (; i < s.len && depth > 0; i++) {
		if (s.ptr[i] == '\\')
			i++;
		else if (open == '"')
			depth -= s.ptr[i] == '"';
		else
			depth += (s.ptr[i] == '(') - (size_t)(s.ptr[i] == ')');
	}
	return MIN(i, s.len);
}

/* Cuts one element of the list: up to a comma, or a group's "name:" or ";", outside quotes, comments and brackets. */
static struct slice next_element(struct slice *rest)
{
	bool angle = false;
	size_t i = 0;
	while (i < rest->len) {
		char c = rest->ptr[i];
		if (c == '<' || c == '>')
			angle = c == '<';
		if (!angle && (c == ',' || c == ';' || c == ':'))
			break;
		i += token_length(slice_from(*rest, i));
	}
	struct slice element = slice_sub(*rest, 0, i);
	bool group_name = i < rest->len && rest->ptr[i] == ':';
	*rest = slice_from(*rest, i + 1);
	return group_name ? SLICE_EMPTY : element;
}

static struct slice without_comments(struct slice s)
{
	s = slice_trim(s);
	while (s.len && s.ptr[0] == '(')
		s = slice_trim(slice_from(s, token_length(s)));
	for (size_t i = 0; i < s.len; i += token_length(slice_from(s, i)))
		if (s.ptr[i] == '(')
			return slice_trim(slice_sub(s, 0, i));
	return s;
}

static size_t find_angle(struct slice s)
{
	for (size_t i = 0; i < s.len; i += token_length(slice_from(s, i)))
		if (s.ptr[i] == '<')
			return i;
	return SLICE_NPOS;
}

static void split_mailbox(struct slice element, struct header_address *ret)
{
	size_t open = find_angle(element);
	if (open == SLICE_NPOS) {
		*ret = (struct header_address){.display = SLICE_EMPTY, .address = without_comments(element)};
		return;
	}
	struct slice rest = slice_from(element, open + 1);
	size_t close = slice_rfind(rest, '>');
	ret->display = without_comments(slice_sub(element, 0, open));
	ret->address = slice_trim(slice_sub(rest, 0, close == SLICE_NPOS ? rest.len : close));
}

bool header_next_address(struct header_address_iter *it, struct header_address *ret)
{
	while (it->rest.len && it->count < HEADER_ADDRESSES_MAX) {
		split_mailbox(next_element(&it->rest), ret);
		if (ret->address.len == 0)
			continue;
		it->count++;
		return true;
	}
	return false;
}

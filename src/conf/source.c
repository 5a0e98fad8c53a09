#include "conf/source.h"

#include "core/cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX    (4u * CONF_FILE_MAX)
#define LINES_MAX   (8u * TEXT_MAX)
#define NAMES_MAX   (CONF_INCLUDES_MAX * 2048u)
#define LINE_RECORD 8u

enum mark { MARK_NONE, MARK_WORD, MARK_STRING, MARK_OTHER };

/* One file being read. */
struct scan {
	struct conf_source *out;
	struct slice in;
	size_t pos;
	uint32_t file;
	uint32_t line;
	unsigned depth;
	enum mark last;      /* the token before this place */
	unsigned braces;     /* open ones */
	uint32_t brace_line; /* of the last that was opened */
	struct diag *d;
};

void conf_source_init(struct conf_source *s)
{
	*s = (struct conf_source){0};
	buf_init(&s->text, TEXT_MAX);
	buf_init(&s->lines, LINES_MAX);
	buf_init(&s->names, NAMES_MAX);
}

void conf_source_done(struct conf_source *s)
{
	buf_done(&s->text);
	buf_done(&s->lines);
	buf_done(&s->names);
}

void conf_source_where(const struct conf_source *s, unsigned text_line, const char **ret_file,
		       unsigned *ret_line)
{
	unsigned known = (unsigned)(s->lines.len / LINE_RECORD);
	unsigned index = text_line == 0 ? 0 : MIN(text_line, known) - 1;
	struct cursor c = cursor_of(slice_from(buf_slice(&s->lines), (size_t)index * LINE_RECORD));
	uint32_t file = cursor_u32(&c);

	*ret_line = cursor_u32(&c);
	*ret_file = c.failed ? "" : s->names.data + file;
}

/* --- output ----------------------------------------------------------------------------------------------- */

static const char *file_name(const struct scan *s)
{
	return s->out->names.data + s->file;
}

static enum err fail(const struct scan *s, enum err e, const char *what, struct slice detail)
{
	return diag_set(s->d, e, "%s:%u: %s%.*s", file_name(s), s->line, what,
			SLICE_ARG(slice_sub(detail, 0, 100)));
}

static void begin_line(struct scan *s)
{
	buf_add_u32(&s->out->lines, s->file);
	buf_add_u32(&s->out->lines, s->line);
}

static void end_line(struct scan *s)
{
	buf_add_char(&s->out->text, '\n');
	begin_line(s);
}

/* In the one form that libconfuse reads back as the same octets. */
static void put_string(struct scan *s, struct slice content)
{
	buf_add_char(&s->out->text, '"');
	for (size_t i = 0; i < content.len; i++) {
		char c = content.ptr[i];
		if (c == '"' || c == '\\' || c == '$')
			buf_add_char(&s->out->text, '\\');
		buf_add_char(&s->out->text, c);
	}
	buf_add_char(&s->out->text, '"');
}

/* --- input ------------------------------------------------------------------------------------------------ */

static char peek(const struct scan *s, size_t ahead)
{
	return s->pos + ahead < s->in.len ? s->in.ptr[s->pos + ahead] : '\0';
}

static bool is_word_char(char c)
{
	return ascii_is_alnum(c) || (c != '\0' && strchr("_-.:/%@[]", c));
}

static bool at_comment(const struct scan *s)
{
	return peek(s, 0) == '#' || (peek(s, 0) == '/' && (peek(s, 1) == '/' || peek(s, 1) == '*'));
}

static void new_line(struct scan *s)
{
	s->pos++;
	s->line++;
	end_line(s);
}

static enum err skip_comment(struct scan *s)
{
	unsigned begin = s->line;

	if (peek(s, 1) != '*' || peek(s, 0) != '/') {
		while (s->pos < s->in.len && peek(s, 0) != '\n')
			s->pos++;
		return ERR_OK;
	}
	for (s->pos += 2; s->pos < s->in.len;) {
		if (peek(s, 0) == '*' && peek(s, 1) == '/') {
			s->pos += 2;
			return ERR_OK;
		}
		if (peek(s, 0) == '\n')
			new_line(s);
		else
			s->pos++;
	}
	s->line = begin;
	return fail(s, ERR_SYNTAX, "this comment has no end", SLICE_EMPTY);
}

static enum err check_string_char(const struct scan *s, char quote)
{
	unsigned char c = (unsigned char)peek(s, 0);

	if (c == '\n' || s->pos >= s->in.len)
		return fail(s, ERR_SYNTAX, "a quoted text is not closed on its line", SLICE_EMPTY);
	if (c < ' ' || c == 127)
		return fail(s, ERR_SYNTAX, "a quoted text holds a control character", SLICE_EMPTY);
	if (quote == '"' && c == '$' && peek(s, 1) == '{')
		return fail(s, ERR_SYNTAX,
			    "environment variables are not expanded; put a text with ${ in single quotes",
			    SLICE_EMPTY);
	if (quote == '"' && c == '\\' && peek(s, 1) != '"' && peek(s, 1) != '\\' && peek(s, 1) != '$')
		return fail(s, ERR_SYNTAX, "only \\\", \\\\ and \\$ are known behind a backslash",
			    SLICE_EMPTY);
	return ERR_OK;
}

/* Stands on the opening quote; leaves behind the closing one. */
static enum err read_string(struct scan *s, struct buf *content)
{
	char quote = peek(s, 0);

	for (s->pos++; peek(s, 0) != quote; s->pos++) {
		enum err e = check_string_char(s, quote);
		if (e < 0)
			return e;
		if (quote == '"' && peek(s, 0) == '\\')
			s->pos++;
		buf_add_char(content, peek(s, 0));
	}
	s->pos++;
	if (content->failed)
		return fail(s, content->failed, "a quoted text is too long", SLICE_EMPTY);
	return ERR_OK;
}

static enum err copy_string(struct scan *s)
{
	struct buf content CLEANUP(buf_done) = {0};
	enum err e;

	buf_init(&content, CONF_VALUE_MAX);
	e = read_string(s, &content);
	if (e == ERR_OK)
		put_string(s, buf_slice(&content));
	s->last = MARK_STRING;
	return e;
}

/* --- include ---------------------------------------------------------------------------------------------- */

static enum err read_file(const char *path, struct buf *text, struct diag *d);
static enum err add_text(struct conf_source *out, struct slice text, const char *name, unsigned depth,
			 struct diag *d);

static void skip_blanks(struct scan *s)
{
	while (peek(s, 0) == ' ' || peek(s, 0) == '\t')
		s->pos++;
}

/* Behind the word: ("file"). */
static enum err read_include(struct scan *s, struct buf *ret_path)
{
	static const char form[] = "an include is written include(\"file\")";
	enum err e;

	skip_blanks(s);
	if (peek(s, 0) != '(')
		return fail(s, ERR_SYNTAX, form, SLICE_EMPTY);
	s->pos++;
	skip_blanks(s);
	if (peek(s, 0) != '"' && peek(s, 0) != '\'')
		return fail(s, ERR_SYNTAX, form, SLICE_EMPTY);
	e = read_string(s, ret_path);
	if (e < 0)
		return e;
	skip_blanks(s);
	if (peek(s, 0) != ')' || ret_path->len == 0)
		return fail(s, ERR_SYNTAX, form, SLICE_EMPTY);
	s->pos++;
	return ERR_OK;
}

/* The path as it is opened: relative to the directory of the including file. */
static void resolve(const struct scan *s, struct slice name, struct buf *out)
{
	struct slice self = slice_str(file_name(s));
	size_t slash = slice_rfind(self, '/');

	if (name.ptr[0] != '/' && slash != SLICE_NPOS)
		buf_add(out, slice_sub(self, 0, slash + 1));
	buf_add(out, name);
}

static enum err include(struct scan *s)
{
	struct buf path CLEANUP(buf_done) = {0}, name CLEANUP(buf_done) = {0}, text CLEANUP(buf_done) = {0};
	enum err e;

	buf_init(&name, CONF_VALUE_MAX);
	buf_init(&path, 2 * CONF_VALUE_MAX);
	buf_init(&text, CONF_FILE_MAX);
	e = read_include(s, &name);
	if (e < 0)
		return e;
	resolve(s, buf_slice(&name), &path);
	if (s->depth >= CONF_INCLUDE_DEPTH)
		return fail(s, ERR_LIMIT, "files include each other too deeply: ", buf_slice(&path));
	if (read_file(buf_cstr(&path), &text, s->d) < 0)
		return diag_prefix(s->d, "%s:%u", file_name(s), s->line);
	buf_add_char(&s->out->text, '\n'); /* the file begins a line of its own */
	e = add_text(s->out, buf_slice(&text), buf_cstr(&path), s->depth + 1, s->d);
	begin_line(s);
	s->last = MARK_NONE;
	return e;
}

/* --- tokens ----------------------------------------------------------------------------------------------- */

static enum err copy_word(struct scan *s)
{
	size_t from = s->pos;
	struct slice word;

	while (is_word_char(peek(s, 0)) && !at_comment(s))
		s->pos++;
	word = slice_sub(s->in, from, s->pos - from);
	if (slice_eq_str(word, "include"))
		return include(s);
	if (word.len > CONF_VALUE_MAX)
		return fail(s, ERR_LIMIT, "a word is too long", SLICE_EMPTY);
	buf_add(&s->out->text, word);
	s->last = MARK_WORD;
	return ERR_OK;
}

/* libconfuse takes the end of the text for the end of a section. */
static enum err count_brace(struct scan *s, char c)
{
	if (c == '}' && s->braces == 0)
		return fail(s, ERR_SYNTAX, "a closing brace without an opening one", SLICE_EMPTY);
	if (c == '{') {
		s->braces++;
		s->brace_line = s->line;
	} else if (c == '}') {
		s->braces--;
	}
	return ERR_OK;
}

static enum err copy_mark(struct scan *s)
{
	struct slice c = slice_sub(s->in, s->pos, 1);

	if (c.ptr[0] == '$' && peek(s, 1) == '{')
		return fail(s, ERR_SYNTAX,
			    "environment variables are not expanded; put a text with ${ in single quotes",
			    SLICE_EMPTY);
	if (c.ptr[0] == '=' && s->last == MARK_STRING)
		return fail(s, ERR_SYNTAX, "a key is written without quotes", SLICE_EMPTY);
	if (slice_find(SLICE_LIT("={},"), c.ptr[0]) == SLICE_NPOS) {
		if (slice_has_control(c) || !slice_is_ascii(c))
			return fail(s, ERR_SYNTAX,
				    "an unexpected character; text other than plain words needs quotes",
				    SLICE_EMPTY);
		return fail(s, ERR_SYNTAX, "text other than plain words needs quotes, found ", c);
	}
	buf_add(&s->out->text, c);
	s->pos++;
	s->last = MARK_OTHER;
	return count_brace(s, c.ptr[0]);
}

static enum err copy_token(struct scan *s)
{
	char c = peek(s, 0);

	if (at_comment(s))
		return skip_comment(s);
	if (c == '"' || c == '\'')
		return copy_string(s);
	if (is_word_char(c))
		return copy_word(s);
	if (c == '\n') {
		new_line(s);
	} else if (c == ' ' || c == '\t' || (c == '\r' && peek(s, 1) == '\n')) {
		buf_add_char(&s->out->text, ' ');
		s->pos++;
	} else {
		return copy_mark(s);
	}
	return ERR_OK;
}

static enum err add_text(struct conf_source *out, struct slice text, const char *name, unsigned depth,
			 struct diag *d)
{
	struct scan s = {.out = out, .in = text, .line = 1, .depth = depth, .d = d};
	enum err e = ERR_OK;

	if (out->nfiles >= CONF_INCLUDES_MAX)
		return diag_set(d, ERR_LIMIT, "more than %u files in one configuration", CONF_INCLUDES_MAX);
	s.file = (uint32_t)out->names.len;
	buf_add_mem(&out->names, name, strlen(name) + 1);
	if (out->names.failed)
		return diag_set(d, out->names.failed, "the names of the configuration's files are too long");
	out->nfiles++;
	begin_line(&s);
	while (e == ERR_OK && s.pos < text.len)
		e = copy_token(&s);
	buf_add_char(&out->text, '\n');
	if (e == ERR_OK && s.braces > 0) {
		s.line = s.brace_line;
		e = fail(&s, ERR_SYNTAX, "a brace is opened here or before, and not closed in this file",
			 SLICE_EMPTY);
	}
	if (e == ERR_OK && (out->text.failed || out->lines.failed))
		e = fail(&s, ERR_LIMIT, "the configuration is too large", SLICE_EMPTY);
	return e;
}

static enum err read_whole(int fd, const char *path, struct buf *text, struct diag *d)
{
	struct stat st;
	ssize_t got;

	if (fstat(fd, &st) < 0)
		return diag_set_errno(d, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return diag_set(d, ERR_IO, "%s: not a regular file", path);
	do {
		char chunk[4096];
		got = read(fd, chunk, sizeof(chunk));
		if (got > 0)
			buf_add_mem(text, chunk, (size_t)got);
	} while (got > 0 && !text->failed);
	if (got < 0)
		return diag_set_errno(d, errno, "%s", path);
	if (text->failed)
		return diag_set(d, text->failed, "%s: larger than %u octets", path, CONF_FILE_MAX);
	return ERR_OK;
}

static enum err read_file(const char *path, struct buf *text, struct diag *d)
{
	int fd CLEANUP(base_close) = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return diag_set_errno(d, errno, "%s", path);
	return read_whole(fd, path, text, d);
}

enum err conf_source_file(struct conf_source *s, const char *path, struct diag *d)
{
	struct buf text CLEANUP(buf_done) = {0};
	enum err e;

	buf_init(&text, CONF_FILE_MAX);
	e = read_file(path, &text, d);
	return e < 0 ? e : add_text(s, buf_slice(&text), path, 1, d);
}

enum err conf_source_text(struct conf_source *s, struct slice text, const char *name, struct diag *d)
{
	return add_text(s, text, name, 1, d);
}

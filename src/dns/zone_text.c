#include "dns/zone_text.h"

#include "core/mem.h"
#include "dns/name.h"
#include "dns/zone_word.h"

#include <string.h>

#define TOKENS_FIRST  16u
#define FILE_NAME_MAX 4096u
#define TYPE_SOA      6u
#define SOA_MINIMUM   6u /* its word in a SOA's data */

struct wire_name {
	uint8_t len; /* 0: none */
	char octets[ZONE_NAME_WIRE_MAX];
};

/* A text that is being read, or that was: sources stay until the reader is closed. */
struct frame {
	struct zone_source source;
	struct frame *made_before; /* owned: every frame of the reader is in this chain */
	struct frame *includer;
	size_t pos, line;
	struct wire_name origin, owner;
	char file[]; /* of an included text */
};

struct zone_text {
	zone_include_fn *include;
	void *ctx;
	struct frame *frames; /* owned, the newest first */
	struct frame *top;
	unsigned includes;
	bool default_ttl_known, last_ttl_known;
	uint32_t default_ttl_s, last_ttl_s;
	bool name_is_old; /* `name` is not that of the current owner */
	struct buf name;  /* the owner as text */
	struct buf
		path; /* of the $INCLUDE that was given out last: followed by the next call, when not empty */
	struct wire_name path_origin;
	size_t path_at;
	struct zone_token *tokens; /* owned */
	size_t token_room;
};

static struct slice wire_slice(const struct wire_name *n)
{
	return slice_of(n->octets, n->len);
}

static void set_wire(struct wire_name *n, struct slice wire)
{
	ASSERT(wire.len <= sizeof(n->octets));
	n->len = (uint8_t)wire.len;
	if (wire.len)
		memcpy(n->octets, wire.ptr, wire.len);
}

/* ---- places ---- */

struct slice zone_text_at(const struct zone_entry *e, struct zone_span s)
{
	return slice_sub(e->source->text, s.at, s.len);
}

enum err zone_text_blame(const struct zone_source *source, size_t at, struct diag *d)
{
	size_t line = 1, start = 0;
	struct slice text = slice_sub(source->text, 0, at);

	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] != '\n')
			continue;
		line++;
		start = i + 1;
	}
	return diag_prefix(d, "%.*s:%zu:%zu", SLICE_ARG(source->file), line, at - start + 1);
}

static enum err fault(const struct frame *f, size_t at, enum err code, const char *what, struct diag *d)
{
	diag_set(d, code, "%s", what);
	zone_text_blame(&f->source, at, d);
	return code;
}

/* ---- words ---- */

/* Where the scan of an entry stands. */
struct scan {
	struct zone_text *z;
	struct frame *f;
	struct diag *d;
	size_t pos, count;
	size_t lines;      /* line ends that were passed */
	unsigned depth;    /* of parentheses */
	size_t last_paren; /* the innermost that is open; its place, for words */
	bool ended;        /* its last line is over */
};

static int peek(const struct scan *s, size_t ahead)
{
	struct slice text = s->f->source.text;

	return s->pos + ahead < text.len ? (unsigned char)text.ptr[s->pos + ahead] : -1;
}

static enum err bad(struct scan *s, const char *what)
{
	return fault(s->f, s->pos, ERR_SYNTAX, what, s->d);
}

static enum err add_token(struct scan *s, size_t at, bool quoted)
{
	struct zone_text *z = s->z;

	if (s->count == ZONE_TOKENS_MAX)
		return fault(s->f, at, ERR_LIMIT, "too many words in one record", s->d);
	if (s->count == z->token_room) {
		size_t room = z->token_room ? 2 * z->token_room : TOKENS_FIRST;
		struct zone_token *tokens = mem_resize(z->tokens, room * sizeof(*tokens));
		if (!tokens)
			return fault(s->f, at, ERR_NOMEM, "no memory", s->d);
		z->tokens = tokens;
		z->token_room = room;
	}
	z->tokens[s->count++] = (struct zone_token){.span = {at, s->pos - at}, .quoted = quoted};
	return ERR_OK;
}

/* Steps over \X or \DDD. */
static enum err skip_escape(struct scan *s)
{
	unsigned char octet;
	bool escaped;
	int next = peek(s, 1);

	if (next == -1 || next == '\n' || next == '\r')
		return bad(s, "a backslash at the end of a line");
	if (zone_word_octet(s->f->source.text, &s->pos, &escaped, &octet) != ERR_OK)
		return bad(s, "a backslash with a digit wants three, up to 255");
	return ERR_OK;
}

static enum err scan_quoted(struct scan *s)
{
	size_t at = s->pos++;

	for (int c = peek(s, 0); c != '"'; c = peek(s, 0)) {
		if (c == -1 || c == '\n' || (c == '\r' && peek(s, 1) == '\n'))
			return fault(s->f, at, ERR_SYNTAX, "a quoted string without its end on the same line",
				     s->d);
		enum err e = ERR_OK;
		if (c == '\\')
			e = skip_escape(s);
		else
			s->pos++;
		if (e)
			return e;
	}
	s->pos++;
	return add_token(s, at, true);
}

static bool ends_word(int c)
{
	return c == -1 || c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ';' || c == '(' ||
	       c == ')' || c == '"';
}

static enum err scan_word(struct scan *s)
{
	size_t at = s->pos;

	for (int c = peek(s, 0); !ends_word(c); c = peek(s, 0)) {
		enum err e = ERR_OK;
		if (c < ' ' || c == 0x7f)
			e = bad(s, "a control octet");
		else if (c == '\\')
			e = skip_escape(s);
		else
			s->pos++;
		if (e)
			return e;
	}
	return add_token(s, at, false);
}

static void skip_comment(struct scan *s)
{
	struct slice rest = slice_from(s->f->source.text, s->pos);
	size_t n = slice_find(rest, '\n');

	s->pos += n == SLICE_NPOS ? rest.len : n;
}

static enum err scan_paren(struct scan *s, int c)
{
	if (c == '(') {
		s->last_paren = s->pos;
		s->depth++;
	} else if (s->depth == 0) {
		return bad(s, "\")\" without \"(\"");
	} else {
		s->depth--;
	}
	s->pos++;
	return ERR_OK;
}

static enum err scan_line_end(struct scan *s, int c)
{
	if (c == '\r' && peek(s, 1) != '\n')
		return bad(s, "a carriage return without a line feed");
	s->pos += c == '\r' ? 2 : 1;
	s->lines++;
	s->ended = s->depth == 0;
	return ERR_OK;
}

static enum err scan_one(struct scan *s)
{
	int c = peek(s, 0);

	switch (c) {
	case -1:
		s->ended = true;
		return s->depth ? fault(s->f, s->last_paren, ERR_SYNTAX, "\"(\" without \")\"", s->d)
				: ERR_OK;
	case ' ':
	case '\t':
		s->pos++;
		return ERR_OK;
	case '\r':
	case '\n':
		return scan_line_end(s, c);
	case ';':
		skip_comment(s);
		return ERR_OK;
	case '(':
	case ')':
		return scan_paren(s, c);
	case '"':
		return scan_quoted(s);
	default:
		return scan_word(s);
	}
}

/* ---- records ---- */

static bool is_blank_at(struct slice text, size_t at)
{
	return at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == '\t');
}

static struct slice word_of(const struct zone_entry *e, const struct zone_token *t)
{
	struct slice s = zone_text_at(e, t->span);

	return t->quoted ? slice_sub(s, 1, s.len - 2) : s;
}

/* Reads the name in a token into *ret. */
static enum err read_name(const struct frame *f, const struct zone_entry *e, const struct zone_token *t,
			  struct wire_name *ret, struct diag *d)
{
	char octets[ZONE_NAME_WIRE_MAX];
	struct buf out = {.data = octets, .cap = sizeof(octets), .max = sizeof(octets)}; /* never grows */
	enum err err = zone_word_name(word_of(e, t), wire_slice(&f->origin), &out, d);

	if (err) {
		zone_text_blame(&f->source, t->span.at, d);
		return err;
	}
	set_wire(ret, buf_slice(&out));
	return ERR_OK;
}

static enum err set_name(struct zone_text *z, const struct frame *f, struct zone_entry *e, struct diag *d)
{
	size_t pos = 0;

	e->wire = wire_slice(&f->owner);
	if (z->name_is_old) {
		buf_clear(&z->name);
		enum err err = name_from_wire(e->wire, &pos, &z->name);
		if (err)
			return fault(f, e->span.at, err, "no memory", d);
		z->name_is_old = false;
	}
	e->name = buf_slice(&z->name);
	return ERR_OK;
}

static enum err read_owner(struct zone_text *z, struct frame *f, struct zone_entry *e, struct diag *d)
{
	if (!is_blank_at(f->source.text, e->span.at)) {
		enum err err = read_name(f, e, &e->tokens[0], &f->owner, d);
		if (err)
			return err;
		z->name_is_old = true;
		e->owner = e->tokens[0].span;
		e->tokens++;
		e->token_count--;
	}
	if (f->owner.len == 0)
		return fault(f, e->span.at, ERR_SYNTAX, "the first record has no name", d);
	return set_name(z, f, e, d);
}

static bool take_class(struct zone_entry *e)
{
	if (e->class.len || e->token_count == 0 || e->tokens[0].quoted ||
	    zone_word_class(word_of(e, &e->tokens[0]), &e->class_code) != ERR_OK)
		return false;
	e->class = e->tokens[0].span;
	e->tokens++;
	e->token_count--;
	return true;
}

static bool take_ttl(struct zone_entry *e)
{
	if (e->ttl.len || e->token_count == 0 || e->tokens[0].quoted ||
	    zone_word_ttl(word_of(e, &e->tokens[0]), &e->ttl_s) != ERR_OK)
		return false;
	e->ttl = e->tokens[0].span;
	e->tokens++;
	e->token_count--;
	return true;
}

static enum err read_type(const struct frame *f, struct zone_entry *e, struct diag *d)
{
	while (take_class(e) || take_ttl(e))
		continue;
	if (e->token_count == 0)
		return fault(f, e->span.at, ERR_SYNTAX, "a record without a type", d);
	e->type = e->tokens[0].span;
	if (e->tokens[0].quoted || zone_word_type(zone_text_at(e, e->type), &e->type_code) != ERR_OK) {
		struct slice word = zone_text_at(e, e->type);
		diag_set(d, ERR_SYNTAX, "\"%.*s\" is not a type", SLICE_ARG(word));
		zone_text_blame(&f->source, e->type.at, d);
		return ERR_SYNTAX;
	}
	e->tokens++;
	e->token_count--;
	return ERR_OK;
}

/* RFC 2308 4; without $TTL RFC 1035 5.1, and before any TTL the SOA's minimum, which then counts as $TTL. */
static void choose_ttl(struct zone_text *z, struct zone_entry *e)
{
	bool soa = e->type_code == TYPE_SOA && e->token_count > SOA_MINIMUM;

	if (e->ttl.len) {
		z->last_ttl_known = true;
		z->last_ttl_s = e->ttl_s;
	} else if (z->default_ttl_known) {
		e->ttl_s = z->default_ttl_s;
		e->ttl_from = ZONE_TTL_DIRECTIVE;
	} else if (z->last_ttl_known) {
		e->ttl_s = z->last_ttl_s;
		e->ttl_from = ZONE_TTL_BEFORE;
	} else if (soa && zone_word_ttl(word_of(e, &e->tokens[SOA_MINIMUM]), &e->ttl_s) == ERR_OK) {
		e->ttl_from = ZONE_TTL_SOA;
		z->default_ttl_known = true;
		z->default_ttl_s = e->ttl_s;
	} else {
		e->ttl_s = ZONE_TTL_DEFAULT;
		e->ttl_from = ZONE_TTL_NONE;
	}
}

static enum err read_record(struct zone_text *z, struct frame *f, struct zone_entry *e, struct diag *d)
{
	enum err err = read_owner(z, f, e, d);

	e->kind = ZONE_RECORD;
	if (!err)
		err = read_type(f, e, d);
	if (!err)
		choose_ttl(z, e);
	return err;
}

/* ---- directives ---- */

static enum err want_words(const struct frame *f, const struct zone_entry *e, size_t least, size_t most,
			   struct diag *d)
{
	if (e->token_count < least)
		return fault(f, e->type.at, ERR_SYNTAX, "a directive without its value", d);
	if (e->token_count > most)
		return fault(f, e->tokens[most].span.at, ERR_SYNTAX, "one word too many", d);
	return ERR_OK;
}

static enum err read_origin(struct zone_text *z, struct frame *f, struct zone_entry *e, struct diag *d)
{
	enum err err = want_words(f, e, 1, 1, d);

	return err ? err : read_name(f, e, &e->tokens[0], &f->origin, d);
}

static enum err read_ttl(struct zone_text *z, struct frame *f, struct zone_entry *e, struct diag *d)
{
	enum err err = want_words(f, e, 1, 1, d);

	if (err)
		return err;
	if (zone_word_ttl(word_of(e, &e->tokens[0]), &z->default_ttl_s) != ERR_OK)
		return fault(f, e->tokens[0].span.at, ERR_SYNTAX, "not a time to live", d);
	z->default_ttl_known = true;
	return ERR_OK;
}

static enum err read_include(struct zone_text *z, struct frame *f, struct zone_entry *e, struct diag *d)
{
	enum err err = want_words(f, e, 1, 2, d);

	z->path_origin = f->origin;
	if (!err && e->token_count == 2)
		err = read_name(f, e, &e->tokens[1], &z->path_origin, d);
	if (err || !z->include)
		return err;
	z->path_at = e->tokens[0].span.at;
	err = zone_text_octets(e, &e->tokens[0], &z->path);
	if (err || z->path.len == 0)
		return fault(f, z->path_at, err ? err : ERR_SYNTAX, "not the name of a file", d);
	return ERR_OK;
}

static enum err read_generate(struct zone_text *z, struct frame *f, struct zone_entry *e, struct diag *d)
{
	return want_words(f, e, 3, ZONE_TOKENS_MAX, d);
}

static const struct {
	const char *word;
	enum zone_kind kind;
	enum err (*read)(struct zone_text *z, struct frame *f, struct zone_entry *e, struct diag *d);
} directives[] = {
	{"$ORIGIN", ZONE_ORIGIN, read_origin},
	{"$TTL", ZONE_TTL, read_ttl},
	{"$INCLUDE", ZONE_INCLUDE, read_include},
	{"$GENERATE", ZONE_GENERATE, read_generate},
};

static enum err read_directive(struct zone_text *z, struct frame *f, struct zone_entry *e, struct diag *d)
{
	struct slice word = zone_text_at(e, e->tokens[0].span);

	e->type = e->tokens[0].span;
	e->tokens++;
	e->token_count--;
	for (size_t i = 0; i < ARRAY_LEN(directives); i++) {
		if (!slice_ieq_str(word, directives[i].word))
			continue;
		e->kind = directives[i].kind;
		return directives[i].read(z, f, e, d);
	}
	return fault(f, e->type.at, ERR_SYNTAX, "an unknown directive", d);
}

/* ---- entries ---- */

static enum err interpret(struct zone_text *z, struct frame *f, struct zone_entry *e, struct diag *d)
{
	if (e->token_count == 0) {
		e->kind = ZONE_BLANK;
		return ERR_OK;
	}
	const struct zone_token *first = &e->tokens[0];
	if (!first->quoted && first->span.at == e->span.at && f->source.text.ptr[first->span.at] == '$')
		return read_directive(z, f, e, d);
	return read_record(z, f, e, d);
}

static enum err read_entry(struct zone_text *z, struct frame *f, struct zone_entry *e, struct diag *d)
{
	struct scan s = {.z = z, .f = f, .d = d, .pos = f->pos};
	enum err err = ERR_OK;

	while (!s.ended && !err)
		err = scan_one(&s);
	if (err)
		return err;
	*e = (struct zone_entry){
		.source = &f->source,
		.span = {f->pos, s.pos - f->pos},
		.line = f->line,
		.tokens = z->tokens,
		.token_count = s.count,
		.class_code = 1,
	};
	f->pos = s.pos;
	f->line += s.lines;
	err = interpret(z, f, e, d);
	e->origin = wire_slice(&f->origin);
	return err;
}

/* ---- texts within texts ---- */

static enum err push(struct zone_text *z, struct slice file, struct slice text, struct diag *d)
{
	struct frame *f = mem_alloc(sizeof(*f) + file.len);

	if (!f)
		return diag_set(d, ERR_NOMEM, "no memory");
	if (file.len)
		memcpy(f->file, file.ptr, file.len);
	f->source = (struct zone_source){.file = slice_of(f->file, file.len), .text = text};
	f->line = 1;
	f->made_before = z->frames;
	z->frames = f;
	f->includer = z->top;
	if (z->top) {
		f->source.parent = &z->top->source;
		f->source.depth = z->top->source.depth + 1;
		f->owner = z->top->owner;
	}
	z->top = f;
	return ERR_OK;
}

static enum err check_include(const struct zone_text *z, struct diag *d)
{
	if (z->top->source.depth + 1 >= ZONE_INCLUDE_DEPTH)
		return diag_set(d, ERR_LIMIT, "$INCLUDE within $INCLUDE, more than %u deep",
				ZONE_INCLUDE_DEPTH);
	if (z->includes >= ZONE_INCLUDES_MAX)
		return diag_set(d, ERR_LIMIT, "more than %u $INCLUDE", ZONE_INCLUDES_MAX);
	return ERR_OK;
}

/* Goes into the text that the last $INCLUDE names. */
static enum err descend(struct zone_text *z, struct diag *d)
{
	struct slice text = SLICE_EMPTY, path = buf_slice(&z->path);
	struct frame *from = z->top;
	enum err e = check_include(z, d);

	if (!e)
		e = z->include(z->ctx, path, &from->source, &text, d);
	if (!e && text.len > ZONE_TEXT_MAX)
		e = diag_set(d, ERR_LIMIT, "%.*s: longer than %u octets", SLICE_ARG(path), ZONE_TEXT_MAX);
	if (!e)
		e = push(z, path, text, d);
	if (e) {
		zone_text_blame(&from->source, z->path_at, d);
		return e;
	}
	z->top->origin = z->path_origin;
	z->includes++;
	buf_clear(&z->path);
	return ERR_OK;
}

/* Leaves texts that are read to their end; only the first one stays. */
static void ascend(struct zone_text *z)
{
	while (z->top->includer && z->top->pos == z->top->source.text.len) {
		z->top = z->top->includer;
		z->name_is_old = true;
	}
}

enum err zone_text_next(struct zone_text *z, struct zone_entry *ret, struct diag *d)
{
	struct diag own = {0};
	enum err e = ERR_OK;

	if (!d)
		d = &own;
	if (z->path.len > 0)
		e = descend(z, d);
	if (e)
		return e;
	ascend(z);
	if (z->top->pos < z->top->source.text.len)
		return read_entry(z, z->top, ret, d);
	*ret = (struct zone_entry){.kind = ZONE_END, .source = &z->top->source, .line = z->top->line};
	ret->span.at = z->top->pos;
	return ERR_OK;
}

enum err zone_text_octets(const struct zone_entry *e, const struct zone_token *t, struct buf *out)
{
	struct slice word = word_of(e, t);
	size_t pos = 0, before = out->len;

	while (pos < word.len) {
		unsigned char c;
		bool escaped;
		if (zone_word_octet(word, &pos, &escaped, &c) != ERR_OK) {
			out->len = before;
			return ERR_SYNTAX;
		}
		buf_add_u8(out, c);
	}
	return out->failed;
}

/* ---- life ---- */

static enum err start(struct zone_text *z, const struct zone_text_options *o, struct diag *d)
{
	CLEANUP(buf_done) struct buf wire;

	buf_init(&wire, ZONE_NAME_WIRE_MAX);
	if (o->text.len > ZONE_TEXT_MAX)
		return diag_set(d, ERR_LIMIT, "%.*s: longer than %u octets", SLICE_ARG(o->file),
				ZONE_TEXT_MAX);
	enum err e = push(z, o->file, o->text, d);
	if (e || o->origin.len == 0)
		return e;
	e = zone_word_name(o->origin, slice_of("\0", 1), &wire, d);
	if (!e)
		set_wire(&z->top->origin, buf_slice(&wire));
	return e;
}

enum err zone_text_open(const struct zone_text_options *o, struct zone_text **ret, struct diag *d)
{
	struct zone_text *z = NEW(struct zone_text);

	if (!z)
		return diag_set(d, ERR_NOMEM, "no memory");
	z->include = o->include;
	z->ctx = o->ctx;
	buf_init(&z->name, ZONE_NAME_TEXT_MAX);
	buf_init(&z->path, FILE_NAME_MAX);
	enum err e = start(z, o, d);
	if (e) {
		zone_text_close(z);
		return e;
	}
	*ret = z;
	return ERR_OK;
}

void zone_text_close(struct zone_text *z)
{
	if (!z)
		return;
	for (struct frame *f = z->frames, *next; f; f = next) {
		next = f->made_before;
		mem_free(f);
	}
	buf_done(&z->name);
	buf_done(&z->path);
	mem_free(z->tokens);
	mem_free(z);
}

#include "sink.h"

#include "core/mem.h"
#include "core/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const step_names[STEP_COUNT] = {"connect", "ehlo", "mail", "rcpt", "data", "dot"};

struct rule {
	enum script_step step;
	struct slice pattern; /* one '*' at most; empty: everything */
	uint32_t percent;     /* 100: always */
	uint64_t first;       /* only so many times; UINT64_MAX: always */
	struct script_action action;
};

struct script {
	struct buf text; /* what the slices point into */
	struct rule rules[SINK_RULES_MAX];
	size_t count;
};

static bool matches(struct slice pattern, struct slice subject)
{
	size_t star = slice_find(pattern, '*');
	if (star == SLICE_NPOS)
		return pattern.len == 0 || slice_ieq(pattern, subject);
	struct slice head = slice_sub(pattern, 0, star), tail = slice_from(pattern, star + 1);
	return subject.len >= head.len + tail.len && slice_istarts(subject, head) &&
	       slice_iends(subject, tail);
}

struct script_action script_decide(struct script *s, enum script_step step, struct slice subject,
				   uint32_t roll)
{
	for (size_t i = 0; s && i < s->count; i++) {
		struct rule *r = &s->rules[i];
		if (r->step != step || r->first == 0 || roll % 100 >= r->percent ||
		    !matches(r->pattern, subject))
			continue;
		if (r->first != UINT64_MAX)
			r->first--;
		return r->action;
	}
	return (struct script_action){.kind = ACTION_NONE};
}

static bool parse_step(struct slice word, enum script_step *ret)
{
	for (int i = 0; i < STEP_COUNT; i++)
		if (slice_eq_str(word, step_names[i])) {
			*ret = (enum script_step)i;
			return true;
		}
	return false;
}

static bool parse_percent(struct slice word, uint32_t *ret)
{
	uint64_t v;
	if (word.len < 2 || word.ptr[word.len - 1] != '%' ||
	    slice_to_u64(slice_sub(word, 0, word.len - 1), 100, &v) != ERR_OK)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static bool parse_action(struct slice word, struct slice line, struct script_action *ret)
{
	uint64_t code;
	if (slice_eq_str(word, "drop"))
		ret->kind = ACTION_DROP;
	else if (slice_eq_str(word, "hang"))
		ret->kind = ACTION_HANG;
	else if (slice_to_u64(word, 599, &code) == ERR_OK && code >= 200)
		*ret = (struct script_action){ACTION_REPLY,
					      slice_of(word.ptr, (size_t)(line.ptr + line.len - word.ptr))};
	return ret->kind != ACTION_NONE;
}

static enum err parse_rule(struct slice line, struct rule *r, struct diag *d)
{
	struct slice rest = line, word = slice_word(&rest);
	*r = (struct rule){.percent = 100, .first = UINT64_MAX};
	if (!parse_step(word, &r->step))
		return diag_set(d, ERR_SYNTAX, "\"%.*s\": not a step (connect, ehlo, mail, rcpt, data, dot)",
				SLICE_ARG(word));
	for (word = slice_word(&rest); word.len; word = slice_word(&rest)) {
		if (parse_percent(word, &r->percent))
			continue;
		if (slice_eq_str(word, "first")) {
			word = slice_word(&rest);
			if (slice_to_u64(word, UINT32_MAX, &r->first) != ERR_OK)
				return diag_set(d, ERR_SYNTAX, "\"first\" wants a number");
			continue;
		}
		if (parse_action(word, line, &r->action))
			return ERR_OK;
		if (r->pattern.len)
			return diag_set(d, ERR_SYNTAX, "\"%.*s\": wanted \"CODE text\", drop or hang",
					SLICE_ARG(word));
		if (slice_find(word, '*') != slice_rfind(word, '*'))
			return diag_set(d, ERR_SYNTAX, "\"%.*s\": only one \"*\" can be matched",
					SLICE_ARG(word));
		r->pattern = word;
	}
	return diag_set(d, ERR_SYNTAX, "no action: wanted \"CODE text\", drop or hang");
}

static enum err read_file(const char *path, struct buf *out, struct diag *d)
{
	FILE *f = fopen(path, "re");
	char part[4096];
	if (!f)
		return diag_set_errno(d, errno, "%s", path);
	for (size_t n; (n = fread(part, 1, sizeof(part), f)) > 0;)
		buf_add_mem(out, part, n);
	fclose(f);
	return out->failed ? diag_set(d, out->failed, "%s: larger than 1M", path) : ERR_OK;
}

static enum err parse_text(struct script *s, const char *path, struct diag *d)
{
	struct slice rest = buf_slice(&s->text);
	for (unsigned line_no = 1; rest.ptr; line_no++) {
		struct slice line = slice_trim(slice_split(&rest, '\n'));
		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		if (s->count == SINK_RULES_MAX)
			return diag_set(d, ERR_LIMIT, "%s:%u: more than %d rules", path, line_no,
					SINK_RULES_MAX);
		enum err e = parse_rule(line, &s->rules[s->count++], d);
		if (e)
			return diag_prefix(d, "%s:%u", path, line_no);
	}
	return ERR_OK;
}

enum err script_load(const char *path, struct script **ret, struct diag *d)
{
	struct script *s = NEW(struct script);
	if (!s)
		return diag_set(d, ERR_NOMEM, "no memory for the script");
	buf_init(&s->text, 1 << 20);
	enum err e = read_file(path, &s->text, d);
	if (!e)
		e = parse_text(s, path, d);
	if (e)
		script_free(s);
	else
		*ret = s;
	return e;
}

void script_free(struct script *s)
{
	if (!s)
		return;
	buf_done(&s->text);
	mem_free(s);
}

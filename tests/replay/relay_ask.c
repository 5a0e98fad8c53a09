/* Control verbs, as the parent hands them on: the request's octets and one end of a connection go to the process that
 * owns the answer. Rows become lines "column=value column=value", the end "end=ok words". */
#include "relay_world.h"

#include "ctl/control.h"
#include "core/text.h"
#include "evio/ipc.h"

#include <inttypes.h>

#define ANSWER_MS 60000

struct asking {
	struct buf in;
	bool closed;
};

static size_t on_read(void *ctx, struct slice in)
{
	struct asking *a = ctx;
	buf_add(&a->in, in);
	return in.len;
}

static void on_close(void *ctx, const struct diag *why)
{
	struct asking *a = ctx;
	a->closed = true;
}

static bool closed(void *ctx)
{
	return ((struct asking *)ctx)->closed;
}

/* ---- the request ---- */

static void add_argument(struct ctl_fields *f, const struct ctl_verb_info *v, struct slice word)
{
	struct slice key = slice_split(&word, '=');
	for (size_t i = 0; i < v->narguments; i++) {
		const struct ctl_column *c = &v->arguments[i];
		uint64_t number;
		if (!slice_eq_str(key, c->key))
			continue;
		if (c->kind == CTL_U64 && slice_to_u64(word, UINT64_MAX, &number) == ERR_OK)
			ctl_add_u64(f, c->key, number);
		else
			ctl_add_text(f, c->key, word);
		return;
	}
	world_fail("%s has no argument %.*s", v->name, SLICE_ARG(key));
}

static const struct ctl_verb_info *encode(struct slice request, struct buf *out)
{
	struct slice name = slice_word(&request), word;
	const struct ctl_verb_info *v = ctl_verb_by_name(name);
	CLEANUP(ctl_fields_done) struct ctl_fields f;
	if (!v)
		world_fail("no such verb: %.*s", SLICE_ARG(name));
	ctl_fields_init(&f);
	while ((word = slice_word(&request)).len)
		add_argument(&f, v, word);
	need(ctl_encode_request(out, v->verb, &f) == ERR_OK);
	return v;
}

/* ---- the answer ---- */

static void show_field(const struct ctl_field *f, struct buf *out)
{
	buf_printf(out, " %.*s=", SLICE_ARG(f->key));
	switch (f->kind) {
	case CTL_TEXT:
		buf_add(out, f->v.text);
		break;
	case CTL_I64:
	case CTL_TIME:
		buf_printf(out, "%" PRId64, f->v.i64);
		break;
	case CTL_BOOL:
		buf_add_str(out, f->v.flag ? "yes" : "no");
		break;
	case CTL_NULL:
	case CTL_LIST:
		break;
	default:
		buf_printf(out, "%" PRIu64, f->v.u64);
		break;
	}
}

static void show_frame(const struct ctl_frame *f, struct buf *out)
{
	struct ctl_field field;
	if (f->type == CTL_END)
		buf_printf(out, "end=%s %.*s", f->status ? err_name(f->status) : "ok", SLICE_ARG(f->message));
	else
		buf_add_str(out, ctl_table_info(f->table)->name);
	for (size_t pos = 0; ctl_view_next(&f->fields, &pos, &field);)
		show_field(&field, out);
	buf_add_char(out, '\n');
}

static void remember_password(struct world *w, const struct ctl_frame *f)
{
	if (f->type != CTL_ROW || f->table != CTL_T_CREDENTIAL)
		return;
	clients_password(&w->clients, ctl_get_text(&f->fields, "name", SLICE_EMPTY),
			 ctl_get_text(&f->fields, "password", SLICE_EMPTY));
}

static bool show_answer(struct world *w, struct slice in)
{
	struct ctl_frame f;
	size_t used;
	while (in.len && ctl_decode(in, CTL_FRAME_MAX, &f, &used, NULL) == ERR_OK) {
		show_frame(&f, &w->rows);
		remember_password(w, &f);
		if (f.type == CTL_END)
			return true;
		in = slice_from(in, used);
	}
	return false;
}

bool world_ask(struct world *w, struct slice request)
{
	static const struct stream_events events = {.on_read = on_read, .on_close = on_close};
	struct asking a = {0};
	CLEANUP(buf_done) struct buf out;
	struct stream *s;
	int fds[2];
	buf_init(&out, CTL_REQUEST_MAX);
	buf_init(&a.in, WORLD_TEXT_MAX);
	buf_clear(&w->rows);
	const struct ctl_verb_info *v = encode(request, &out);
	struct member *m =
		world_member(w, v->owner == CTL_OWNER_AUTH ? SLICE_LIT("auth.0") : SLICE_LIT("queue.0"));
	if (!m->self)
		return false;
	need(ipc_pair(w->loop, fds, NULL) == ERR_OK);
	need(stream_from_fd(w->loop, fds[0], &events, &a, &s, NULL) == ERR_OK);
	m->ops->control(m->self, fds[1], buf_slice(&out));
	sim_run_until(w->loop, closed, &a, ANSWER_MS);
	stream_free(s);
	bool whole = show_answer(w, buf_slice(&a.in));
	buf_done(&a.in);
	return whole;
}

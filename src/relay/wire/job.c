#include "relay/wire/job.h"

#include "relay/wire/codec.h"

void wire_loan_encode(const struct wire_loan *m, struct buf *out)
{
	buf_add_u64(out, m->segment);
}

enum err wire_loan_decode(struct slice in, struct wire_loan *ret)
{
	struct cursor c = cursor_of(in);
	ret->segment = cursor_u64(&c);
	return cursor_finish(&c);
}

void wire_job_encode(const struct wire_job *m, struct buf *out)
{
	ASSERT(m->rcpt_count <= WIRE_JOB_RECIPIENTS_MAX && m->edits.len <= WIRE_EDITS_MAX);
	buf_add_u64(out, m->job);
	buf_add_u64(out, m->message);
	buf_add_slice32(out, m->site);
	buf_add_u8(out, (uint8_t)m->tls);
	buf_add_slice32(out, m->auth_user);
	buf_add_slice32(out, m->auth_password);
	buf_add_slice32(out, m->helo);
	buf_add_slice32(out, m->account);
	buf_add_u64(out, m->segment);
	buf_add_u64(out, m->offset);
	buf_add_u64(out, m->length);
	buf_add_slice32(out, m->edits);
	buf_add_slice32(out, m->sender);
	buf_add_u8(out, m->body);
	buf_add_u8(out, m->smtputf8);
	buf_add_u32(out, m->attempt);
	wire_hops_encode(m->hops, m->hop_count, out);
	buf_add_u32(out, m->rcpt_count);
	for (uint32_t i = 0; i < m->rcpt_count; i++) {
		buf_add_u32(out, m->rcpts[i].ordinal);
		buf_add_slice32(out, m->rcpts[i].address);
	}
}

static enum err rcpts_decode(struct cursor *c, struct arena *a, struct wire_job *ret)
{
	ret->rcpt_count = cursor_u32(c);
	if (c->failed || ret->rcpt_count > WIRE_JOB_RECIPIENTS_MAX)
		return ERR_CORRUPT;
	struct wire_rcpt *rcpts = arena_alloc(a, ret->rcpt_count * sizeof(*rcpts));
	if (!rcpts)
		return ERR_LIMIT;
	for (uint32_t i = 0; i < ret->rcpt_count; i++) {
		rcpts[i].ordinal = cursor_u32(c);
		rcpts[i].address = codec_slice(c, WIRE_TEXT_MAX);
	}
	ret->rcpts = rcpts;
	return ERR_OK;
}

enum err wire_job_decode(struct slice in, struct arena *a, struct wire_job *ret)
{
	struct cursor c = cursor_of(in);
	ret->job = cursor_u64(&c);
	ret->message = cursor_u64(&c);
	ret->site = codec_slice(&c, WIRE_TEXT_MAX);
	ret->tls = (enum wire_tls_level)codec_u8(&c, WIRE_TLS_VERIFY);
	ret->auth_user = codec_slice(&c, WIRE_SASL_MAX);
	ret->auth_password = codec_slice(&c, WIRE_SASL_MAX);
	ret->helo = codec_slice(&c, WIRE_NAME_MAX);
	ret->account = codec_slice(&c, WIRE_NAME_MAX);
	ret->segment = cursor_u64(&c);
	ret->offset = cursor_u64(&c);
	ret->length = cursor_u64(&c);
	ret->edits = codec_slice(&c, WIRE_EDITS_MAX);
	ret->sender = codec_slice(&c, WIRE_TEXT_MAX);
	ret->body = cursor_u8(&c);
	ret->smtputf8 = codec_u8(&c, 1);
	ret->attempt = cursor_u32(&c);
	enum err e = wire_hops_decode(&c, a, &ret->hop_count, &ret->hops);
	if (!e)
		e = rcpts_decode(&c, a, ret);
	return e ? e : cursor_finish(&c);
}

void wire_result_encode(const struct wire_result *m, struct buf *out)
{
	buf_add_u64(out, m->job);
	buf_add_u64(out, m->message);
	buf_add_u32(out, m->ordinal);
	buf_add_slice32(out, m->result);
}

enum err wire_result_decode(struct slice in, struct wire_result *ret)
{
	struct cursor c = cursor_of(in);
	ret->job = cursor_u64(&c);
	ret->message = cursor_u64(&c);
	ret->ordinal = cursor_u32(&c);
	ret->result = cursor_slice32(&c);
	return cursor_finish(&c);
}

void wire_job_done_encode(const struct wire_job_done *m, struct buf *out)
{
	buf_add_u64(out, m->job);
	buf_add_u8(out, m->site_failed);
	buf_add_slice32(out, m->text);
}

enum err wire_job_done_decode(struct slice in, struct wire_job_done *ret)
{
	struct cursor c = cursor_of(in);
	ret->job = cursor_u64(&c);
	ret->site_failed = codec_u8(&c, 1);
	ret->text = codec_slice(&c, WIRE_TEXT_MAX);
	return cursor_finish(&c);
}

void wire_job_ref_encode(const struct wire_job_ref *m, struct buf *out)
{
	buf_add_u64(out, m->job);
}

enum err wire_job_ref_decode(struct slice in, struct wire_job_ref *ret)
{
	struct cursor c = cursor_of(in);
	ret->job = cursor_u64(&c);
	return cursor_finish(&c);
}

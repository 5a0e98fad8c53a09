/* One message: MAIL to the reply to the final dot. */
#include "relay/smtpc/client_priv.h"

#include "record/record.h"

#include <string.h>

#define STEP_MAIL 0u

static uint32_t step_data(const struct client *c)
{
	return c->job->rcpt_count + 1;
}

const char *client_waiting_for(const struct client *c)
{
	static const char *const names[CLIENT_STATE_COUNT] = {
		[CLIENT_NEW] = "the connection",
		[CLIENT_GREETING] = "the greeting",
		[CLIENT_EHLO] = "the reply to EHLO",
		[CLIENT_HELO] = "the reply to HELO",
		[CLIENT_STARTTLS] = "the reply to STARTTLS",
		[CLIENT_HANDSHAKE] = "the end of the TLS handshake",
		[CLIENT_AUTH] = "the reply to AUTH",
		[CLIENT_IDLE] = "the next message",
		[CLIENT_SCAN] = "the next message",
		[CLIENT_CONTENT] = "the content to be sent",
		[CLIENT_DOT] = "the reply to the end of data",
		[CLIENT_RSET] = "the reply to RSET",
		[CLIENT_QUIT] = "the reply to QUIT",
		[CLIENT_CLOSED] = "nothing",
	};
	if (c->state != CLIENT_ENVELOPE)
		return names[c->state];
	if (c->answered == STEP_MAIL)
		return "the reply to MAIL";
	return c->answered == step_data(c) ? "the reply to DATA" : "the reply to RCPT";
}

/* ---- results ---- */

/* The text of a reply on one line, without the enhanced codes that each of its lines may repeat. */
static struct slice one_line(struct slice text, const uint8_t enhanced[3], struct buf *room)
{
	struct diag code = {0};
	diag_set(&code, ERR_OK, "%u.%u.%u", enhanced[0], enhanced[1], enhanced[2]);
	struct slice prefix = slice_str(code.text);
	while (text.ptr) {
		struct slice line = slice_trim(slice_split(&text, '\n'));
		if (slice_starts(line, prefix) && (line.len == prefix.len || line.ptr[prefix.len] == ' '))
			line = slice_trim(slice_from(line, prefix.len));
		if (room->len && line.len)
			buf_add_char(room, ' ');
		buf_add(room, slice_sub(line, 0, room->max - room->len - 1));
		if (room->len >= SMTPC_RESULT_TEXT_MAX)
			break;
	}
	return slice_sub(buf_slice(room), 0, SMTPC_RESULT_TEXT_MAX);
}

static void report(struct client *c, uint32_t i, const struct client_verdict *v)
{
	CLEANUP(buf_done) struct buf room;
	buf_init(&room, SMTPC_RESULT_TEXT_MAX + 2);
	struct client_result r = {.rcpt = i, .outcome = v->outcome, .code = v->code};
	ASSERT(c->rcpts[i] != CLIENT_RCPT_REPORTED);
	/* A message that may have been taken is unknown for those only whom the server had accepted. */
	r.unknown = v->unknown && c->rcpts[i] == CLIENT_RCPT_ACCEPTED;
	memcpy(r.enhanced, v->enhanced, sizeof(r.enhanced));
	if (!r.enhanced[0])
		r.enhanced[0] = v->outcome == CLIENT_DELIVERED ? 2 : v->outcome == CLIENT_FAILED ? 5 : 4;
	r.text = one_line(v->text, v->enhanced, &room);
	c->rcpts[i] = CLIENT_RCPT_REPORTED;
	c->act->result(c->ctx, &r);
}

void client_report_rest(struct client *c, const struct client_verdict *v)
{
	for (uint32_t i = 0; i < c->job->rcpt_count; i++)
		if (c->rcpts[i] != CLIENT_RCPT_REPORTED)
			report(c, i, v);
}

static void report_accepted(struct client *c, const struct client_verdict *v)
{
	for (uint32_t i = 0; i < c->job->rcpt_count; i++)
		if (c->rcpts[i] == CLIENT_RCPT_ACCEPTED)
			report(c, i, v);
}

static struct client_verdict verdict_of(const struct smtp_reply *r)
{
	unsigned class = smtp_reply_class(r);
	return (struct client_verdict){.outcome = class == 2   ? CLIENT_DELIVERED
						  : class == 5 ? CLIENT_FAILED
							       : CLIENT_DEFERRED,
				       .code = r->code,
				       .enhanced = {r->enhanced[0], r->enhanced[1], r->enhanced[2]},
				       .text = r->text};
}

/* Without the session's end: the connection goes on with the next job. */
static void job_over(struct client *c)
{
	c->job = NULL;
	c->jobs_done++;
	c->act->job_done(c->ctx);
}

static void job_over_idle(struct client *c)
{
	job_over(c);
	client_idle(c);
}

static void job_over_rset(struct client *c)
{
	job_over(c);
	client_command(c, CLIENT_RSET, SLICE_LIT("RSET"), SLICE_LIT("RSET"));
}

static void refuse_job(struct client *c, enum client_outcome o, const uint8_t enhanced[3], const char *why)
{
	struct client_verdict v = {
		.outcome = o, .enhanced = {enhanced[0], enhanced[1], enhanced[2]}, .text = slice_str(why)};
	client_report_rest(c, &v);
	job_over_idle(c);
}

/* ---- commands ---- */

static bool is_control(char ch)
{
	return (unsigned char)ch < ' ' || ch == 127;
}

/* An address as it may stand between < and >. Addresses were parsed when they came in; this is the wall that holds if
 * that ever fails. */
static bool address_fits(struct slice a)
{
	bool quoted = false;
	if (a.len > WIRE_TEXT_MAX)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		char ch = a.ptr[i];
		if (is_control(ch))
			return false;
		if (quoted && ch == '\\' && i + 1 < a.len && !is_control(a.ptr[i + 1]))
			i++;
		else if (ch == '"')
			quoted = !quoted;
		else if (!quoted && (ch == '>' || ch == '<' || ch == ' '))
			return false;
	}
	return !quoted;
}

static void format_mail(const struct client *c, struct buf *line)
{
	const struct client_job *j = c->job;
	buf_printf(line, "MAIL FROM:<%.*s>", SLICE_ARG(j->sender));
	if (c->features & CLIENT_SIZE)
		buf_printf(line, " SIZE=%llu", (unsigned long long)c->length_out);
	if (j->body != RECORD_BODY_7BIT && c->features & CLIENT_8BITMIME)
		buf_add_str(line, " BODY=8BITMIME");
	if (j->smtputf8)
		buf_add_str(line, " SMTPUTF8");
}

static void format_step(const struct client *c, uint32_t step, struct buf *line)
{
	if (step == STEP_MAIL)
		format_mail(c, line);
	else if (step == step_data(c))
		buf_add_str(line, "DATA");
	else
		buf_printf(line, "RCPT TO:<%.*s>", SLICE_ARG(c->job->rcpts[step - 1].address));
}

static void wait_for_step(struct client *c)
{
	bool data = c->answered == step_data(c);
	c->act->set_timer(c->ctx, data ? c->o.timeouts.data_start : c->o.timeouts.reply);
}

/* Sends steps up to `last` as one group. */
static void send_steps(struct client *c, uint32_t last)
{
	buf_clear(&c->out);
	for (; c->sent <= last; c->sent++) {
		size_t from = c->out.len;
		format_step(c, c->sent, &c->out);
		client_trace(c, CLIENT_LINE_SENT, slice_from(buf_slice(&c->out), from));
		buf_add_str(&c->out, "\r\n");
	}
	if (c->out.failed) {
		client_end_text(c, CLIENT_END_PROTOCOL, (const uint8_t[]){4, 3, 0},
				"no memory for a command");
		return;
	}
	c->act->send(c->ctx, buf_slice(&c->out));
	wait_for_step(c);
}

static void begin_envelope(struct client *c)
{
	client_set_state(c, CLIENT_ENVELOPE);
	send_steps(c, c->features & CLIENT_PIPELINING ? step_data(c) : STEP_MAIL);
}

/* ---- content ---- */

static void send_out(struct client *c)
{
	if (c->out.len)
		c->act->send(c->ctx, buf_slice(&c->out));
	buf_clear(&c->out);
}

static void send_dot(struct client *c)
{
	client_set_state(c, CLIENT_DOT);
	send_out(c);
	client_trace(c, CLIENT_LINE_SENT, SLICE_LIT("."));
	c->act->set_timer(c->ctx, c->o.timeouts.data_end);
}

/* Asks for the next range, or ends. What is inserted before it goes out at once. */
static void next_content(struct client *c)
{
	uint64_t offset, len;
	bool more = content_want(&c->content, &c->out, &offset, &len);
	if (!more && c->state == CLIENT_CONTENT)
		content_end(&c->content, &c->out);
	if (c->out.failed) {
		client_end_text(c, CLIENT_END_PROTOCOL, (const uint8_t[]){4, 3, 0},
				"no memory for the content");
		return;
	}
	if (c->state == CLIENT_SCAN) {
		buf_clear(&c->out);
		if (c->content.eight_bit)
			refuse_job(c, CLIENT_FAILED, (const uint8_t[]){5, 6, 3},
				   "the message has 8-bit content, and the server does not take that");
		else if (more)
			c->act->want_content(c->ctx, offset, MIN(len, SMTPC_CHUNK));
		else
			begin_envelope(c);
	} else if (more) {
		send_out(c);
		c->act->want_content(c->ctx, offset, MIN(len, SMTPC_CHUNK));
		c->act->set_timer(c->ctx, c->o.timeouts.data_block);
	} else {
		send_dot(c);
	}
}

static void begin_content(struct client *c, enum client_state state)
{
	client_set_state(c, state);
	buf_clear(&c->out);
	content_start(&c->content, c->job->edits, c->job->length);
	c->act->set_timer(c->ctx, c->o.timeouts.data_block);
	next_content(c);
}

void client_content(struct client *c, struct slice stored)
{
	if (c->state != CLIENT_CONTENT && c->state != CLIENT_SCAN)
		return; /* the session ended, or the server refused meanwhile */
	ASSERT(stored.len > 0);
	buf_clear(&c->out);
	content_feed(&c->content, stored, &c->out);
	next_content(c);
}

void client_content_failed(struct client *c, struct slice why)
{
	if (c->state != CLIENT_CONTENT && c->state != CLIENT_SCAN)
		return;
	struct client_verdict v = {.outcome = CLIENT_DEFERRED, .enhanced = {4, 3, 0}, .text = why};
	client_end(c, CLIENT_END_PROTOCOL, &v);
}

/* ---- replies ---- */

static void impossible(struct client *c, const struct smtp_reply *r)
{
	struct diag d = {0};
	diag_set(&d, ERR_SYNTAX, "code %u as %s", r->code, client_waiting_for(c));
	client_end_text(c, CLIENT_END_PROTOCOL, (const uint8_t[]){4, 5, 0}, d.text);
}

static void mail_answered(struct client *c, const struct smtp_reply *r)
{
	if (smtp_reply_class(r) == 2)
		return;
	struct client_verdict v = verdict_of(r);
	c->mail_refused = true;
	client_report_rest(c, &v);
}

/* 552 to RCPT is what old servers say for "too many recipients" (RFC 5321 4.5.3.1.10); with a code of a mailbox it means
 * that. */
static bool too_many_recipients(const struct smtp_reply *r)
{
	return r->code == 552 && r->enhanced[1] != 2;
}

static void rcpt_answered(struct client *c, uint32_t i, const struct smtp_reply *r)
{
	if (c->mail_refused)
		return;
	if (smtp_reply_class(r) == 2) {
		c->rcpts[i] = CLIENT_RCPT_ACCEPTED;
		c->accepted++;
		return;
	}
	struct client_verdict v = verdict_of(r);
	if (too_many_recipients(r)) {
		v.outcome = CLIENT_DEFERRED;
		v.enhanced[0] = 4;
	}
	report(c, i, &v);
}

static void data_answered(struct client *c, const struct smtp_reply *r)
{
	struct client_verdict v = verdict_of(r);
	if (smtp_reply_class(r) == 3 && c->accepted > 0) {
		begin_content(c, CLIENT_CONTENT);
	} else if (smtp_reply_class(r) == 3) {
		/* Nobody was accepted, yet the server waits for a message: an empty one for nobody (RFC 2920 3.1). */
		buf_clear(&c->out);
		buf_add_str(&c->out, ".\r\n");
		if (c->out.failed)
			client_end_text(c, CLIENT_END_PROTOCOL, (const uint8_t[]){4, 3, 0}, "no memory");
		else
			send_dot(c);
	} else {
		report_accepted(c, &v);
		if (c->mail_refused)
			job_over_idle(c);
		else
			job_over_rset(c);
	}
}

/* Without PIPELINING: the next command, or the end if it would be in vain. */
static void go_on(struct client *c)
{
	if (c->answered < c->sent)
		wait_for_step(c);
	else if (c->mail_refused)
		job_over_idle(c);
	else if (c->answered == step_data(c) && c->accepted == 0)
		job_over_rset(c);
	else
		send_steps(c, c->answered);
}

void client_envelope(struct client *c, const struct smtp_reply *r)
{
	unsigned class = smtp_reply_class(r);
	uint32_t step = c->answered;
	bool data = step == step_data(c);

	if (r->code == 421) {
		client_end_reply(c, CLIENT_END_SHUTDOWN, r);
		return;
	}
	if (class == (data ? 2u : 3u)) {
		impossible(c, r);
		return;
	}
	c->answered++;
	if (data) {
		data_answered(c, r);
		return;
	}
	if (step == STEP_MAIL)
		mail_answered(c, r);
	else
		rcpt_answered(c, step - 1, r);
	go_on(c);
}

/* The server lost patience in the middle of the content. The transaction can only be left by closing. */
void client_early(struct client *c, const struct smtp_reply *r)
{
	struct client_verdict v = verdict_of(r);
	if (v.outcome == CLIENT_DELIVERED || smtp_reply_class(r) == 3) {
		impossible(c, r);
		return;
	}
	if (r->code == 421)
		v.outcome = CLIENT_DEFERRED;
	client_end(c, CLIENT_END_SHUTDOWN, &v);
}

void client_dot(struct client *c, const struct smtp_reply *r)
{
	struct client_verdict v = verdict_of(r);
	if (smtp_reply_class(r) == 3) {
		impossible(c, r);
		return;
	}
	report_accepted(c, &v);
	if (r->code == 421)
		client_end_reply(c, CLIENT_END_SHUTDOWN, r);
	else
		job_over_idle(c);
}

/* ---- the beginning ---- */

static bool addresses_fit(const struct client_job *j)
{
	bool fit = address_fits(j->sender);
	for (uint32_t i = 0; i < j->rcpt_count && fit; i++)
		fit = j->rcpts[i].address.len > 0 && address_fits(j->rcpts[i].address);
	return fit;
}

static bool needs_smtputf8(const struct client_job *j)
{
	bool needs = j->smtputf8 || !slice_is_ascii(j->sender);
	for (uint32_t i = 0; i < j->rcpt_count && !needs; i++)
		needs = !slice_is_ascii(j->rcpts[i].address);
	return needs;
}

static void start_job(struct client *c)
{
	const struct client_job *j = c->job;
	if (edits_check(j->edits, j->length, &c->length_out) != ERR_OK)
		refuse_job(c, CLIENT_DEFERRED, (const uint8_t[]){4, 3, 0}, "the stored edits are damaged");
	else if (!addresses_fit(j))
		refuse_job(c, CLIENT_FAILED, (const uint8_t[]){5, 1, 3}, "malformed address");
	else if (needs_smtputf8(j) && !(j->smtputf8 && c->features & CLIENT_SMTPUTF8))
		refuse_job(c, CLIENT_FAILED, (const uint8_t[]){5, 6, 7},
			   "the message needs SMTPUTF8, and the server does not offer it");
	else if (c->size_max && c->length_out > c->size_max)
		refuse_job(c, CLIENT_FAILED, (const uint8_t[]){5, 3, 4}, "larger than the server takes");
	else if (j->body != RECORD_BODY_7BIT && !(c->features & CLIENT_8BITMIME))
		begin_content(c, CLIENT_SCAN);
	else
		begin_envelope(c);
}

void client_job(struct client *c, const struct client_job *job)
{
	ASSERT(c->state == CLIENT_IDLE && job->rcpt_count > 0 && job->rcpt_count <= WIRE_JOB_RECIPIENTS_MAX);
	c->job = job;
	memset(c->rcpts, CLIENT_RCPT_PENDING, sizeof(c->rcpts));
	c->sent = c->answered = c->accepted = 0;
	c->mail_refused = false;
	start_job(c);
}

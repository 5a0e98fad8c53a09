/* RCPT (RFC 5321 4.1.1.3) with NOTIFY and ORCPT (RFC 3461). */
#include "relay/smtpd/session_priv.h"

#include <inttypes.h>
#include <string.h>

#define FIRST_ROOM 4u /* recipients; most mails have one */

static bool bad_value(struct smtpd_session *s, const char *name, struct slice value)
{
	smtpd_reply(s, "501 5.5.4", "\"%.*s\" is not a value for %s", SLICE_ARG(value), name);
	return false;
}

static bool no_memory(struct smtpd_session *s)
{
	smtpd_reply(s, "452 4.5.3", "Envelope too large, send the rest in another mail");
	return false;
}

static bool set_notify(struct smtpd_session *s, void *target, struct slice value)
{
	static const struct {
		const char *word;
		uint8_t bit;
	} words[] = {{"NEVER", 1}, {"SUCCESS", 2}, {"FAILURE", 4}, {"DELAY", 8}};
	struct record_recipient *r = target;
	for (struct slice rest = value; rest.ptr;) {
		struct slice word = slice_split(&rest, ',');
		size_t i = 0;
		while (i < ARRAY_LEN(words) && !slice_ieq_str(word, words[i].word))
			i++;
		if (i == ARRAY_LEN(words))
			return bad_value(s, "NOTIFY", value);
		r->notify |= words[i].bit;
	}
	if ((r->notify & 1) && r->notify != 1) /* RFC 3461 4.1: NEVER stands alone */
		return bad_value(s, "NOTIFY", value);
	return true;
}

/* addr-type ";" xtext */
static bool set_orcpt(struct smtpd_session *s, void *target, struct slice value)
{
	struct record_recipient *r = target;
	struct slice text = value, type = slice_split(&text, ';');
	if (value.len > SMTPD_ORCPT_MAX || type.len == 0 || text.len == 0 || !smtpd_xtext_valid(value))
		return bad_value(s, "ORCPT", value);
	return smtpd_mail_keep(s, value, &r->orcpt) || no_memory(s);
}

static const struct smtpd_param params[] = {
	{"NOTIFY", SMTPD_EXT_DSN, true, set_notify},
	{"ORCPT", SMTPD_EXT_DSN, true, set_orcpt},
};

/* RFC 5321 4.5.1: <postmaster> without a domain is this relay's; anybody else needs one. */
static bool complete(struct smtpd_session *s, const struct smtpd_path *path, struct slice *ret)
{
	struct slice host = s->opt.conf->hostname;
	if (path->domain.len)
		return smtpd_mail_keep(s, path->address, ret) || no_memory(s);
	if (!slice_ieq_str(path->local, "postmaster")) {
		smtpd_reply(s, "501 5.1.3", "The recipient needs a domain: %.*s@...", SLICE_ARG(path->local));
		return false;
	}
	struct buf b;
	buf_init(&b, sizeof("postmaster@") + SMTPD_NAME_MAX);
	buf_printf(&b, "%.*s@%.*s", SLICE_ARG(path->local), SLICE_ARG(host));
	bool ok = !b.failed && smtpd_mail_keep(s, buf_slice(&b), ret);
	buf_done(&b);
	return ok || no_memory(s);
}

/* The array doubles inside the arena of the mail, which forgets all of them at once. */
static bool make_room(struct smtpd_session *s)
{
	struct smtpd_mail *m = &s->mail;
	uint32_t n = m->envelope.recipient_count;
	if (n < m->recipient_room)
		return true;
	uint32_t room = n ? n * 2 : FIRST_ROOM;
	struct record_recipient *more = arena_alloc(&m->arena, room * sizeof(*more));
	if (!more)
		return no_memory(s);
	if (n)
		memcpy(more, m->recipients, n * sizeof(*more));
	m->recipients = more;
	m->recipient_room = room;
	return true;
}

static bool check(struct smtpd_session *s, struct slice args)
{
	uint64_t max = s->opt.conf->limit.recipients;
	if (s->mail.envelope.recipient_count < max)
		return true;
	smtpd_reply(s, "452 4.5.3", "At most %" PRIu64 " recipients in one mail; send the rest in another",
		    max);
	return false;
}

static bool take(struct smtpd_session *s, struct slice args)
{
	struct record_recipient r = {0};
	struct smtpd_path path;
	if (!smtpd_path(s, "TO:", args, &path) || !smtpd_path_fits(s, &path, s->mail.envelope.smtputf8) ||
	    !smtpd_params(s, path.params, params, ARRAY_LEN(params), &r) || !complete(s, &path, &r.address) ||
	    !make_room(s))
		return false;
	s->mail.recipients[s->mail.envelope.recipient_count++] = r;
	return true;
}

static void proceed(struct smtpd_session *s, struct slice args)
{
	if (!take(s, args)) {
		s->mail.refused_recipients = true;
		return;
	}
	if (s->state == SMTPD_MAIL)
		smtpd_set_state(s, SMTPD_RCPT);
	smtpd_reply(s, "250 2.1.5", "Ok");
}

const struct smtpd_verb smtpd_cmd_rcpt = {
	.name = "RCPT",
	.states = (1u << SMTPD_MAIL) | (1u << SMTPD_RCPT),
	.args = SMTPD_ARGS_REQUIRED,
	.usage = "RCPT TO:<address> [parameters]",
	.check = check,
	.proceed = proceed,
};

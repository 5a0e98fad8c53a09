/* EHLO and HELO (RFC 5321 4.1.1.1). Both begin afresh: a mail under way is forgotten, as by RSET. */
#include "relay/smtpd/session_priv.h"

#include <inttypes.h>

static bool helo_char(char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == ':' || c == '[' || c == ']';
}

/* Clients on desktops send the strangest names; RFC 5321 4.1.4 forbids to refuse mail for them. Only what could
 * not be written into a Received field is refused. */
static bool check(struct smtpd_session *s, struct slice args)
{
	size_t i = 0;
	while (i < args.len && helo_char(args.ptr[i]))
		i++;
	if (i == args.len && args.len <= SMTPD_HELO_MAX)
		return true;
	smtpd_reply(s, "501 5.5.4", "\"%.*s\" is not a host name or an address in brackets", SLICE_ARG(args));
	return false;
}

static void begin(struct smtpd_session *s, struct slice args, bool esmtp)
{
	smtpd_mail_forget(s);
	smtpd_text_set(&s->helo, args);
	s->esmtp = esmtp;
	smtpd_set_state(s, SMTPD_READY);
}

static void helo(struct smtpd_session *s, struct slice args)
{
	begin(s, args, false);
	smtpd_reply(s, "250", "%.*s", SLICE_ARG(s->opt.conf->hostname));
}

static void add(struct buf *out, const char *line)
{
	smtpd_reply_line(out, 250, false, slice_str(line));
}

static void add_auth(struct smtpd_session *s, struct buf *out)
{
	struct slice rest = s->opt.mechanisms;
	buf_add_str(out, "250-AUTH");
	for (struct slice m; (m = smtpd_next_mechanism(s, &rest)).len;)
		buf_printf(out, " %.*s", SLICE_ARG(m));
	buf_add_str(out, "\r\n");
}

/* RFC 9422: what a client would else find out by running into it. */
static void add_limits(struct smtpd_session *s, struct buf *out)
{
	const struct conf_limit *l = &s->opt.conf->limit;
	buf_printf(out, "250-LIMITS MAILMAX=%" PRIu64 " RCPTMAX=%" PRIu64 "\r\n", l->messages_per_connection,
		   l->recipients);
}

static void ehlo(struct smtpd_session *s, struct slice args)
{
	begin(s, args, true);
	struct buf out;
	buf_init(&out, SMTPD_REPLY_MAX);
	smtpd_reply_line(&out, 250, false, s->opt.conf->hostname);
	add(&out, "PIPELINING");
	buf_printf(&out, "250-SIZE %" PRIu64 "\r\n", s->opt.conf->limit.message_size);
	if (s->opt.tls_available && !s->tls && s->opt.listener->tls == CONF_LISTENER_STARTTLS)
		add(&out, "STARTTLS");
	if (smtpd_auth_allowed(s))
		add_auth(s, &out);
	if (s->opt.extensions & SMTPD_EXT_8BITMIME)
		add(&out, "8BITMIME");
	if (s->opt.extensions & SMTPD_EXT_CHUNKING)
		add(&out, "CHUNKING");
	if (s->opt.extensions & SMTPD_EXT_BINARYMIME)
		add(&out, "BINARYMIME");
	if (s->opt.extensions & SMTPD_EXT_SMTPUTF8)
		add(&out, "SMTPUTF8");
	if (s->opt.extensions & SMTPD_EXT_DSN)
		add(&out, "DSN");
	if (s->opt.xclient && s->server.len == 0)
		add(&out, "XCLIENT ADDR NAME PORT PROTO HELO DESTADDR DESTPORT");
	add_limits(s, &out);
	smtpd_reply_line(&out, 250, true, SLICE_LIT("ENHANCEDSTATUSCODES"));
	if (out.failed)
		smtpd_reply_close(s, "no memory", "421 4.3.0", "Out of memory, try again later");
	else
		s->act->send(s->ctx, buf_slice(&out));
	buf_done(&out);
}

const struct smtpd_verb smtpd_cmd_ehlo = {
	.name = "EHLO",
	.states = SMTPD_STATES_COMMAND,
	.args = SMTPD_ARGS_REQUIRED,
	.usage = "EHLO your-host-name",
	.check = check,
	.proceed = ehlo,
};

const struct smtpd_verb smtpd_cmd_helo = {
	.name = "HELO",
	.states = SMTPD_STATES_COMMAND,
	.args = SMTPD_ARGS_REQUIRED,
	.usage = "HELO your-host-name",
	.check = check,
	.proceed = helo,
};

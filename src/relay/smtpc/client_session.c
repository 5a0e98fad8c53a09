/* From the greeting to the first IDLE: EHLO, STARTTLS, AUTH. */
#include "relay/smtpc/client_priv.h"

#include "core/text.h"

static void send_hello(struct client *c, enum client_state state, const char *verb)
{
	CLEANUP(buf_done) struct buf line;
	buf_init(&line, SMTPC_COMMAND_MAX);
	buf_printf(&line, "%s %.*s", verb, SLICE_ARG(c->o.helo));
	client_command(c, state, buf_slice(&line), buf_slice(&line));
}

void client_send_ehlo(struct client *c)
{
	c->features = 0;
	c->size_max = 0;
	send_hello(c, CLIENT_EHLO, "EHLO");
}

/* Not 2xx where nothing else goes on: 421 says that it is passing, the others that this server does not want us. */
static void refused(struct client *c, const struct smtp_reply *r)
{
	client_end_reply(c, r->code == 421 ? CLIENT_END_SHUTDOWN : CLIENT_END_REFUSED, r);
}

void client_greeting(struct client *c, const struct smtp_reply *r)
{
	if (smtp_reply_class(r) == 2)
		client_send_ehlo(c);
	else
		refused(c, r);
}

/* ---- what EHLO offers ---- */

static void take_auth(struct client *c, struct slice mechanisms)
{
	for (struct slice m; (m = slice_word(&mechanisms)).len > 0;)
		if (slice_ieq_str(m, "PLAIN"))
			c->features |= CLIENT_AUTH_PLAIN;
}

static void take_size(struct client *c, struct slice args)
{
	uint64_t size;
	c->features |= CLIENT_SIZE;
	if (slice_to_u64(slice_word(&args), UINT64_MAX, &size) == ERR_OK)
		c->size_max = size;
}

static void take_keyword(struct client *c, struct slice line)
{
	static const struct {
		const char *keyword;
		enum client_feature feature;
	} simple[] = {
		{"PIPELINING", CLIENT_PIPELINING},
		{"8BITMIME", CLIENT_8BITMIME},
		{"SMTPUTF8", CLIENT_SMTPUTF8},
		{"STARTTLS", CLIENT_STARTTLS_OFFERED},
	};
	struct slice word = slice_word(&line);
	for (size_t i = 0; i < ARRAY_LEN(simple); i++)
		if (slice_ieq_str(word, simple[i].keyword))
			c->features |= simple[i].feature;
	if (slice_ieq_str(word, "SIZE"))
		take_size(c, line);
	if (slice_ieq_str(word, "AUTH"))
		take_auth(c, line);
}

static void take_features(struct client *c, const struct smtp_reply *r)
{
	struct slice rest = r->text;
	slice_split(&rest, '\n'); /* the first line is the server's name and greeting */
	while (rest.ptr)
		take_keyword(c, slice_split(&rest, '\n'));
	if (c->o.no_pipelining)
		c->features &= ~(unsigned)CLIENT_PIPELINING;
}

/* ---- the steps ---- */

/* The secret goes out in the clear only where the administrator said that this route has no TLS. */
static void authenticate(struct client *c)
{
	CLEANUP(buf_done) struct buf plain, line;
	buf_init(&plain, WIRE_SASL_MAX * 2 + 2);
	buf_init(&line, WIRE_SASL_MAX * 3);
	if (!c->tls && c->o.tls != WIRE_TLS_NONE) {
		client_end_text(c, CLIENT_END_REFUSED, (const uint8_t[]){4, 7, 0},
				"the route asks for AUTH, and the server offers no TLS to protect it");
		return;
	}
	if (!(c->features & CLIENT_AUTH_PLAIN)) {
		client_end_text(c, CLIENT_END_REFUSED, (const uint8_t[]){4, 7, 0},
				"the route asks for AUTH, and the server does not offer PLAIN");
		return;
	}
	buf_add_char(&plain, '\0');
	buf_add(&plain, c->o.auth_user);
	buf_add_char(&plain, '\0');
	buf_add(&plain, c->o.auth_password);
	buf_add_str(&line, "AUTH PLAIN ");
	base64_encode(&line, buf_slice(&plain));
	client_command(c, CLIENT_AUTH, buf_slice(&line), SLICE_LIT("AUTH PLAIN ..."));
}

static void session_ready(struct client *c)
{
	if (c->o.auth_user.len > 0)
		authenticate(c);
	else
		client_idle(c);
}

static void secure_or_go_on(struct client *c)
{
	if (c->tls || c->o.tls == WIRE_TLS_NONE) {
		session_ready(c);
	} else if (c->features & CLIENT_STARTTLS_OFFERED) {
		client_command(c, CLIENT_STARTTLS, SLICE_LIT("STARTTLS"), SLICE_LIT("STARTTLS"));
	} else if (c->o.tls == WIRE_TLS_MAY) {
		session_ready(c);
	} else {
		client_end_text(c, CLIENT_END_REFUSED, (const uint8_t[]){4, 7, 4},
				"the route asks for TLS, and the server does not offer it");
	}
}

void client_hello(struct client *c, const struct smtp_reply *r)
{
	if (smtp_reply_class(r) == 2) {
		if (c->state == CLIENT_EHLO)
			take_features(c, r);
		/* HELO has no STARTTLS and no AUTH: what the route asks for is missed in the same words. */
		secure_or_go_on(c);
	} else if (r->code == 421 || c->state == CLIENT_HELO || c->tls) {
		refused(c, r);
	} else {
		send_hello(c, CLIENT_HELO, "HELO");
	}
}

void client_starttls(struct client *c, const struct smtp_reply *r)
{
	if (smtp_reply_class(r) == 2) {
		client_set_state(c, CLIENT_HANDSHAKE);
		c->act->set_timer(c->ctx, c->o.timeouts.handshake);
		c->act->start_tls(c->ctx);
	} else if (r->code != 421 && c->o.tls == WIRE_TLS_MAY) {
		session_ready(c);
	} else {
		refused(c, r);
	}
}

void client_tls(struct client *c, const struct tls_info *info)
{
	if (c->state != CLIENT_HANDSHAKE)
		return;
	if (c->o.tls == WIRE_TLS_VERIFY && !info->verified) {
		client_tls_failed(c, info->verify_error ? slice_str(info->verify_error)
							: SLICE_LIT("the certificate was not verified"));
		return;
	}
	c->tls = true;
	client_send_ehlo(c);
}

void client_authenticated(struct client *c, const struct smtp_reply *r)
{
	if (smtp_reply_class(r) == 2)
		client_idle(c);
	else
		refused(c, r);
}

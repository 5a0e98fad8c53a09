/* What happens in sessions, as log lines with stable names and as counters. */
#include "relay/smtpd/smtpd_priv.h"

static struct log_line begin(struct smtpd_conn *c, enum log_level level, const char *event)
{
	struct log_line l = log_begin(c->d->env.log, level, event);
	log_u64(&l, "session", c->number);
	if (!c->session)
		return l;
	log_str(&l, "client", smtpd_session_client(c->session));
	struct slice server = smtpd_session_server(c->session);
	if (server.len)
		log_str(&l, "server", server);
	return l;
}

static void add_id(struct log_line *l, uint64_t id)
{
	char text[RECORD_ID_TEXT_MAX];
	if (id == 0)
		return;
	record_id_format(id, text);
	log_cstr(l, "id", text);
}

static void accepted(struct smtpd_conn *c, const struct smtpd_event *e)
{
	struct smtpd_counters *n = &c->d->counters;
	n->accepted++;
	n->recipients += e->recipients;
	n->octets += e->size;
	struct log_line l = begin(c, LOG_INFO, "smtp.accepted");
	add_id(&l, e->id);
	log_str(&l, "sender", e->sender);
	log_u64(&l, "recipients", e->recipients);
	log_u64(&l, "size", e->size);
	log_end(&l);
}

static void refused(struct smtpd_conn *c, const struct smtpd_event *e)
{
	c->d->counters.refused++;
	struct log_line l = begin(c, LOG_INFO, "smtp.refused");
	log_cstr(&l, "verb", e->verb);
	add_id(&l, e->id);
	if (e->text.len)
		log_str(&l, "argument", e->text);
	if (e->mail)
		log_str(&l, "sender", e->sender);
	log_u64(&l, "code", e->reply.code);
	log_str(&l, "reply", e->reply.text);
	log_end(&l);
}

static void one_text(struct smtpd_conn *c, enum log_level level, const char *event, const char *key,
		     struct slice text)
{
	struct log_line l = begin(c, level, event);
	if (text.len)
		log_str(&l, key, text);
	log_end(&l);
}

void smtpd_event_log(struct smtpd_conn *c, const struct smtpd_event *e)
{
	struct smtpd_counters *n = &c->d->counters;
	switch (e->kind) {
	case SMTPD_EVENT_TLS:
		n->tls++;
		one_text(c, LOG_DEBUG, "smtp.tls", "tls", e->text);
		break;
	case SMTPD_EVENT_AUTH:
		n->auth++;
		one_text(c, LOG_INFO, "smtp.auth", "tls", smtpd_session_tls_text(c->session));
		break;
	case SMTPD_EVENT_AUTH_FAILED:
		n->auth_failed++;
		one_text(c, LOG_DEBUG, "smtp.auth_failed", "name", e->text); /* auth.failed comes from auth */
		break;
	case SMTPD_EVENT_ACCEPTED:
		accepted(c, e);
		break;
	case SMTPD_EVENT_REFUSED:
		refused(c, e);
		break;
	case SMTPD_EVENT_CLOSED:
		one_text(c, LOG_DEBUG, "smtp.closing", "why", e->text);
		break;
	}
}

void smtpd_event_connect(struct smtpd_conn *c)
{
	c->d->counters.connections++;
	one_text(c, LOG_DEBUG, "smtp.connect", "listener", c->listener->name);
}

void smtpd_event_close(struct smtpd_conn *c, const struct diag *why)
{
	bool orderly = why->code == ERR_CLOSED || why->code == ERR_OK;
	enum smtpd_state state = c->session ? smtpd_session_state(c->session) : SMTPD_NEW;
	if (state == SMTPD_TLS)
		c->d->counters.tls_failed++;
	struct log_line l = begin(c, orderly ? LOG_DEBUG : LOG_INFO, "smtp.disconnect");
	log_cstr(&l, "state", smtpd_state_name(state));
	log_cstr(&l, "why", why->text);
	log_i64(&l, "ms", loop_wall(c->d->env.loop) - c->began_ms);
	log_end(&l);
}

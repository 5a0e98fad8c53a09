/* XCLIENT (Postfix's XCLIENT_README): a listed mail proxy tells whom it speaks for. Everything begins anew, as if that
 * client had just connected. A name is never taken on trust: LOGIN is refused, who submits authenticates here. */
#include "relay/smtpd/session_priv.h"

#include "core/text.h"
#include "evio/net.h"

struct told {
	struct smtpd_text client; /* len 0: not told */
};

static bool bad(struct smtpd_session *s, struct slice word)
{
	smtpd_reply(s, "501 5.5.4", "\"%.*s\" is not an attribute of XCLIENT", SLICE_ARG(word));
	return false;
}

/* RFC 1891 xtext: "+2B" is "+". False: not xtext, or too long. */
static bool decode(struct slice value, struct buf *out)
{
	if (!smtpd_xtext_valid(value))
		return false;
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] != '+') {
			buf_add_char(out, value.ptr[i]);
			continue;
		}
		if (hex_decode(out, slice_sub(value, i + 1, 2)) != ERR_OK)
			return false;
		i += 2;
	}
	return !out->failed && !slice_has_control(buf_slice(out));
}

static bool unknown(struct slice value)
{
	return slice_ieq_str(value, "[UNAVAILABLE]") || slice_ieq_str(value, "[TEMPUNAVAIL]");
}

static bool set_address(struct told *t, struct slice value)
{
	struct slice prefix = SLICE_LIT("IPV6:");
	struct net_addr a;
	struct diag why = {0};
	struct buf text;
	if (slice_istarts(value, prefix))
		value = slice_from(value, prefix.len);
	if (net_addr_parse(value, 0, &a, &why) != ERR_OK || a.u.sa.sa_family == AF_UNIX ||
	    net_addr_port(&a) != 0)
		return false;
	buf_init(&text, SMTPD_CLIENT_MAX);
	net_addr_format_ip(&a, &text);
	smtpd_text_set(&t->client, buf_slice(&text));
	bool ok = !text.failed;
	buf_done(&text);
	return ok;
}

/* Names, ports and protocols of the other side of the proxy are read, and not used: they prove nothing. */
static bool listed(struct slice name)
{
	static const char *const names[] = {"NAME", "PORT", "PROTO", "HELO", "DESTADDR", "DESTPORT"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (slice_ieq_str(name, names[i]))
			return true;
	return false;
}

static bool attribute(struct smtpd_session *s, struct slice word, struct told *t)
{
	struct slice coded = word, name = slice_split(&coded, '=');
	struct buf value;
	buf_init(&value, SMTPD_HELO_MAX);
	bool ok = coded.ptr && decode(coded, &value);
	if (ok && slice_ieq_str(name, "ADDR"))
		ok = unknown(buf_slice(&value)) || set_address(t, buf_slice(&value));
	else if (ok)
		ok = listed(name) || (slice_ieq_str(name, "LOGIN") && unknown(buf_slice(&value)));
	buf_done(&value);
	return ok || bad(s, word);
}

static bool check(struct smtpd_session *s, struct slice args)
{
	if (!s->opt.xclient)
		smtpd_reply(s, "550 5.7.0", "XCLIENT is not for you");
	else if (s->server.len)
		smtpd_reply(s, "503 5.5.1", "XCLIENT comes before AUTH");
	else
		return true;
	return false;
}

static void proceed(struct smtpd_session *s, struct slice args)
{
	struct told t = {.client = {.len = 0}};
	for (struct slice word; (word = slice_word(&args)).len;)
		if (!attribute(s, word, &t))
			return;
	if (t.client.len) {
		smtpd_text_set(&s->client, smtpd_text_slice(&t.client));
		s->opt.client = smtpd_text_slice(&s->client);
	}
	smtpd_greet_again(s);
}

const struct smtpd_verb smtpd_cmd_xclient = {
	.name = "XCLIENT",
	.states = (1u << SMTPD_GREETED) | (1u << SMTPD_READY),
	.args = SMTPD_ARGS_REQUIRED,
	.usage = "XCLIENT attribute=value ...",
	.check = check,
	.proceed = proceed,
};

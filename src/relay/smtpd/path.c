/* The argument of MAIL and RCPT: "FROM:" or "TO:", a path in angle brackets, parameters (RFC 5321 4.1.2). */
#include "relay/smtpd/session_priv.h"

#include "mail/address.h"

/* A blank behind the colon is a widespread mistake that harms nobody (RFC 5321 3.3 forbids it to clients only). */
static bool cut_keyword(struct slice *args, const char *keyword)
{
	struct slice k = slice_str(keyword);
	if (!slice_istarts(*args, k))
		return false;
	*args = slice_trim(slice_from(*args, k.len));
	return args->len > 0 && args->ptr[0] == '<';
}

/* The index of the ">" that closes the path: one inside a quoted local part does not. SLICE_NPOS if there is none. */
static size_t path_end(struct slice s)
{
	bool quoted = false;
	for (size_t i = 1; i < s.len; i++) {
		if (quoted && s.ptr[i] == '\\')
			i++;
		else if (s.ptr[i] == '"')
			quoted = !quoted;
		else if (!quoted && s.ptr[i] == '>')
			return i;
	}
	return SLICE_NPOS;
}

/* "@a,@b:" is accepted and ignored (RFC 5321 4.1.1.3, appendix F.2). */
static struct slice without_route(struct slice path)
{
	size_t colon = path.len && path.ptr[0] == '@' ? slice_find(path, ':') : SLICE_NPOS;
	return colon == SLICE_NPOS ? path : slice_from(path, colon + 1);
}

static bool is_reverse(const char *keyword)
{
	return keyword[0] == 'F';
}

static bool bad_path(struct smtpd_session *s, const char *keyword, struct slice path, const char *why)
{
	smtpd_reply(s, is_reverse(keyword) ? "501 5.1.7" : "501 5.1.3", "<%.*s> is not an address: %s",
		    SLICE_ARG(path), why);
	return false;
}

static bool mailbox(struct smtpd_session *s, const char *keyword, struct slice path, struct smtpd_path *ret)
{
	struct mail_address a;
	struct diag why = {0};
	if (mail_address_parse(path, &a, &why) != ERR_OK)
		return bad_path(s, keyword, path, why.text);
	ret->address = path;
	ret->local = a.local;
	ret->domain = a.domain;
	return true;
}

bool smtpd_path(struct smtpd_session *s, const char *keyword, struct slice args, struct smtpd_path *ret)
{
	*ret = (struct smtpd_path){.address = SLICE_EMPTY};
	size_t end = cut_keyword(&args, keyword) ? path_end(args) : SLICE_NPOS;
	if (end == SLICE_NPOS) {
		smtpd_reply(s, "501 5.5.4", "Usage: %s",
			    is_reverse(keyword) ? smtpd_cmd_mail.usage : smtpd_cmd_rcpt.usage);
		return false;
	}
	struct slice path = without_route(slice_sub(args, 1, end - 1));
	ret->params = slice_from(args, end + 1);
	if (ret->params.len && ret->params.ptr[0] != ' ') {
		smtpd_reply(s, "501 5.5.4", "A blank is missing behind <%.*s>", SLICE_ARG(path));
		return false;
	}
	if (path.len == 0)
		return is_reverse(keyword) || bad_path(s, keyword, path, "a recipient cannot be empty");
	return mailbox(s, keyword, path, ret);
}

bool smtpd_path_fits(struct smtpd_session *s, const struct smtpd_path *path, bool smtputf8)
{
	if (smtputf8 || slice_is_ascii(path->address))
		return true;
	smtpd_reply(s, "553 5.6.7", "<%.*s> needs SMTPUTF8", SLICE_ARG(path->address));
	return false;
}

/* What a submission server owes a message: a Received field, Date and Message-ID if they are missing, no Bcc and no
 * Return-Path, no loop (RFC 6409 8, RFC 5321 4.4 and 6.3, RFC 5322 3.6.3). Nothing is changed in the content: all of
 * it are edits that the client side applies when the message leaves. */
#include "relay/smtpd/session_priv.h"

#include "mail/date.h"
#include "mail/header.h"
#include "mail/received.h"

struct survey {
	unsigned received, own; /* Received fields in all; those that this relay wrote */
	bool date, message_id;
};

/* "by" and our name as words of a Received field, outside of which nobody looks for it. */
static bool written_here(struct slice value, struct slice hostname)
{
	for (struct slice word; (word = slice_word(&value)).len;) {
		if (!slice_ieq_str(word, "by"))
			continue;
		word = slice_trim(slice_word(&value));
		return slice_ieq(word, hostname);
	}
	return false;
}

/* The inside of a session, shared by session.c, the verbs (cmd_*.c) and the steps of a mail. Private to this folder. */
#pragma once

#include "core/arena.h"
#include "core/buf.h"
#include "relay/smtpd/data.h"
#include "relay/smtpd/limits.h"
#include "relay/smtpd/session.h"

/* A copied text of bounded length. */
struct smtpd_text {
	uint16_t len;
	char octets[SMTPD_HELO_MAX];
};

/* One mail; zeroed between mails. */
enum smtpd_mail_state {
	SMTPD_MAIL_NONE,
	SMTPD_MAIL_ENVELOPE,  /* MAIL was accepted */
	SMTPD_MAIL_STREAMING, /* the queue gets content */
	SMTPD_MAIL_REFUSED,   /* `refusal` is the answer; content is dropped up to its end */
	SMTPD_MAIL_ENDED,     /* the queue has everything and owes an answer */
};
struct smtpd_mail {
	enum smtpd_mail_state state;
	struct arena arena; /* owned: sender, recipients */
	struct record_message envelope;
	struct record_recipient *recipients; /* in the arena; envelope.recipient_count in use */
	uint32_t recipient_room;
	struct data_reader reader;
	struct buf header; /* owned: copy of the header section, canonical, with its empty line */
	bool header_done;
	enum err header_flaw;    /* ERR_LIMIT, ERR_NOMEM */
	bool refused_recipients; /* one was refused */
	bool refused_chunk;      /* a BDAT was refused: no content can be whole any more */
	uint64_t declared_size;  /* MAIL SIZE=; 0: not given */
	uint64_t window;         /* octets that the queue still takes */
	uint64_t dropped;        /* octets read since the refusal */
	uint64_t progress;       /* octets read since the timer was set */
	uint16_t refusal_code;
	uint8_t refusal_enhanced[3];
	struct smtpd_text refusal_text;
};

/* What happens to input until the next CRLF. */
enum smtpd_skip {
	SMTPD_SKIP_NONE,
	SMTPD_SKIP_LONG, /* a line over its limit: answered at its end */
	SMTPD_SKIP_BARE, /* the rest of a line in which a bare LF was answered already */
};

struct smtpd_session {
	const struct smtpd_actions *act;
	void *ctx;
	struct smtpd_options opt; /* opt.client points into `client` */
	enum smtpd_state state;
	bool draining;                /* 421 as soon as no mail is under way */
	bool esmtp;                   /* EHLO, not HELO */
	bool tls, bindable, external; /* external: a certificate proves who the client is */
	int64_t wall_ms;              /* of the input being worked on */

	enum smtpd_skip skip;
	uint32_t skipped;  /* octets thrown away of this line */
	uint32_t line_max; /* the limit that it broke */

	uint32_t commands_without_mail, bad_commands, bad_recipients, auth_failures, messages;
	uint64_t chunk_left; /* octets of the chunk under way */
	bool chunk_last;
	enum smtpd_state discard_back; /* DISCARD: where it leads back to */
	const char *verb;              /* static; being worked on, for replies and events */
	struct slice arg; /* its argument, for the log; borrowed from the input for the time of the command */

	struct smtpd_text client, helo, server, tls_text;
	struct smtpd_mail mail;
};

static inline struct slice smtpd_text_slice(const struct smtpd_text *t)
{
	return slice_of(t->octets, t->len);
}
void smtpd_text_set(struct smtpd_text *t, struct slice s); /* cut at its room */

/* ---- session.c ---- */
void smtpd_set_state(struct smtpd_session *s, enum smtpd_state to);
/* A step is over: sets the timer for the next command, or ends a draining session that has no mail under way. */
void smtpd_settled(struct smtpd_session *s);
void smtpd_greet_again(struct smtpd_session *s);        /* XCLIENT: as if it had just connected */
bool smtpd_auth_allowed(const struct smtpd_session *s); /* AUTH may be offered here and now */
/* The next mechanism of *rest that may be chosen here and now; empty: no more. */
struct slice smtpd_next_mechanism(const struct smtpd_session *s, struct slice *rest);
bool smtpd_auth_required(const struct smtpd_session *s); /* and has not happened yet */

/* ---- reply.c ----
 * `code` is "250" or "250 2.1.0". Text may hold values from the network: what is not printable ASCII becomes "?",
 * long text is folded into several lines. A code of 400 and more is counted and logged as refused. */
void smtpd_reply(struct smtpd_session *s, const char *code, const char *fmt, ...) ATTR_PRINTF(3, 4);
void smtpd_reply_wire(struct smtpd_session *s,
		      const struct wire_reply *r); /* of the queue: logged, not counted */
struct wire_reply smtpd_code(const char *code);    /* "250 2.1.0" as a value */
/* The reply, then the end of the session. `why` is static, for the log. */
void smtpd_reply_close(struct smtpd_session *s, const char *why, const char *code, const char *fmt, ...)
	ATTR_PRINTF(4, 5);
/* Lines of a multi-line reply without enhanced code (EHLO, HELP), CRLF put in; `last` ends it. */
void smtpd_reply_line(struct buf *out, unsigned code, bool last, struct slice text);
void smtpd_close(struct smtpd_session *s, const char *why);
void smtpd_log(struct smtpd_session *s, enum smtpd_event_kind kind, struct slice text);

/* ---- command.c: the table of verbs ---- */
/* The states in which any command is read; as bits. */
#define SMTPD_STATES_COMMAND                                                                                 \
	((1u << SMTPD_GREETED) | (1u << SMTPD_READY) | (1u << SMTPD_MAIL) | (1u << SMTPD_RCPT) |             \
	 (1u << SMTPD_CHUNKS))
enum smtpd_args { SMTPD_ARGS_NONE, SMTPD_ARGS_OPTIONAL, SMTPD_ARGS_REQUIRED };
struct smtpd_verb {
	const char *name;     /* upper case */
	uint16_t states;      /* bits 1 << enum smtpd_state */
	enum smtpd_args args; /* its argument rule */
	bool secret;          /* the argument is never logged */
	const char *usage;    /* what a refused argument should have been */
	/* Rules beyond state and presence of arguments; answers and gives false if one is broken. May be NULL. */
	bool (*check)(struct smtpd_session *s, struct slice args);
	void (*proceed)(struct smtpd_session *s, struct slice args);
};
void smtpd_command(struct smtpd_session *s, struct slice line); /* without CRLF */
/* Counts a command that brings no mail on; true: it was one too many, the session is closed. */
MUST_CHECK bool smtpd_idle_talk(struct smtpd_session *s);

/* ---- cmd_*.c: one verb (or one family) each; rows of the table ---- */
extern const struct smtpd_verb smtpd_cmd_ehlo, smtpd_cmd_helo, smtpd_cmd_starttls, smtpd_cmd_auth,
	smtpd_cmd_mail, smtpd_cmd_rcpt, smtpd_cmd_data, smtpd_cmd_bdat, smtpd_cmd_rset, smtpd_cmd_noop,
	smtpd_cmd_vrfy, smtpd_cmd_help, smtpd_cmd_quit, smtpd_cmd_xclient;
void smtpd_auth_line(struct smtpd_session *s, struct slice line); /* a response inside AUTH */
void smtpd_auth_failed(struct smtpd_session *s, enum wire_auth_outcome outcome, struct slice name);

/* ---- path.c: the argument of MAIL and RCPT (RFC 5321 4.1.2) ---- */
struct smtpd_path {
	struct slice address; /* between the brackets, without a source route; borrowed; empty: null path */
	struct slice local;   /* as written */
	struct slice domain;  /* empty: none */
	struct slice params;  /* what stands behind the path */
};
/* `keyword` is "FROM:" or "TO:". Answers and gives false if the path is no good. */
bool smtpd_path(struct smtpd_session *s, const char *keyword, struct slice args, struct smtpd_path *ret);
/* Only with SMTPUTF8 may a path hold more than ASCII (RFC 6531 3.4). Answers and gives false if not. */
bool smtpd_path_fits(struct smtpd_session *s, const struct smtpd_path *path, bool smtputf8);

/* ---- params.c: esmtp-param of MAIL and RCPT (RFC 5321 4.1.2) ---- */
struct smtpd_param {
	const char *name;   /* upper case */
	unsigned extension; /* bit of enum smtpd_extension that must be announced; 0: always there */
	bool needs_value;
	/* Stores the value; answers and gives false if it is no good. */
	bool (*set)(struct smtpd_session *s, void *target, struct slice value);
};
bool smtpd_params(struct smtpd_session *s, struct slice text, const struct smtpd_param *table, size_t n,
		  void *target);
bool smtpd_xtext_valid(struct slice s); /* RFC 3461 4 */

/* ---- mail.c: the life of a mail ---- */
void smtpd_mail_set_state(struct smtpd_session *s, enum smtpd_mail_state to);
void smtpd_mail_begin(struct smtpd_session *s);  /* NONE -> ENVELOPE */
void smtpd_mail_forget(struct smtpd_session *s); /* any -> NONE; withdraws it from the queue */
/* Copies into the arena of the mail; false at the limit. */
MUST_CHECK bool smtpd_mail_keep(struct smtpd_session *s, struct slice text, struct slice *ret);
void smtpd_mail_refuse_wire(struct smtpd_session *s, const struct wire_reply *reply);
void smtpd_mail_refuse(struct smtpd_session *s, const char *code, const char *fmt, ...) ATTR_PRINTF(3, 4);
/* Opens the mail at the queue: ENVELOPE -> STREAMING. False: the queue takes nothing now. */
MUST_CHECK bool smtpd_mail_open(struct smtpd_session *s, enum data_mode mode);
/* Content: consumes what the queue's window allows; 0: none now. */
size_t smtpd_mail_input(struct smtpd_session *s, struct slice in);  /* behind DATA */
size_t smtpd_chunk_input(struct smtpd_session *s, struct slice in); /* behind BDAT */
/* All octets of the chunk have come: its answer, or the end of the mail. Waits for credit if it has to. */
void smtpd_chunk_end(struct smtpd_session *s);

/* ---- submit.c: what a submission server owes a message (RFC 6409 8, RFC 5321 4.4, 6.3) ---- */
/* Judges the complete header section and fills *ret with the edits. False: the mail was refused. */
MUST_CHECK bool smtpd_submit_edits(struct smtpd_session *s, struct edits *ret);

#include "tidegate/remote.h"

#include "conf/conf.h"
#include "core/buf.h"
#include "ctl/client.h"
#include "tidegate/cell.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_MAX  (CTL_MESSAGE_MAX * 8u)
#define FILE_WAIT_MS 3600000u /* while the daemon reads or writes a file */

static int64_t wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct render_options options_of(const struct cli *c)
{
	struct render_options o = {.now_ms = wall_ms()};
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct winsize w;

	o.records = c->command->verb == CTL_QUEUE_SHOW;
	if (!isatty(STDOUT_FILENO))
		return o;
	o.color = !(no_color && *no_color) && !(term && slice_eq_str(slice_str(term), "dumb"));
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0)
		o.columns = w.ws_col;
	return o;
}

/* --- where ------------------------------------------------------------------------------------------------ */

/* From --socket, else from the configuration, else the default of the schema. A configuration that cannot be
 * read counts only if it was named. */
static enum err find_socket(const struct cli *c, struct buf *path, struct diag *d)
{
	const char *file = c->config ? c->config : CLI_CONFIG;
	struct conf *conf;
	enum err e;

	if (c->socket) {
		buf_add_str(path, c->socket);
		return ERR_OK;
	}
	e = conf_load(file, &conf, d);
	if (e < 0 && c->config)
		return e;
	if (e < 0) {
		/* A relay that runs on the configuration before this one must still answer. */
		if (access(file, F_OK) == 0)
			cli_complain("%s; trying %s", d->text, CLI_SOCKET);
		*d = (struct diag){0};
		buf_add_str(path, CLI_SOCKET);
		return ERR_OK;
	}
	buf_add(path, conf->control_socket);
	conf_unref(conf);
	return ERR_OK;
}

/* --- what ------------------------------------------------------------------------------------------------- */

static void add_filter(struct ctl_fields *f, const char *key, const char *value)
{
	if (value)
		ctl_add_str(f, key, value);
}

/* Arguments of the command are the verb's text arguments in their order, but for the file's name; then come options. */
static void add_arguments(const struct cli *c, const struct ctl_verb_info *verb, struct ctl_fields *f)
{
	for (unsigned i = 0; i < c->command->nargs && !verb->file; i++)
		ctl_add_str(f, verb->arguments[i].key, c->args[i]);
	if (c->limit > 0)
		ctl_add_u64(f, "limit", c->limit);
	add_filter(f, "hash", c->hash);
	add_filter(f, "server", c->server);
	add_filter(f, "sender", c->sender);
	add_filter(f, "recipient", c->recipient);
	add_filter(f, "state", c->state);
}

static enum err send_request(const struct cli *c, const struct ctl_verb_info *verb, struct ctl_client *client,
			     struct diag *d)
{
	struct ctl_fields f;
	enum err e;

	ctl_fields_init(&f);
	add_arguments(c, verb, &f);
	e = ctl_client_request(client, verb->verb, &f, d);
	ctl_fields_done(&f);
	return e;
}

/* fd -1: there is no file to give. */
static enum err take_frame(struct ctl_client *client, int fd, const struct ctl_frame *frame,
			   struct remote_answer *a, struct diag *d)
{
	if (frame->type == CTL_FILE && fd >= 0)
		return ctl_client_file(client, fd, d);
	enum err e = frame->type == CTL_ROW ? render_add(&a->rows, frame) : ERR_CORRUPT;
	return e < 0 ? diag_set(d, e, "the answer of tidegated cannot be shown: %s", err_name(e)) : ERR_OK;
}

static enum err receive(struct ctl_client *client, int fd, struct remote_answer *a, struct diag *d)
{
	struct ctl_frame frame;

	for (;;) {
		enum err e = ctl_client_next(client, &frame, d);
		if (e < 0)
			return e;
		if (frame.type == CTL_END)
			break;
		e = take_frame(client, fd, &frame, a, d);
		if (e < 0)
			return e;
	}
	a->status = frame.status;
	cell_text(&a->message, frame.message);
	return ERR_OK;
}

enum cli_exit remote_ask(const struct cli *c, struct remote_answer *a, struct diag *d)
{
	return remote_ask_file(c, -1, a, d);
}

enum cli_exit remote_ask_file(const struct cli *c, int fd, struct remote_answer *a, struct diag *d)
{
	const struct ctl_verb_info *verb = ctl_verb_info(c->command->verb);
	struct render_options o = options_of(c);
	struct buf path CLEANUP(buf_done) = {0};
	struct ctl_client *client = NULL;
	enum err e;

	buf_init(&path, 4096);
	buf_init(&a->message, MESSAGE_MAX);
	render_init(&a->rows, verb, &o);
	a->status = ERR_OK;
	e = find_socket(c, &path, d);
	if (e == ERR_OK)
		e = ctl_client_open(buf_cstr(&path), fd >= 0 ? FILE_WAIT_MS : 0, &client, d);
	if (e == ERR_OK)
		e = send_request(c, verb, client, d);
	if (e == ERR_OK)
		e = receive(client, fd, a, d);
	ctl_client_close(client);
	return e == ERR_OK ? CLI_OK : CLI_UNREACHABLE;
}

void remote_done(struct remote_answer *a)
{
	render_done(&a->rows);
	buf_done(&a->message);
}

enum cli_exit remote_result(const struct remote_answer *a)
{
	if (a->status == ERR_OK)
		return CLI_OK;
	if (a->message.len > 0)
		cli_complain("%.*s", SLICE_ARG(buf_slice(&a->message)));
	else
		cli_complain("tidegated refused: %s", err_name(a->status));
	return CLI_FAILED;
}

enum cli_exit remote_show(const struct cli *c, const struct remote_answer *a)
{
	struct buf out CLEANUP(buf_done) = {0};
	enum err e = ERR_OK;

	buf_init(&out, RENDER_OUTPUT_MAX);
	if (c->json)
		e = render_json(&a->rows, &out);
	else
		render_tables(&a->rows, &out);
	if (e == ERR_OK)
		e = out.failed;
	if (e < 0) {
		cli_complain("the answer cannot be shown: %s", err_name(e));
		return CLI_FAILED;
	}
	return cli_print(buf_slice(&out)) ? CLI_OK : CLI_FAILED;
}

/* What a change did: the daemon's words, or one of ours. */
static enum cli_exit show_message(const struct remote_answer *a)
{
	struct buf out CLEANUP(buf_done) = {0};

	buf_init(&out, MESSAGE_MAX + 2);
	if (a->message.len > 0)
		buf_add(&out, buf_slice(&a->message));
	else
		buf_add_str(&out, "done");
	buf_add_char(&out, '\n');
	return cli_print(buf_slice(&out)) ? CLI_OK : CLI_FAILED;
}

enum cli_exit cli_remote(const struct cli *c)
{
	struct remote_answer a;
	struct diag d = {0};
	enum cli_exit exit_status = remote_ask(c, &a, &d);

	if (exit_status != CLI_OK)
		cli_complain("%s", d.text);
	else
		exit_status = remote_result(&a);
	if (exit_status == CLI_OK)
		exit_status = a.rows.tables[0].info || c->json ? remote_show(c, &a) : show_message(&a);
	remote_done(&a);
	return exit_status;
}

/* `tidegate server add|import|list|disable|enable|remove|rotate`: changes to the credentials, one after the other.
 *
 *   queued --first in line--> DERIVE (add, rotate: the worker makes the verifier) --> APPLY --> SAVE (the worker
 *   writes the file) --> answered
 *
 * A change is in force while its file is being written, and undone if that fails: a new password is told only once
 * it is on disk, and a server that is being disabled or removed is shut out at once. A client that goes away does
 * not stop a change that was begun. */
#include "relay/auth/auth_priv.h"

#include "core/mem.h"
#include "relay/auth/store.h"

#include <openssl/crypto.h>
#include <string.h>

struct server_request {
	struct list_node node; /* in auth->changes or auth->listings */
	struct auth *auth;
	struct ctl_conn *conn; /* borrowed; NULL: gone */
	enum ctl_verb verb;
	char name[AUTH_NAME_MAX + 1]; /* of the server; a listing: the last one told */
	struct job job;
	enum err result; /* of the worker's part */
	struct diag why;
	uint8_t salt[SCRAM_SALT_DEFAULT];
	struct buf password; /* the new one; wiped */
	struct verifier verifier;
	bool added;               /* there was no such server before */
	struct credential before; /* for undo */
	struct buf text;          /* the file to be */
};

struct change_info {
	enum ctl_verb verb;
	bool new_password;
	const char *event; /* in the log once it is done: an interface */
};

static const struct change_info changes[] = {
	{CTL_SERVER_ADD, true, "server.added"},       {CTL_SERVER_ROTATE, true, "server.rotated"},
	{CTL_SERVER_ENABLE, false, "server.enabled"}, {CTL_SERVER_DISABLE, false, "server.disabled"},
	{CTL_SERVER_REMOVE, false, "server.removed"}, {CTL_SERVER_IMPORT, false, "server.imported"},
};

static const struct change_info *change_info(enum ctl_verb verb)
{
	for (size_t i = 0; i < ARRAY_LEN(changes); i++)
		if (changes[i].verb == verb)
			return &changes[i];
	return NULL;
}

static void request_free(struct server_request *r)
{
	if (r->password.data)
		OPENSSL_cleanse(r->password.data, r->password.len);
	buf_done(&r->password);
	buf_done(&r->text);
	mem_free(r);
}

static struct server_request *request_new(struct auth *a, struct ctl_conn *c, enum ctl_verb verb)
{
	struct server_request *r = NEW(struct server_request);

	if (!r)
		return NULL;
	r->auth = a;
	r->conn = c;
	r->verb = verb;
	buf_init(&r->password, 64);
	buf_init(&r->text, AUTH_CREDENTIALS_FILE);
	ctl_conn_set_data(c, r);
	return r;
}

/* The connection belongs to nobody from here, so that its on_close finds nothing. */
static struct ctl_conn *take_conn(struct server_request *r)
{
	struct ctl_conn *c = r->auth->stopping ? NULL : r->conn;

	if (c)
		ctl_conn_set_data(c, NULL);
	r->conn = NULL;
	return c;
}

/* ---- listing ---- */

static void fill_server(struct ctl_fields *f, const struct credential *c)
{
	ctl_add_str(f, "name", c->name);
	ctl_add_bool(f, "enabled", !c->disabled);
	ctl_add_time(f, "created", c->created_ms);
	ctl_add_time(f, "rotated", c->rotated_ms);
	if (c->last_used_ms)
		ctl_add_time(f, "last_used", c->last_used_ms);
	else
		ctl_add_null(f, "last_used");
	ctl_add_str(f, "last_address", c->last_used_ms ? c->last_address : NULL);
	ctl_add_u64(f, "successes", c->successes);
	ctl_add_u64(f, "failures", c->failures);
}

/* Rows behind the last name told, until the connection has enough. ERR_OK: all were told. */
static enum err tell_rows(struct server_request *r, struct credential *const *all, size_t n)
{
	CLEANUP(ctl_fields_done) struct ctl_fields f;
	enum err e = ERR_OK;

	ctl_fields_init(&f);
	for (size_t i = 0; i < n && !e; i++) {
		if (strcmp(all[i]->name, r->name) <= 0)
			continue;
		ctl_fields_clear(&f);
		fill_server(&f, all[i]);
		e = ctl_conn_row(r->conn, CTL_T_SERVER, &f);
		memcpy(r->name, all[i]->name, sizeof(r->name));
	}
	return e;
}

static void go_on_listing(struct server_request *r)
{
	size_t n = 0;
	struct credential **all = credential_sorted(&r->auth->table, &n);
	enum err e = all ? tell_rows(r, all, n) : ERR_NOMEM;
	struct ctl_conn *c;

	mem_free(all);
	if (e == ERR_AGAIN || e == ERR_CLOSED)
		return; /* on_more or on_close comes */
	c = take_conn(r);
	list_remove(&r->auth->listings, &r->node);
	request_free(r);
	if (c)
		ctl_conn_end(c, e, SLICE_EMPTY);
}

/* ---- answers to changes ---- */

static const char *const tls_names[] = {
	[CONF_LISTENER_STARTTLS] = "starttls",
	[CONF_LISTENER_IMPLICIT] = "implicit",
	[CONF_LISTENER_NONE] = "none",
};

static enum err tell_credential(const struct server_request *r, struct ctl_conn *c)
{
	CLEANUP(ctl_fields_done) struct ctl_fields f;
	const struct conf *conf = r->auth->conf;
	uint16_t port = 0;
	const struct conf_listener *li = conf_submission(conf, &port);
	enum err e;

	ctl_fields_init(&f);
	ctl_add_str(&f, "name", r->name);
	ctl_add_text(&f, "password", buf_slice(&r->password));
	ctl_add_text(&f, "hostname", conf->hostname);
	if (li)
		ctl_add_u64(&f, "port", port);
	else
		ctl_add_null(&f, "port");
	ctl_add_str(&f, "tls", li ? tls_names[li->tls] : NULL);
	e = ctl_conn_row(c, CTL_T_CREDENTIAL, &f);
	if (f.data.data)
		OPENSSL_cleanse(f.data.data, f.data.len);
	return e;
}

static void answer(struct server_request *r)
{
	const struct change_info *info = change_info(r->verb);
	struct log *lg = r->auth->env.log;
	struct ctl_conn *c = take_conn(r);

	if (r->result) {
		log_event(lg, LOG_WARNING, "server.unchanged", "server", r->name, "verb",
			  ctl_verb_info(r->verb)->name, "why", r->why.text, NULL);
		if (c)
			ctl_conn_fail(c, &r->why);
		return;
	}
	log_event(lg, LOG_INFO, info->event, "server", r->name, NULL);
	if (c && info->new_password)
		(void)tell_credential(r, c); /* a failure shows in the client: no row came */
	if (c)
		ctl_conn_end(c, ERR_OK, SLICE_EMPTY);
}

/* ---- making a change ---- */

static void next_change(struct auth *a);

static void complete(struct server_request *r)
{
	struct auth *a = r->auth;

	list_remove(&a->changes, &r->node);
	answer(r);
	request_free(r);
	next_change(a);
	auth_check_drained(a);
}

static void restore(struct credential *c, const struct credential *before)
{
	struct map_node node = c->node;

	*c = *before;
	c->node = node;
}

static void undo(struct server_request *r)
{
	struct credential_table *t = &r->auth->table;
	struct slice name = slice_str(r->name);
	struct credential *c = credential_find(t, name);

	if (r->added) {
		if (c)
			credential_remove(t, c);
		return;
	}
	/* Without memory a removed server stays away until the next start reads the file again. */
	if (!c && credential_add(t, name, &r->before.verifier, 0, &c, NULL))
		return;
	restore(c, &r->before);
}

static enum err apply_to(struct server_request *r, struct credential *c)
{
	r->before = *c;
	switch (r->verb) {
	case CTL_SERVER_ROTATE:
	case CTL_SERVER_IMPORT:
		c->verifier = r->verifier;
		c->rotated_ms = loop_wall(r->auth->env.loop);
		return ERR_OK;
	case CTL_SERVER_REMOVE:
		credential_remove(&r->auth->table, c);
		return ERR_OK;
	default:
		c->disabled = r->verb == CTL_SERVER_DISABLE;
		return ERR_OK;
	}
}

static enum err apply(struct server_request *r)
{
	struct credential_table *t = &r->auth->table;
	struct slice name = slice_str(r->name);
	struct credential *c = credential_find(t, name);

	if (r->verb == CTL_SERVER_ADD || (r->verb == CTL_SERVER_IMPORT && !c)) {
		enum err e =
			credential_add(t, name, &r->verifier, loop_wall(r->auth->env.loop), NULL, &r->why);
		r->added = e == ERR_OK;
		return e;
	}
	return c ? apply_to(r, c) : diag_set(&r->why, ERR_NOTFOUND, "no server %s", r->name);
}

static void run_save(struct job *j)
{
	struct server_request *r = CONTAINER_OF(j, struct server_request, job);

	r->result = store_save(&r->auth->env.disk, buf_slice(&r->text), &r->why);
}

static void on_saved(struct job *j)
{
	struct server_request *r = CONTAINER_OF(j, struct server_request, job);

	if (r->result)
		undo(r);
	complete(r);
}

static void apply_and_save(struct server_request *r)
{
	r->result = apply(r);
	if (!r->result && credential_write(&r->auth->table, &r->text)) {
		undo(r);
		r->result = diag_set(&r->why, ERR_LIMIT, "the credentials do not fit into their file");
	}
	if (r->result) {
		complete(r);
		return;
	}
	r->job.run = run_save;
	r->job.done = on_saved;
	worker_submit(r->auth->worker, &r->job);
}

static void run_derive(struct job *j)
{
	struct server_request *r = CONTAINER_OF(j, struct server_request, job);

	r->result = scram_make(buf_slice(&r->password), slice_of(r->salt, sizeof(r->salt)),
			       SCRAM_ITERATIONS_DEFAULT, &r->verifier.scram, &r->why);
}

static void on_derived(struct job *j)
{
	struct server_request *r = CONTAINER_OF(j, struct server_request, job);

	if (r->result)
		complete(r);
	else
		apply_and_save(r);
}

static void derive(struct server_request *r)
{
	uint8_t random[CREDENTIAL_PASSWORD_RANDOM];
	struct loop *l = r->auth->env.loop;

	loop_random(l, random, sizeof(random));
	loop_random(l, r->salt, sizeof(r->salt));
	credential_password(random, &r->password);
	OPENSSL_cleanse(random, sizeof(random));
	r->job.run = run_derive;
	r->job.done = on_derived;
	worker_submit(r->auth->worker, &r->job);
}

/* The first in line, if any. A change without a worker's part in front recurses through complete, at most
 * AUTH_CHANGES_MAX deep. */
static void next_change(struct auth *a)
{
	struct list_node *n = list_first(&a->changes);
	struct server_request *r = n ? CONTAINER_OF(n, struct server_request, node) : NULL;

	if (!r || a->stopping)
		return;
	if (change_info(r->verb)->new_password)
		derive(r);
	else
		apply_and_save(r);
}

/* ---- requests ---- */

static void refuse(struct ctl_conn *c, enum err e, const char *words)
{
	ctl_conn_end(c, e, slice_str(words));
}

static void take_change(struct auth *a, struct ctl_conn *c, const struct ctl_frame *req)
{
	struct slice name = ctl_get_text(&req->fields, "name", SLICE_EMPTY);
	struct server_request *r;

	if (!credential_name_ok(name)) {
		refuse(c, ERR_RANGE, "a server's name has 1 to 64 of a-z 0-9 . _ -");
		return;
	}
	if (a->draining || a->changes.count >= AUTH_CHANGES_MAX) {
		refuse(c, ERR_BUSY, a->draining ? "the relay is stopping" : "too many changes at once");
		return;
	}
	r = request_new(a, c, req->verb);
	if (!r) {
		refuse(c, ERR_NOMEM, "no memory");
		return;
	}
	if (req->verb == CTL_SERVER_IMPORT &&
	    verifier_import(ctl_get_text(&req->fields, "hash", SLICE_EMPTY), &r->verifier, &r->why)) {
		ctl_conn_set_data(c, NULL);
		ctl_conn_fail(c, &r->why);
		request_free(r);
		return;
	}
	memcpy(r->name, name.ptr, name.len);
	list_push_back(&a->changes, &r->node);
	if (a->changes.count == 1)
		next_change(a);
}

static void on_request(void *ctx, struct ctl_conn *c, const struct ctl_frame *req, struct slice raw)
{
	struct auth *a = ctx;
	struct server_request *r;

	if (req->verb != CTL_SERVER_LIST && !change_info(req->verb)) {
		refuse(c, ERR_UNSUPPORTED, "not a verb of the auth process");
		return;
	}
	if (req->verb != CTL_SERVER_LIST) {
		take_change(a, c, req);
		return;
	}
	r = request_new(a, c, req->verb);
	if (!r) {
		refuse(c, ERR_NOMEM, "no memory");
		return;
	}
	list_push_back(&a->listings, &r->node);
	go_on_listing(r);
}

static void on_more(void *ctx, struct ctl_conn *c)
{
	struct server_request *r = ctl_conn_data(c);

	if (r && r->verb == CTL_SERVER_LIST)
		go_on_listing(r);
}

static void on_close(void *ctx, struct ctl_conn *c)
{
	struct server_request *r = ctl_conn_data(c);

	if (r && r->verb == CTL_SERVER_LIST) {
		list_remove(&r->auth->listings, &r->node);
		request_free(r);
	} else if (r) {
		r->conn = NULL;
	}
}

const struct ctl_events servers_events = {
	.on_request = on_request,
	.on_more = on_more,
	.on_close = on_close,
};

void servers_stop(struct auth *a)
{
	struct list_node *n;

	while ((n = list_pop(&a->changes)) || (n = list_pop(&a->listings)))
		request_free(CONTAINER_OF(n, struct server_request, node));
}

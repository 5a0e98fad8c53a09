#include "load.h"

#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OPEN_AT_ONCE  100 /* connections begun in one turn: a listener's backlog is finite */
#define OPEN_EVERY_MS 2
#define TICK_MS       500
#define CA_FILE_MAX   (4u << 20)

static uint64_t monotonic_us(const struct load *l)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* ---- which message goes when ---- */

static uint64_t due_us(const struct load *l, uint64_t seq)
{
	return l->started_us + seq * 1000000 / l->o.rate;
}

/* Handed-back numbers first: their time has come already. */
enum load_take load_take(struct load *l, uint64_t *ret_seq)
{
	if (l->ending)
		return TAKE_NEVER;
	if (l->again.len) {
		l->again.len -= sizeof(*ret_seq);
		memcpy(ret_seq, l->again.data + l->again.len, sizeof(*ret_seq));
		l->n.given++;
		return TAKE_MESSAGE;
	}
	if (l->next_seq == l->o.count)
		return TAKE_NEVER;
	if (l->o.rate) {
		uint64_t now = l->clock_us(l), due = due_us(l, l->next_seq);
		if (now < due)
			return TAKE_LATER;
		latency_add(&l->lag, now - due);
	}
	*ret_seq = l->next_seq++;
	l->n.given++;
	return TAKE_MESSAGE;
}

void load_give_back(struct load *l, uint64_t seq)
{
	buf_add_mem(&l->again, &seq, sizeof(seq));
	l->n.given--;
	timer_set(&l->pace, 0); /* somebody may be waiting */
}

bool load_has_work(const struct load *l)
{
	return !l->ending && (l->again.len || l->next_seq < l->o.count);
}

/* At the next due time, in whole milliseconds: the loop's timers are no finer. */
static void set_pace(struct load *l)
{
	uint64_t now = l->clock_us(l), due = l->o.rate ? due_us(l, l->next_seq) : now;
	if (!timer_active(&l->pace))
		timer_set(&l->pace, due > now ? (due - now) / 1000 + 1 : 1);
}

void load_wait(struct load *l, struct conn *c)
{
	list_push_back(&l->waiting, &c->waiting);
	set_pace(l);
}

static void on_pace(void *ctx)
{
	struct load *l = ctx;
	uint64_t now = l->clock_us(l);
	size_t sleepers = l->waiting.count;
	while (sleepers-- && l->waiting.count) {
		if (l->o.rate && !l->again.len && load_has_work(l) && due_us(l, l->next_seq) > now)
			break;
		conn_wake(CONTAINER_OF(list_pop(&l->waiting), struct conn, waiting));
	}
	if (l->waiting.count)
		set_pace(l);
}

void load_acknowledge(struct load *l, uint64_t seq)
{
	char line[24];
	if (l->acked_fd < 0)
		return;
	int n = snprintf(line, sizeof(line), "%llu\n", (unsigned long long)seq);
	if (write(l->acked_fd, line, (size_t)n) == n)
		return;
	if (!l->fatal.code)
		diag_set_errno(&l->fatal, errno, "%s", l->o.acked_file);
	loop_stop(l->loop);
}

/* ---- the end ---- */

void load_conn_ended(struct load *l)
{
	if (--l->live == 0)
		loop_stop(l->loop);
}

void load_stop(struct load *l)
{
	if (l->ending)
		loop_stop(l->loop);
	l->ending = true;
	for (uint32_t i = 0; i < l->opened; i++)
		conn_leave(&l->conns[i]);
	timer_set(&l->pace, 0);
}

static void on_end(void *ctx)
{
	struct load *l = ctx;
	if (!l->ending)
		load_stop(l);
}

static void on_tick(void *ctx)
{
	struct load *l = ctx;
	for (uint32_t i = 0; i < l->opened; i++)
		conn_check_time(&l->conns[i]);
	if (loop_now(l->loop) - l->progress_ms > l->o.timeout_ms + 2 * TICK_MS && !l->waiting.count) {
		diag_prefix(&l->trouble, "no message answered for %llu s",
			    (unsigned long long)l->o.timeout_ms / 1000);
		loop_stop(l->loop);
	}
	if (l->terminal)
		report_progress(l);
	timer_set(&l->tick, TICK_MS);
}

/* ---- the beginning ---- */

static void on_opener(void *ctx)
{
	struct load *l = ctx;
	for (int i = 0; i < OPEN_AT_ONCE && l->opened < l->o.connections; i++)
		conn_open(&l->conns[l->opened++]);
	if (l->opened < l->o.connections)
		timer_set(&l->opener, OPEN_EVERY_MS);
}

static enum err read_file(const char *path, struct buf *out, struct diag *d)
{
	FILE *f = fopen(path, "re");
	char part[4096];
	if (!f)
		return diag_set_errno(d, errno, "%s", path);
	for (size_t n; (n = fread(part, 1, sizeof(part), f)) > 0;)
		buf_add_mem(out, part, n);
	int failed = ferror(f) ? errno : 0;
	fclose(f);
	if (failed)
		return diag_set_errno(d, failed, "%s", path);
	return out->failed ? diag_set(d, out->failed, "%s: larger than 4M", path) : ERR_OK;
}

static enum err open_tls(struct load *l, struct diag *d)
{
	CLEANUP(buf_done) struct buf ca = {.max = CA_FILE_MAX};
	if (l->o.tls == LOAD_TLS_NONE)
		return ERR_OK;
	tls_library_init();
	enum err e = l->o.ca_file ? read_file(l->o.ca_file, &ca, d) : ERR_OK;
	struct tls_client_options t = {.ca_pem = buf_slice(&ca), .no_system_store = l->o.insecure};
	return e ? e : tls_client_new(&t, &l->tls, d);
}

static enum err open_acked(struct load *l, struct diag *d)
{
	if (!l->o.acked_file)
		return ERR_OK;
	l->acked_fd = open(l->o.acked_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	return l->acked_fd < 0 ? diag_set_errno(d, errno, "%s", l->o.acked_file) : ERR_OK;
}

static enum err open_conns(struct load *l, struct diag *d)
{
	l->conns = mem_alloc(l->o.connections * sizeof(*l->conns));
	if (!l->conns)
		return diag_set(d, ERR_NOMEM, "no memory for %u connections", l->o.connections);
	for (uint32_t i = 0; i < l->o.connections; i++)
		conn_init(&l->conns[i], l, i);
	return ERR_OK;
}

enum err load_init(struct load *l, const struct load_options *o, struct loop *loop, struct diag *d)
{
	l->o = *o;
	l->o.connections = (uint32_t)MIN(o->connections, o->count);
	l->loop = loop;
	l->acked_fd = -1;
	l->clock_us = monotonic_us;
	l->live = l->o.connections;
	buf_init(&l->again, 3 * sizeof(uint64_t) * (size_t)o->connections);
	buf_init(&l->scratch, (size_t)LOAD_COMMAND_MAX * (o->recipients + 4));
	list_init(&l->waiting);
	timer_init(&l->opener, loop, on_opener, l);
	timer_init(&l->tick, loop, on_tick, l);
	timer_init(&l->pace, loop, on_pace, l);
	timer_init(&l->end, loop, on_end, l);
	uint32_t drawn;
	loop_random(loop, &drawn, sizeof(drawn));
	uint64_t run = o->run ? o->run : drawn;
	enum err e = content_init(&l->content, &l->o, run, loop_wall(loop));
	if (e)
		diag_set(d, e, "no memory for messages of that size");
	if (!e)
		e = open_tls(l, d);
	if (!e)
		e = open_acked(l, d);
	return e ? e : open_conns(l, d);
}

void load_done(struct load *l)
{
	for (uint32_t i = 0; l->conns && i < l->o.connections; i++)
		conn_shut(&l->conns[i]);
	timer_cancel(&l->opener);
	timer_cancel(&l->tick);
	timer_cancel(&l->pace);
	timer_cancel(&l->end);
	mem_free(l->conns);
	content_done(&l->content);
	buf_done(&l->again);
	buf_done(&l->scratch);
	tls_client_free(l->tls);
	base_close(&l->acked_fd);
}

enum err load_run(struct load *l, struct diag *d)
{
	l->started_us = l->last_reply_us = l->clock_us(l);
	l->progress_ms = loop_now(l->loop);
	timer_set(&l->opener, 0);
	timer_set(&l->tick, TICK_MS);
	if (l->o.seconds)
		timer_set(&l->end, (uint64_t)l->o.seconds * 1000);
	enum err e = loop_run(l->loop);
	if (e)
		return diag_set(d, e, "the event loop failed");
	for (uint32_t i = 0; i < l->opened; i++)
		conn_shut(&l->conns[i]);
	if (l->fatal.code && d)
		*d = l->fatal;
	return l->fatal.code;
}

/* A run of so many seconds owes only what it has begun. */
uint64_t load_unsent(const struct load *l)
{
	return (l->o.seconds ? l->next_seq : l->o.count) - l->n.given;
}

bool load_succeeded(const struct load *l)
{
	return l->n.accepted > 0 && l->n.accepted == l->n.given && l->n.rcpt_refused == 0 &&
	       load_unsent(l) == 0;
}

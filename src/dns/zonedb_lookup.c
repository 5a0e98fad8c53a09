#include "dns/zonedb_lookup.h"

#include "core/list.h"
#include "core/mem.h"

#include <string.h>

struct query {
	struct list_node in_queries;
	struct zonedb_lookup *lookup;
	struct task task;
	uint64_t id;
	enum dns_type type;
	dns_answer_fn *done;
	void *ctx;
	size_t name_len;
	char name[DNS_NAME_MAX];
};

struct zonedb_lookup {
	struct loop *loop;
	struct zonedb *db;
	struct list queries; /* under way */
	uint64_t last_id;
};

static void drop(struct query *q)
{
	list_remove(&q->lookup->queries, &q->in_queries);
	task_cancel(&q->task);
	mem_free(q);
}

static void on_task(void *ctx)
{
	struct query *q = ctx;
	dns_answer_fn *done = q->done;
	void *done_ctx = q->ctx;
	struct dns_answer a;

	zonedb_answer(q->lookup->db, slice_of(q->name, q->name_len), q->type, &a);
	drop(q);
	done(done_ctx, &a);
}

static enum err ask(void *self, struct slice name, enum dns_type type, dns_answer_fn *done, void *ctx,
		    uint64_t *ret_query, struct diag *d)
{
	struct zonedb_lookup *l = self;

	ASSERT(name.len <= DNS_NAME_MAX);
	if (l->queries.count >= DNS_QUERIES_MAX)
		return diag_set(d, ERR_LIMIT, "too many questions at a time");
	struct query *q = NEW(struct query);
	if (!q)
		return diag_set(d, ERR_NOMEM, "no memory");
	q->lookup = l;
	q->id = ++l->last_id;
	q->type = type;
	q->done = done;
	q->ctx = ctx;
	q->name_len = name.len;
	if (name.len)
		memcpy(q->name, name.ptr, name.len);
	list_push_back(&l->queries, &q->in_queries);
	task_init(&q->task, l->loop, on_task, q);
	task_defer(&q->task);
	*ret_query = q->id;
	return ERR_OK;
}

static void cancel(void *self, uint64_t query)
{
	struct zonedb_lookup *l = self;

	LIST_EACH_SAFE (&l->queries, it, tmp) {
		struct query *q = CONTAINER_OF(it, struct query, in_queries);
		if (q->id != query)
			continue;
		drop(q);
		return;
	}
}

enum err zonedb_lookup_new(struct loop *loop, struct zonedb *db, struct zonedb_lookup **ret)
{
	struct zonedb_lookup *l = NEW(struct zonedb_lookup);

	if (!l)
		return ERR_NOMEM;
	l->loop = loop;
	l->db = db;
	list_init(&l->queries);
	*ret = l;
	return ERR_OK;
}

void zonedb_lookup_free(struct zonedb_lookup *l)
{
	if (!l)
		return;
	LIST_EACH_SAFE (&l->queries, it, tmp)
		drop(CONTAINER_OF(it, struct query, in_queries));
	mem_free(l);
}

struct dns_lookup zonedb_lookup_table(struct zonedb_lookup *l)
{
	return (struct dns_lookup){.self = l, .ask = ask, .cancel = cancel};
}

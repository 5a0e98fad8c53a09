/* Which connection serves which job. */
#include "relay/smtpc/smtpc_priv.h"

#include "core/cursor.h"
#include "core/hash.h"
#include "core/mem.h"

#include <string.h>

static bool pool_eq(const struct map_node *n, const void *key)
{
	return slice_eq(CONTAINER_OF(n, struct smtpc_pool, node)->key, *(const struct slice *)key);
}

void smtpc_pools_init(struct smtpc *p)
{
	map_init(&p->pools, pool_eq);
	list_init(&p->all);
	list_init(&p->starved);
}

/* Everything that a connection is made with, with lengths, so that no two different ones read alike. */
static void format_key(const struct wire_job *w, struct buf *key)
{
	buf_add_u8(key, (uint8_t)w->tls);
	buf_add_slice32(key, w->site);
	buf_add_slice32(key, w->helo);
	buf_add_slice32(key, w->auth_user);
	buf_add_slice32(key, w->auth_password);
}

static void split_key(struct smtpc_pool *pool)
{
	struct cursor c = cursor_of(pool->key);
	pool->tls = (enum wire_tls_level)cursor_u8(&c);
	pool->site = cursor_slice32(&c);
	pool->helo = cursor_slice32(&c);
	pool->auth_user = cursor_slice32(&c);
	pool->auth_password = cursor_slice32(&c);
	ASSERT(cursor_finish(&c) == ERR_OK);
}

static struct smtpc_pool *pool_new(struct smtpc *p, struct slice key)
{
	struct smtpc_pool *pool = NEW(struct smtpc_pool);
	char *copy = mem_alloc(key.len);
	if (!pool || !copy) {
		mem_free(pool);
		mem_free(copy);
		return NULL;
	}
	memcpy(copy, key.ptr, key.len);
	pool->p = p;
	pool->key = slice_of(copy, key.len);
	split_key(pool);
	list_init(&pool->idle);
	list_init(&pool->waiting);
	if (map_insert(&p->pools, &pool->node, hash_slice(key)) == ERR_OK)
		return pool;
	mem_free(copy);
	mem_free(pool);
	return NULL;
}

struct smtpc_pool *smtpc_pool_ref(struct smtpc *p, const struct wire_job *w)
{
	CLEANUP(buf_done) struct buf key;
	buf_init(&key, 4 * SMTPC_KEY_MAX);
	format_key(w, &key);
	if (key.failed)
		return NULL;
	struct slice k = buf_slice(&key);
	struct map_node *n = map_find(&p->pools, hash_slice(k), &k);
	struct smtpc_pool *pool = n ? CONTAINER_OF(n, struct smtpc_pool, node) : pool_new(p, k);
	if (pool)
		pool->refs++;
	return pool;
}

void smtpc_pool_unref(struct smtpc_pool *pool)
{
	if (--pool->refs > 0)
		return;
	ASSERT(pool->conns == 0 && pool->waiting.count == 0 && !list_linked(&pool->starved));
	map_remove(&pool->p->pools, &pool->node);
	explicit_bzero((char *)pool->key.ptr, pool->key.len); /* it holds a password */
	mem_free((char *)pool->key.ptr);
	mem_free(pool);
}

static struct smtpc_conn *conn_of(struct list_node *n)
{
	return CONTAINER_OF(n, struct smtpc_conn, idle);
}

/* The most recently used one: it is the least likely to have been dropped by the server. */
static struct smtpc_conn *take_idle(struct smtpc_pool *pool)
{
	if (pool->idle.count == 0)
		return NULL;
	struct smtpc_conn *c = conn_of(pool->idle.head.prev);
	list_remove(&pool->idle, &c->idle);
	pool->p->idle--;
	return c;
}

/* Makes room by ending an idle connection of any site; the room comes when it has gone. */
static void end_some_idle(struct smtpc *p)
{
	MAP_EACH_SAFE (&p->pools, n, next) {
		struct smtpc_pool *pool = CONTAINER_OF(n, struct smtpc_pool, node);
		struct list_node *idle = list_first(&pool->idle);
		if (!idle)
			continue;
		smtpc_conn_quit(conn_of(idle));
		return;
	}
}

static void fail_job(struct smtpc_job *j, const char *why)
{
	struct record_result r = {.state = RECORD_DEFERRED, .enhanced = {4, 3, 0}, .text = slice_str(why)};
	smtpc_job_defer_all(j, &r);
}

void smtpc_pool_submit(struct smtpc_pool *pool, struct smtpc_job *j)
{
	struct smtpc *p = pool->p;
	struct smtpc_conn *c = take_idle(pool);
	if (c) {
		p->reused++;
		smtpc_conn_give(c, j);
	} else if (p->conns < p->conf->delivery.connections) {
		if (smtpc_conn_open(pool, j) != ERR_OK)
			fail_job(j, "out of memory");
	} else {
		list_push_back(&pool->waiting, &j->waiting);
		if (!list_linked(&pool->starved))
			list_push_back(&p->starved, &pool->starved);
		if (p->idle > 0)
			end_some_idle(p);
	}
}

struct smtpc_job *smtpc_pool_next(struct smtpc_pool *pool)
{
	struct list_node *n = list_pop(&pool->waiting);
	if (n && pool->waiting.count == 0)
		list_remove(&pool->p->starved, &pool->starved);
	return n ? CONTAINER_OF(n, struct smtpc_job, waiting) : NULL;
}

void smtpc_pool_starving(struct smtpc *p)
{
	struct list_node *n;
	while (p->conns < p->conf->delivery.connections && (n = list_first(&p->starved))) {
		struct smtpc_pool *pool = CONTAINER_OF(n, struct smtpc_pool, starved);
		/* To the end: sites take turns. */
		list_remove(&p->starved, n);
		list_push_back(&p->starved, n);
		struct smtpc_job *j = smtpc_pool_next(pool);
		if (smtpc_conn_open(pool, j) != ERR_OK)
			fail_job(j, "out of memory");
	}
}

void smtpc_pools_close_idle(struct smtpc *p)
{
	while (p->idle > 0)
		end_some_idle(p);
}

void smtpc_pools_done(struct smtpc *p)
{
	struct list_node *n;
	while ((n = list_first(&p->starved)))
		(void)smtpc_pool_next(CONTAINER_OF(n, struct smtpc_pool, starved));
}

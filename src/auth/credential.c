#include "auth/credential.h"

#include "core/hash.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

static bool same_name(const struct map_node *n, const void *key)
{
	return slice_eq_str(*(const struct slice *)key, CONTAINER_OF(n, struct credential, node)->name);
}

void credential_table_init(struct credential_table *t)
{
	map_init(&t->map, same_name);
}

void credential_table_done(struct credential_table *t)
{
	MAP_EACH_SAFE (&t->map, it, tmp) {
		credential_remove(t, CONTAINER_OF(it, struct credential, node));
	}
	map_done(&t->map);
}

void credential_table_swap(struct credential_table *a, struct credential_table *b)
{
	struct credential_table kept = *a;

	*a = *b;
	*b = kept;
}

size_t credential_count(const struct credential_table *t)
{
	return t->map.count;
}

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || ascii_is_digit(c) || c == '.' || c == '_' || c == '-';
}

bool credential_name_ok(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!name_char(name.ptr[i]))
			return false;
	return name.len >= 1 && name.len <= AUTH_NAME_MAX;
}

struct credential *credential_find(const struct credential_table *t, struct slice name)
{
	struct map_node *n = map_find(&t->map, hash_slice(name), &name);

	return n ? CONTAINER_OF(n, struct credential, node) : NULL;
}

static enum err check_new(const struct credential_table *t, struct slice name, struct diag *d)
{
	if (!credential_name_ok(name))
		return diag_set(d, ERR_RANGE, "\"%.*s\" is not a server name: 1 to %d of a-z 0-9 . _ -",
				SLICE_ARG(slice_sub(name, 0, AUTH_NAME_MAX)), AUTH_NAME_MAX);
	if (credential_find(t, name))
		return diag_set(d, ERR_EXISTS, "server %.*s exists already", SLICE_ARG(name));
	if (credential_count(t) >= AUTH_CREDENTIALS_MAX)
		return diag_set(d, ERR_LIMIT, "there are %d servers already, no more are possible",
				AUTH_CREDENTIALS_MAX);
	return ERR_OK;
}

enum err credential_add(struct credential_table *t, struct slice name, const struct verifier *v,
			int64_t now_ms, struct credential **ret, struct diag *d)
{
	enum err e = check_new(t, name, d);
	struct credential *c;

	if (e)
		return e;
	c = NEW(struct credential);
	if (!c || map_insert(&t->map, &c->node, hash_slice(name))) {
		mem_free(c);
		return diag_set(d, ERR_NOMEM, "no memory for server %.*s", SLICE_ARG(name));
	}
	memcpy(c->name, name.ptr, name.len);
	c->verifier = *v;
	c->created_ms = c->rotated_ms = now_ms;
	if (ret)
		*ret = c;
	return ERR_OK;
}

void credential_remove(struct credential_table *t, struct credential *c)
{
	map_remove(&t->map, &c->node);
	mem_free(c);
}

static int by_name(const void *a, const void *b)
{
	const struct credential *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

struct credential **credential_sorted(const struct credential_table *t, size_t *ret_count)
{
	size_t n = credential_count(t), i = 0;
	struct credential **all = mem_alloc((n + 1) * sizeof(struct credential *));

	if (!all)
		return NULL;
	MAP_EACH_SAFE (&t->map, it, tmp) {
		all[i++] = CONTAINER_OF(it, struct credential, node);
	}
	ASSERT(i == n);
	qsort(all, n, sizeof(struct credential *), by_name);
	*ret_count = n;
	return all;
}

void credential_password(const uint8_t random[CREDENTIAL_PASSWORD_RANDOM], struct buf *out)
{
	static const char alphabet[] = "abcdefghijkmnpqrstuvwxyz23456789";

	_Static_assert(sizeof(alphabet) == 32 + 1, "five bits choose a character");
	for (size_t i = 0; i < CREDENTIAL_PASSWORD_RANDOM; i++) {
		if (i > 0 && i % 7 == 0)
			buf_add_char(out, '-');
		buf_add_char(out, alphabet[random[i] & 31]);
	}
}

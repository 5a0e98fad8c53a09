#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static enum err write_file(const char *path, struct slice data, struct diag *d)
{
	CLEANUP(base_close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return diag_set_errno(d, errno, "%s", path);
	while (data.len) {
		ssize_t n = write(fd, data.ptr, data.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return diag_set_errno(d, errno, "%s", path);
		data = slice_from(data, (size_t)n);
	}
	return ERR_OK;
}

static json_t *text(struct slice s)
{
	json_t *j = json_stringn(s.ptr ? s.ptr : "", s.len);
	return j ? j : json_string("(not UTF-8)");
}

static json_t *envelope_json(const struct envelope *env, int64_t wall_ms)
{
	json_t *o = json_object(), *rcpts = json_array();
	struct slice rest = buf_slice(&env->recipients);
	for (uint32_t i = 0; i < env->rcpt_count; i++)
		json_array_append_new(rcpts, text(slice_split(&rest, '\n')));
	json_object_set_new(o, "sender", text(buf_slice(&env->sender)));
	json_object_set_new(o, "recipients", rcpts);
	json_object_set_new(o, "helo", text(slice_str(env->helo)));
	json_object_set_new(o, "tls", json_boolean(env->tls));
	json_object_set_new(o, "body_8bit", json_boolean(env->body_8bit));
	json_object_set_new(o, "smtputf8", json_boolean(env->smtputf8));
	json_object_set_new(o, "time_ms", json_integer(wall_ms));
	return o;
}

enum err store_message(const char *dir, uint64_t number, const struct envelope *env, struct slice content,
		       int64_t wall_ms, struct diag *d)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%llu.eml", dir, (unsigned long long)number);
	enum err e = write_file(path, content, d);
	if (e)
		return e;
	json_t *o = envelope_json(env, wall_ms);
	char *json = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	/* The envelope comes last and by rename: who sees it sees a whole message. */
	char tmp[4112];
	snprintf(path, sizeof(path), "%s/%llu.json", dir, (unsigned long long)number);
	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	e = json ? write_file(tmp, slice_str(json), d) : diag_set(d, ERR_NOMEM, "no memory");
	free(json);
	if (!e && rename(tmp, path) != 0)
		e = diag_set_errno(d, errno, "%s", path);
	return e;
}

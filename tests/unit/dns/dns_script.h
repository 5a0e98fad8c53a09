/* Scripted DNS behind struct dns_lookup: answers come from a table, one turn later, in order or reversed. */
#pragma once

#include "core/list.h"
#include "dns/lookup.h"
#include "evio/loop.h"

struct dns_script_row {
	const char *name;
	enum dns_type type;
	enum dns_status status;
	bool secure;
	uint32_t ttl_s;
	const char *records; /* "10 mx.example 20 mx2.example" for MX, addresses for A and AAAA */
};

struct dns_script {
	struct loop *loop;
	const struct dns_script_row *rows;
	size_t count;
	bool reversed;                         /* late answers first */
	bool silent;                           /* never answers */
	unsigned asked, cancelled, fail_after; /* ask fails from this one on; 0: never */
	struct list pending;
	uint64_t next_id;
	struct task answer;
};

void dns_script_init(struct dns_script *s, struct loop *l, const struct dns_script_row *rows, size_t count);
void dns_script_done(struct dns_script *s);
struct dns_lookup dns_script_lookup(struct dns_script *s);

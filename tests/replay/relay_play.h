/* One scenario as it is played: shared by relay_replay.c (its lines) and relay_metric.c (what can be counted). */
#pragma once

#include "relay_world.h"

struct play {
	struct world w;
	const char *file;
	unsigned line, failures;
	uint64_t turn; /* $i */
	struct buf config;
	bool config_used; /* the next `config` begins a new one */
};

/* Counts a failure and says where. */
void complain(struct play *p, const char *what, struct slice wanted, struct slice got);
/* How many lines of a text hold all of these words. */
uint64_t count_lines(struct slice text, struct slice words);
/* The present value of "delivered", "site 192.0.2.1:25 got hello", ... (relay_replay.c lists them). */
uint64_t metric(struct play *p, struct slice rest);

/* A spool under test, driven step by step: every helper turns the loop until what it asked for has come. */
#pragma once

#include "evio/sim.h"
#include "spool/spool.h"

#define WORLD_LIVE_MAX  4096
#define WORLD_RCPTS_MAX 16

/* What on_live showed of one message, or what the test expects. */
struct world_live {
	uint64_t id;
	uint32_t recipients;
	uint8_t states[WORLD_RCPTS_MAX];
	char envelope[64], verdict[64], results[WORLD_RCPTS_MAX][64];
	bool held;
	uint64_t content_length;
};

struct world {
	struct loop *loop;
	struct disk disk; /* ops NULL: the memory back end */
	struct spool_options options;
	struct spool *spool; /* NULL: closed */
	struct world_live live[WORLD_LIVE_MAX];
	size_t live_count;
	bool ready;
	enum err error;
	struct diag why;
	struct spool_report report;
	enum spool_health health;
};

/* Outcome of a batch that is under way. */
struct world_done {
	bool done;
	enum spool_outcome outcome;
	enum err code;
};

void world_open(struct world *w);  /* until on_ready (see w->error), or until the disk is said to be broken */
void world_close(struct world *w); /* the disk is as a clean end leaves it */
/* Turns until *flag; asserts that it comes. */
void world_until(struct world *w, const bool *flag);
void world_turns(struct world *w, unsigned n);

/* Begins a message; envelope and content say which. The batch may be committed at once or be added to. */
struct spool_batch *world_message(struct world *w, uint64_t id, uint32_t recipients, struct slice envelope,
				  struct slice content);
void world_commit(struct spool_batch *b, struct world_done *d);
enum spool_outcome world_wait(struct world *w, struct world_done *d);

uint64_t world_put(struct world *w, uint32_t recipients, const char *envelope, struct slice content);
enum spool_outcome world_result(struct world *w, uint64_t id, uint32_t ordinal, enum spool_state s,
				const char *text);
/* Asserts what a loan shows. */
void world_check_content(struct world *w, uint64_t id, struct slice content);
enum err world_read(struct world *w, uint64_t id, char envelope[64]);
const struct world_live *world_find(const struct world *w, uint64_t id);
/* Octets of a message that no other has: `n` of them. The caller frees buf. */
void world_fill(struct buf *out, uint64_t id, size_t n);

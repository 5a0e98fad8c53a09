/* The simulated back end: virtual clock, seeded randomness, an in-memory network, scripted peers and a disk
 * that can be cut.
 *
 * One simulated loop carries a whole relay in one process: everything that takes a struct loop runs on it
 * unchanged. Time passes only when nothing is left to do. The same seed gives the same run, octet for octet. A turn
 * without a limit when nothing can ever happen (no timer, nothing under way) fails loop_run instead of hanging.
 *
 * Descriptors that the kernel made can be passed over channels and closed, but not waited for. TLS is the real OpenSSL
 * over the simulated connections: certificates are checked against the real clock, and the octets of its records
 * differ from run to run, though not what they carry and not when it arrives.
 */
#pragma once

#include "evio/disk.h"
#include "evio/net.h"
#include "evio/stream.h"

struct sim_options {
	uint64_t seed;
	int64_t wall_ms;    /* wall clock at start; 0: 2026-01-01T00:00:00Z */
	uint32_t chunk_max; /* a stream delivers at most this many octets at a time (0: no limit; 1: octet by
			       octet) */
};
MUST_CHECK enum err loop_sim_new(const struct sim_options *o, struct loop **ret, struct diag *d);

void sim_jump_wall(struct loop *l, int64_t by_ms); /* the system clock is set, either way */
void sim_signal(struct loop *l, int signo);
void sim_set_worker_delay(struct loop *l, uint64_t ms); /* every job takes this long from now on */
/* At most n simulated descriptors may be open; more give EMFILE as the kernel does. */
void sim_set_fds_max(struct loop *l, size_t n);
/* Runs turns until fn gives true or `limit_ms` of virtual time passed. Returns what fn gave last. */
bool sim_run_until(struct loop *l, bool (*fn)(void *ctx), void *ctx, uint64_t limit_ms);
void sim_run_for(struct loop *l, uint64_t ms);

/* The network: stream_connect reaches what net_listen bound on the same loop; an address that nobody bound
 * refuses at once. net_listen works unchanged. What is written arrives 1 ms later, over a pair (ipc_pair) at once.
 * An address given here never answers, with port 0 none of its ports; what is under way to or from it waits until
 * it is taken back, connections that are being made too. */
void sim_blackhole(struct loop *l, const struct net_addr *a, bool on);

/* The disk. Sector 512 octets. Writes go to a volatile cache; fdatasync and fsync_dir make them durable. */
struct sim_disk;
struct sim_disk *sim_disk_new(uint64_t seed, uint64_t capacity_octets);
void sim_disk_free(struct sim_disk *sd);
struct disk sim_disk_disk(struct sim_disk *sd); /* borrowed from sd */

uint64_t sim_disk_ops(const struct sim_disk *sd); /* operations so far that change or sync something */
/* Power fails at the operation of this number (ops + 1 is the next): it and all later calls give -EIO. A write or
 * directory operation that fails so may still be found kept, a sync did nothing. 0: never. */
void sim_disk_cut_at(struct sim_disk *sd, uint64_t op);
/* After a cut, or at any moment: each unsynced sector is kept, dropped or torn (half old, half new), each
 * unsynced directory operation kept or dropped, chosen by seed (evio/sim_inode.h). All descriptors are gone, cut
 * and failures are cleared; the disk can be opened again. */
void sim_disk_reboot(struct sim_disk *sd, uint64_t seed);
/* Fails the n-th operation from now (1: the next) of a kind in kind_mask with this errno, once; with `forever`
 * it and every later one. Up to 8 such rules at a time; errnum 0 removes all. After a failed sync the sectors
 * it should have written are lost to later syncs, as on Linux. */
enum sim_disk_kind { SIM_OPEN = 1, SIM_READ = 2, SIM_WRITE = 4, SIM_SYNC = 8, SIM_DIR = 16, SIM_ALLOC = 32 };
void sim_disk_fail(struct sim_disk *sd, unsigned kind_mask, uint64_t nth, int errnum, bool forever);
/* Flips bits of one octet of a file's durable content (bit rot). Negative errno if there is no such octet. */
int sim_disk_damage(struct sim_disk *sd, const char *path, uint64_t offset, uint8_t xor_with);

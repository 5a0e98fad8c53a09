/* When the disk will be full, from how its free room fell over the last day. Pure: time and room come in as numbers.
 *
 * A sample is kept every FORECAST_STEP_MS, FORECAST_SAMPLES of them; the rate is that between the oldest one and the last.
 * Segments come and go in steps of their size, so that less than FORECAST_LEAST_MS tell nothing.
 */
#pragma once

#include "core/base.h"

#define FORECAST_STEP_MS  (30 * 60 * 1000u)
#define FORECAST_SAMPLES  49u /* a day and the moment it began */
#define FORECAST_LEAST_MS (60 * 60 * 1000u)

struct forecast {
	struct forecast_sample {
		uint64_t time_ms, free_octets;
	} samples[FORECAST_SAMPLES]; /* a ring */
	uint32_t count;              /* ever taken */
	struct forecast_sample last;
};

/* To be called more often than FORECAST_STEP_MS. now_ms never goes back. */
void forecast_add(struct forecast *f, uint64_t now_ms, uint64_t free_octets);
/* Seconds until only `reserve` octets are free; false: at this rate never, or nothing can be said yet. */
bool forecast_full(const struct forecast *f, uint64_t reserve, uint64_t *ret_seconds);

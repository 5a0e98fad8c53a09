#include "relay/queue/forecast.h"

void forecast_add(struct forecast *f, uint64_t now_ms, uint64_t free_octets)
{
	f->last = (struct forecast_sample){now_ms, free_octets};
	const struct forecast_sample *before =
		&f->samples[(f->count + FORECAST_SAMPLES - 1) % FORECAST_SAMPLES];
	if (f->count == 0 || now_ms - before->time_ms >= FORECAST_STEP_MS)
		f->samples[f->count++ % FORECAST_SAMPLES] = f->last;
}

bool forecast_full(const struct forecast *f, uint64_t reserve, uint64_t *ret_seconds)
{
	const struct forecast_sample *oldest =
		&f->samples[f->count < FORECAST_SAMPLES ? 0 : f->count % FORECAST_SAMPLES];
	uint64_t span = f->last.time_ms - oldest->time_ms;
	if (f->count == 0 || span < FORECAST_LEAST_MS || f->last.free_octets >= oldest->free_octets)
		return false;
	double rate = (double)(oldest->free_octets - f->last.free_octets) * 1000 /
		      (double)span; /* octets a second */
	uint64_t left = f->last.free_octets > reserve ? f->last.free_octets - reserve : 0;
	double seconds = (double)left / rate;
	if (seconds > 1e12)
		return false;
	*ret_seconds = (uint64_t)seconds;
	return true;
}

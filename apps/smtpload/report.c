#include "load.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static double seconds(const struct load *l)
{
	return (double)MAX(l->last_reply_us - l->started_us, 1u) / 1e6;
}

void report_progress(const struct load *l)
{
	double passed = (double)MAX(l->clock_us(l) - l->started_us, 1u) / 1e6;
	fprintf(stderr,
		"\r%llu accepted, %llu refused, %llu unanswered, %.0f/s, p50 %.1f ms, %u connections\033[K",
		(unsigned long long)l->n.accepted, (unsigned long long)l->n.refused,
		(unsigned long long)l->n.unanswered, (double)l->n.accepted / passed,
		(double)latency_percentile(&l->message, 50) / 1000, l->live);
}

/* User and system time of this process, us. */
static uint64_t cpu_us(void)
{
	struct rusage r;
	if (getrusage(RUSAGE_SELF, &r) != 0)
		return 0;
	return (uint64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

/* ---- one table for text and JSON ---- */

struct row {
	const char *name;
	uint64_t value;
};

#define ROWS 16

static void make_rows(const struct load *l, struct row rows[ROWS])
{
	const struct load_counts *n = &l->n;
	uint64_t answered = MAX(n->accepted + n->refused, 1u);
	const struct row all[ROWS] = {
		{"run", l->content.run},
		{"accepted", n->accepted},
		{"refused", n->refused},
		{"unanswered", n->unanswered},
		{"aborted", n->aborted},
		{"unsent", load_unsent(l)},
		{"recipients_accepted", n->rcpt_accepted},
		{"recipients_refused", n->rcpt_refused},
		{"octets", n->octets},
		{"connects", n->connects},
		{"sessions", n->ready},
		{"broken", n->broken},
		{"elapsed_us", l->last_reply_us - l->started_us},
		{"messages_per_second", (uint64_t)((double)n->accepted / seconds(l))},
		{"cpu_us", cpu_us()},
		{"cpu_us_per_message", cpu_us() / answered},
	};
	for (size_t i = 0; i < ROWS; i++)
		rows[i] = all[i];
}

static const struct {
	const char *name;
	size_t at;
} histograms[] = {
	{"message_us", offsetof(struct load, message)},
	{"session_us", offsetof(struct load, session)},
	{"lag_us", offsetof(struct load, lag)},
};

static const struct {
	const char *name;
	size_t at;
} code_tables[] = {
	{"codes", offsetof(struct load_counts, codes)},
	{"recipient_codes", offsetof(struct load_counts, rcpt_codes)},
	{"session_codes", offsetof(struct load_counts, session_codes)},
};

static const struct latency *histogram(const struct load *l, size_t i)
{
	return (const struct latency *)((const char *)l + histograms[i].at);
}

static const uint64_t *codes(const struct load *l, size_t i)
{
	return (const uint64_t *)((const char *)&l->n + code_tables[i].at);
}

/* ---- JSON ---- */

static json_t *number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static json_t *latency_json(const struct latency *h)
{
	json_t *o = json_object();
	json_object_set_new(o, "count", number(h->count));
	json_object_set_new(o, "min", number(h->min));
	json_object_set_new(o, "p50", number(latency_percentile(h, 50)));
	json_object_set_new(o, "p90", number(latency_percentile(h, 90)));
	json_object_set_new(o, "p99", number(latency_percentile(h, 99)));
	json_object_set_new(o, "max", number(h->max));
	return o;
}

static json_t *codes_json(const uint64_t *table)
{
	json_t *o = json_object();
	char key[8];
	for (unsigned code = 0; code < LOAD_CODES; code++) {
		snprintf(key, sizeof(key), "%u", code);
		if (table[code])
			json_object_set_new(o, key, number(table[code]));
	}
	return o;
}

static void print_json(const struct load *l, const struct row rows[ROWS])
{
	json_t *o = json_object();
	for (size_t i = 0; i < ROWS; i++)
		json_object_set_new(o, rows[i].name, number(rows[i].value));
	for (size_t i = 0; i < ARRAY_LEN(histograms); i++)
		json_object_set_new(o, histograms[i].name, latency_json(histogram(l, i)));
	for (size_t i = 0; i < ARRAY_LEN(code_tables); i++)
		json_object_set_new(o, code_tables[i].name, codes_json(codes(l, i)));
	json_object_set_new(o, "succeeded", json_boolean(load_succeeded(l)));
	if (l->trouble.text[0])
		json_object_set_new(o, "trouble", json_string(l->trouble.text));
	char *text = json_dumps(o, JSON_COMPACT);
	if (text)
		puts(text);
	free(text);
	json_decref(o);
}

/* ---- text ---- */

static void print_codes(const char *name, const uint64_t *table)
{
	for (unsigned code = 0; code < LOAD_CODES; code++)
		if (table[code])
			printf("%-20s %u: %llu\n", name, code, (unsigned long long)table[code]);
}

static void print_latency(const char *name, const struct latency *h)
{
	if (h->count)
		printf("%-20s min %llu  p50 %llu  p90 %llu  p99 %llu  max %llu\n", name,
		       (unsigned long long)h->min, (unsigned long long)latency_percentile(h, 50),
		       (unsigned long long)latency_percentile(h, 90),
		       (unsigned long long)latency_percentile(h, 99), (unsigned long long)h->max);
}

static void print_text(const struct load *l, const struct row rows[ROWS])
{
	for (size_t i = 0; i < ROWS; i++)
		printf("%-20s %llu\n", rows[i].name, (unsigned long long)rows[i].value);
	for (size_t i = 0; i < ARRAY_LEN(histograms); i++)
		print_latency(histograms[i].name, histogram(l, i));
	for (size_t i = 0; i < ARRAY_LEN(code_tables); i++)
		print_codes(code_tables[i].name, codes(l, i));
	if (l->trouble.text[0])
		printf("%-20s %s\n", "trouble", l->trouble.text);
}

void report_summary(const struct load *l)
{
	struct row rows[ROWS];
	if (l->terminal)
		fputs("\r\033[K", stderr);
	make_rows(l, rows);
	if (l->o.json)
		print_json(l, rows);
	else
		print_text(l, rows);
	fflush(stdout);
}

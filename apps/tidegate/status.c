/* `tidegate status`: one line that a monitor can show, then the details; the exit status is the health. */
#include "tidegate/cell.h"
#include "tidegate/remote.h"

#include <inttypes.h>

static uint64_t number_of(const struct remote_answer *a, const char *key)
{
	struct ctl_field f;

	return render_first(&a->rows, CTL_T_RELAY, key, &f) && f.kind == CTL_U64 ? f.v.u64 : 0;
}

static struct slice text_of(const struct remote_answer *a, const char *key)
{
	struct ctl_field f;

	return render_first(&a->rows, CTL_T_RELAY, key, &f) && f.kind == CTL_TEXT ? f.v.text : SLICE_EMPTY;
}

static enum cli_exit health_of(const struct remote_answer *a)
{
	struct slice health = text_of(a, "health");

	if (slice_eq_str(health, "ok"))
		return CLI_OK;
	return slice_eq_str(health, "degraded") ? CLI_FAILED : CLI_UNREACHABLE;
}

static void add_summary(const struct remote_answer *a, struct buf *out)
{
	static const char *const words[] = {"OK", "DEGRADED", "DOWN"};
	struct slice reason = text_of(a, "reason");

	buf_printf(out,
		   "%s - %" PRIu64 " messages queued, %" PRIu64 " accepted, %" PRIu64 " refused, %" PRIu64
		   " recipients delivered, %" PRIu64 " bounced",
		   words[health_of(a)], number_of(a, "queued"), number_of(a, "accepted"),
		   number_of(a, "refused"), number_of(a, "delivered"), number_of(a, "bounced"));
	if (reason.len > 0) {
		buf_add_str(out, ": ");
		cell_text(out, reason);
	}
	buf_add_str(out, "\n\n");
}

/* Also a relay that cannot be asked has a health, and a monitor wants it in the same form. */
static enum cli_exit unreachable(const struct cli *c, struct remote_answer *a, const struct diag *d)
{
	struct ctl_fields f;
	struct buf frame CLEANUP(buf_done) = {0};
	struct ctl_frame row;
	size_t used;

	if (!c->json) {
		cli_complain("%s", d->text);
		return CLI_UNREACHABLE;
	}
	buf_init(&frame, CTL_FRAME_MAX);
	ctl_fields_init(&f);
	ctl_add_str(&f, "health", "down");
	ctl_add_str(&f, "reason", d->text);
	if (ctl_encode_row(&frame, CTL_T_RELAY, &f) == ERR_OK &&
	    ctl_decode(buf_slice(&frame), CTL_FRAME_MAX, &row, &used, NULL) == ERR_OK &&
	    render_add(&a->rows, &row) == ERR_OK)
		remote_show(c, a);
	ctl_fields_done(&f);
	return CLI_UNREACHABLE;
}

static enum cli_exit show(const struct cli *c, const struct remote_answer *a)
{
	struct buf summary CLEANUP(buf_done) = {0};

	buf_init(&summary, 65536);
	add_summary(a, &summary);
	if (!c->json && !cli_print(buf_slice(&summary)))
		return CLI_UNREACHABLE;
	if (remote_show(c, a) != CLI_OK)
		return CLI_UNREACHABLE;
	return health_of(a);
}

enum cli_exit cli_status(const struct cli *c)
{
	struct remote_answer a;
	struct diag d = {0};
	enum cli_exit exit_status = remote_ask(c, &a, &d);

	if (exit_status != CLI_OK)
		exit_status = unreachable(c, &a, &d);
	else if (remote_result(&a) != CLI_OK)
		exit_status = CLI_UNREACHABLE;
	else
		exit_status = show(c, &a);
	remote_done(&a);
	return exit_status;
}

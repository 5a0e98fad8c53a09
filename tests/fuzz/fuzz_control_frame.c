/* Any octets as a stream of control frames: decoded frames can be read through and shown, and every start of a frame
 * asks for more. */
#include "ctl/control.h"
#include "tidegate/render.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_fields(const struct ctl_view *v)
{
	struct ctl_field f, found;
	size_t octets = 0;
	unsigned n = 0;

	for (size_t pos = 0; ctl_view_next(v, &pos, &f); n++) {
		struct slice rest = f.v.list.data, item;
		octets += f.key.len;
		while (f.kind == CTL_LIST && ctl_list_next(&rest, &item))
			octets += item.len;
		if (f.kind == CTL_TEXT && f.v.text.len > 0)
			octets += (uint8_t)f.v.text.ptr[f.v.text.len - 1];
	}
	ASSERT(n == v->count);
	return octets + ctl_view_find(v, "id", &found);
}

static void show(const struct ctl_frame *row)
{
	for (unsigned verb = CTL_STATUS; verb <= CTL_STOP; verb++) {
		struct render_options o = {.columns = 40, .color = true, .records = true};
		struct render r;
		struct buf out;
		render_init(&r, ctl_verb_info(verb), &o);
		buf_init(&out, RENDER_OUTPUT_MAX);
		if (render_add(&r, row) == ERR_OK) {
			render_tables(&r, &out);
			ASSERT(render_json(&r, &out) == ERR_OK);
		}
		buf_done(&out);
		render_done(&r);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	struct ctl_frame frame;
	struct diag d = {0};
	size_t used = 0;

	while (ctl_decode(in, CTL_FRAME_MAX, &frame, &used, &d) == ERR_OK) {
		struct ctl_frame cut;
		size_t none = 0;
		ASSERT(used <= in.len);
		ASSERT(ctl_decode(slice_sub(in, 0, used - 1), CTL_FRAME_MAX, &cut, &none, NULL) == ERR_AGAIN);
		read_fields(&frame.fields);
		if (frame.type == CTL_ROW)
			show(&frame);
		in = slice_from(in, used);
	}
	return 0;
}
